"""After the search: the winner evaluated anew with fresh seeds, or trained once more on all data, as runs like any other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from threading import Event, Lock
from typing import Any

from wichtel.domain import InvalidInput, Measurement, NotFound, Run, RunSpec, RunState, StudySpec, SystemFault, Trial
from wichtel.domain.seed import seed_of
from wichtel.fleet import Controller, Owner
from wichtel.fleet.ports import Stop
from wichtel.store import Database
from wichtel.tuning.guards.selection import Confirmation
from wichtel.tuning.study.log import metrics_in

#: How often runs at work are looked after.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChoice:
    """How far to train a configuration, by the mean of its evaluations' curves."""

    step: int
    #: The mean of the metric at `step`.
    value: float
    #: Step → mean, of the steps that all evaluations reported.
    means: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """The winner, trained once more."""

    trial: int
    #: How far, if it was said.
    budget: float | None
    metrics: dict[str, float]
    #: Name → digest in the artifact store.
    artifacts: dict[str, str] = field(default_factory=dict)


def best_step(spec: StudySpec, measurements: Sequence[Measurement]) -> StepChoice:
    """The step at which a trial's evaluations are best on average: the number of steps, tuned by cross-validation.

    Args:
        spec: The study, of one objective.
        measurements: All evaluations of one trial.

    Raises:
        InvalidInput: several objectives.
        NotFound: no step was reported by all evaluations.

    References:
        Ultron-AutoML, section VIII-B: validation metrics are accumulated at predefined steps for all K models and averaged, and the model
        is retrained on all data up to the best of these steps.
    """
    if len(spec.objectives) != 1:
        raise InvalidInput("with several objectives no one step is best.", where=f"study {spec.name!r}")
    objective = spec.objectives[0]
    # The last attempt's word counts, should a step have been repeated after a lost worker.
    values: dict[int, dict[str, float]] = {}
    for m in measurements:
        value = m.metrics.get(objective.metric, math.nan)
        if math.isfinite(value):
            values.setdefault(m.step, {})[m.run] = value
    means = {step: fmean(by.values()) for step, by in sorted(values.items()) if len(by) == spec.evaluations}
    if not means:
        hint = f"Report {objective.metric!r} at the same steps in every fold."
        raise NotFound("no step was reported by all of its evaluations.", where=f"study {spec.name!r}", hint=hint)
    step = min(means, key=lambda s: (objective.loss(means[s]), s))
    return StepChoice(step=step, value=means[step], means=means)


def confirmation_runs(spec: StudySpec, trial: Trial, times: int) -> list[RunSpec]:
    """Evaluations of the trial's configuration with seeds that the search did not use, told that this is the ``holdout``."""
    return [
        _run(spec, trial, f"confirm-{trial.number}-{i}", "confirmation", seed_of(spec.seed, "confirmation", i), {"holdout": True})
        for i in range(times)
    ]


def retraining_run(spec: StudySpec, trial: Trial, budget: float | None, failed: int = 0) -> RunSpec:
    """One training of the trial's configuration for `budget`, outside any fold; after so many that `failed`, another run."""
    name = f"retrain-{trial.number}" + ("" if budget is None else f"-{float(budget)!r}") + (f"-again-{failed}" if failed else "")
    return _run(spec, trial, name, "retraining", spec.trial_seed(trial.number), {} if budget is None else {"budget": budget})


def confirmation_of(spec: StudySpec, trial: Trial, runs: Iterable[Run]) -> Confirmation:
    """What came of `confirmation_runs`."""
    metric = spec.objectives[0].metric
    values, failures = [], []
    for run in runs:
        value = metrics_in(run.result, metric).get(metric, math.nan) if run.state is RunState.SUCCEEDED else math.nan
        if math.isfinite(value):
            values.append(value)
        else:
            failures.append(str((run.error or {}).get("message") or f"it gave no finite {metric}"))
    return Confirmation(trial=trial.number, metric=metric, searched=trial.metrics[metric], values=tuple(values), failures=tuple(failures))


def confirmation_owner(spec: StudySpec) -> str:
    """Who owns the runs that confirm a study's winner."""
    return f"confirmation/{spec.id}"


def carry_out(controller: Controller, db: Database, specs: Sequence[RunSpec]) -> list[Run]:
    """Have runs of one owner carried out and wait for them; those that ended in an earlier process are not carried out again.

    Returns:
        The ended runs, in the order of `specs`.

    Raises:
        SystemFault: a fault of ours: the controller has ended.
    """
    awaited = _Awaited({spec.id for spec in specs})
    owner = specs[0].owner
    controller.attach(owner, awaited)
    try:
        with db.read() as tx:
            for spec in specs:
                run = tx.runs.find(spec.id)
                if run is not None and run.state.ended:
                    awaited.on_end(run)
        controller.submit(specs)
        while not controller.serve(awaited.done, _LOOK_SECONDS):
            if not (controller.alive and controller.attached(owner)) and not awaited.done.is_set():
                hint = "The log says why. The same call goes on."
                raise SystemFault("nobody carries its runs out any more.", where=owner, hint=hint)
    finally:
        controller.detach(owner)
    return [awaited.ended[spec.id] for spec in specs]


class _Awaited(Owner):
    """Hears of the end of certain runs."""

    def __init__(self, runs: set[str]) -> None:
        self.done = Event()
        self.ended: dict[str, Run] = {}
        self._runs = runs
        self._lock = Lock()

    def on_measurement(self, measurement: Measurement) -> Stop | None:
        """Go on."""
        return None

    def on_end(self, run: Run) -> list[RunSpec]:
        """Note it."""
        with self._lock:
            self.ended[run.spec.id] = run
            if self._runs <= self.ended.keys():
                self.done.set()
        return []


def _run(spec: StudySpec, trial: Trial, name: str, kind: str, seed: int, more: Mapping[str, Any]) -> RunSpec:
    budget = {} if trial.budget is None else {"budget": trial.budget}
    return RunSpec(
        id=f"{spec.id}/{name}",
        entry=spec.entry,
        payload={**spec.payload, "config": trial.config, "trial": trial.number, **budget, **more},
        owner=f"{kind}/{spec.id}",
        seed=seed,
        resources=spec.resources,
        priority=spec.priority,
        quota_group=spec.quota_group,
        retry=spec.retry,
        timeout_seconds=spec.timeout_seconds,
    )
