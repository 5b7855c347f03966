"""Which of a study's trials is better: one order for all who show or return trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from wichtel.domain import RunState, StudySpec, Trial


class Scored(Protocol):
    """What the order of trials depends on."""

    @property
    def state(self) -> RunState:
        """How it stands."""
        ...

    @property
    def budget(self) -> float | None:
        """How far it was to train."""
        ...

    @property
    def metrics(self) -> Mapping[str, float]:
        """What it reached."""
        ...


_SCORED = (RunState.SUCCEEDED, RunState.STOPPED)


def losses_of(spec: StudySpec, trial: Scored) -> tuple[float, ...]:
    """One finite loss for each objective, smaller is better; empty if the trial has no result."""
    if trial.state not in _SCORED:
        return ()
    losses = tuple(o.loss(trial.metrics.get(o.metric, math.nan)) for o in spec.objectives)
    return losses if all(map(math.isfinite, losses)) else ()


def violation_of(spec: StudySpec, trial: Scored) -> float:
    """How far the trial breaks the study's constraints, summed; 0 if it is feasible, infinite if a metric is missing."""
    return sum(bound.violation(trial.metrics) for bound in spec.constraints)


def tier_of(spec: StudySpec, trial: Scored) -> tuple[float, float, bool]:
    """What counts before any loss, smaller is better: feasibility, then the budget, then whether it ran to its end.

    Losses at different budgets do not compare: a configuration that trained for long is not worse than one that looked good for a moment.
    """
    return violation_of(spec, trial), -(trial.budget or 0.0), trial.state is RunState.STOPPED


def ranked(spec: StudySpec, trials: Iterable[Trial]) -> list[Trial]:
    """Those with a result of their own, the best first: by tier, then by the first objective, then by number."""
    scored = [(t, losses_of(spec, t)) for t in trials if t.copied_from is None]
    order = [(tier_of(spec, t), losses[0], t.number, t) for t, losses in scored if losses]
    return [entry[-1] for entry in sorted(order, key=lambda entry: entry[:3])]


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether losses `a` are nowhere worse than `b`, and better somewhere."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


class Front:
    """The best so far, kept up to date with each trial: one trial for one objective, the Pareto front for several.

    Of trials with equal losses the first stays. Costs a comparison with each trial of the front, so that it can follow a study that runs.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._tier: tuple[float, float, bool] | None = None
        self._members: list[tuple[tuple[float, ...], Trial]] = []

    def add(self, trial: Trial) -> bool:
        """Hear of an ended trial; whether it is among the best so far."""
        losses = losses_of(self._spec, trial) if trial.copied_from is None else ()
        if not losses:
            return False
        tier = tier_of(self._spec, trial)
        if self._tier is None or tier < self._tier:
            self._tier, self._members = tier, []
        elif tier > self._tier:
            return False
        if any(other == losses or dominates(other, losses) for other, _ in self._members):
            return False
        self._members = [(other, t) for other, t in self._members if not dominates(losses, other)]
        self._members.append((losses, trial))
        return True

    @property
    def feasible(self) -> bool:
        """Whether the trials of the front break no constraint; True while there are none."""
        return self._tier is None or self._tier[0] == 0

    @property
    def trials(self) -> list[Trial]:
        """Its trials, the best in the first objective first."""
        return [trial for _, trial in sorted(self._members, key=lambda member: (member[0], member[1].number))]
