"""The learning curves of a study, kept so that a pruner's question costs a binary search and not a pass over all trials."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field

from wichtel.domain import Objective


@dataclass(slots=True)
class Curve:
    """One trial's losses (smaller is better) by step; steps strictly increase."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    #: The smallest loss so far.
    best: float = math.inf
    #: ``totals[i]`` is the sum of ``losses[:i + 1]``.
    totals: list[float] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The last step; -1 before the first."""
        return self.steps[-1] if self.steps else -1

    def average(self, step: int) -> float | None:
        """The mean loss of the reports up to and at `step`; None if there is none."""
        n = bisect_right(self.steps, step)
        return self.totals[n - 1] / n if n else None

    def reached(self, step: int) -> float | None:
        """The loss of the first report at or after `step`; None if it has not come so far."""
        i = bisect_left(self.steps, step)
        return self.losses[i] if i < len(self.steps) else None


@dataclass(slots=True)
class _Column:
    """Sorted numbers, one for each trial that counts at one step."""

    values: list[float]
    #: How many of the ended trials were considered already.
    seen: int = 0


class Curves:
    """All curves of one study for one objective. Columns are built when first asked for and kept up to date from then on.

    Steps that trials share are cheap. Each step that only one trial ever reports costs a pass over the trials when it is first asked for.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._curves: dict[int, Curve] = {}
        self._ended: list[int] = []
        self._averages: dict[int, _Column] = {}
        self._reached: dict[int, _Column] = {}
        # The steps of the columns, sorted: which of them a report passes.
        self._average_steps: list[int] = []
        self._reached_steps: list[int] = []

    def __getitem__(self, trial: int) -> Curve:
        return self._curves[trial]

    def __contains__(self, trial: int) -> bool:
        return trial in self._curves

    @property
    def ended(self) -> int:
        """How many trials that reported at least once have ended."""
        return len(self._ended)

    def value(self, loss: float) -> float:
        """`loss` in the terms of the user's metric."""
        return self._objective.loss(loss)

    def add(self, trial: int, step: int, value: float) -> bool:
        """Note a measurement of the metric; one that is not finite counts as the worst there is.

        Returns:
            False, with nothing noted, for a step that the trial has passed: a further attempt repeats what an earlier one reported.
        """
        curve = self._curves.get(trial)
        if curve is None:
            curve = self._curves[trial] = Curve()
        if step <= curve.last:
            return False
        loss = self._objective.loss(value) if math.isfinite(value) else math.inf
        before = curve.last
        mean = curve.totals[-1] / len(curve.totals) if curve.totals else None
        curve.steps.append(step)
        curve.losses.append(loss)
        curve.totals.append((curve.totals[-1] if curve.totals else 0.0) + loss)
        curve.best = min(curve.best, loss)
        for passed in _between(self._reached_steps, before, step):
            insort(self._reached[passed].values, loss)
        for passed in _between(self._average_steps, before, step):
            average = curve.totals[-1] / len(curve.totals) if passed == step else mean
            if average is not None:
                insort(self._averages[passed].values, average)
        return True

    def end(self, trial: int) -> None:
        """Note that a trial has ended; one that never reported is not counted."""
        if trial in self._curves:
            self._ended.append(trial)

    def averages(self, step: int) -> Sequence[float]:
        """Ascending: the mean loss up to `step` of each trial that has come to it, and of each that ended before it."""
        column = self._averages.get(step)
        if column is None:
            come = (c.average(step) for c in self._curves.values() if c.last >= step)
            column = self._averages[step] = _Column(sorted(a for a in come if a is not None))
            insort(self._average_steps, step)
        for trial in self._ended[column.seen :]:
            curve = self._curves[trial]
            if curve.last < step:
                insort(column.values, curve.totals[-1] / len(curve.totals))
        column.seen = len(self._ended)
        return column.values

    def reached(self, step: int) -> Sequence[float]:
        """Ascending: the loss of each trial that has come to `step`, when it first did."""
        column = self._reached.get(step)
        if column is None:
            come = (c.reached(step) for c in self._curves.values())
            column = self._reached[step] = _Column(sorted(r for r in come if r is not None))
            insort(self._reached_steps, step)
        return column.values


def _between(steps: list[int], after: int, until: int) -> list[int]:
    return steps[bisect_right(steps, after) : bisect_right(steps, until)]
