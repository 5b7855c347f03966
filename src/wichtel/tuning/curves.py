"""The learning curves of a study, kept so that a pruner's question costs a binary search and not a pass over all trials."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wichtel.domain import Objective
from wichtel.tuning.fronts import Fronts, Point

#: Tells by its number whether a trial belongs to a group. Groups that are equal hold the same trials.
Among = Callable[[int], bool]


class Curve(Protocol):
    """One trial's losses (smaller is better) by step; steps strictly increase.

    In a study of several objectives a loss is the number of the non-dominated front, from 0, in which the trial is among all that have
    come to the step. It is worked out when it is asked for, and another one when more trials have come.
    """

    @property
    def steps(self) -> Sequence[int]:
        """Where it reported."""
        ...

    @property
    def losses(self) -> Sequence[float]:
        """One for each step."""
        ...

    @property
    def last(self) -> int:
        """The last step; -1 before the first."""
        ...

    @property
    def best(self) -> float:
        """The smallest loss so far.

        Of several objectives: the front that the best it ever had of each would be in among `Curves.averages` of its last step.
        """
        ...

    def average(self, step: int) -> float | None:
        """The mean loss of the reports up to and at `step`, as in `Curves.averages`; None if there is none."""
        ...

    def best_by(self, step: int) -> float | None:
        """The smallest loss of the reports up to and at `step`; None if there is none."""
        ...

    def reached(self, step: int, among: Among | None = None) -> float | None:
        """The loss of the first report at or after `step`, as in `Curves.reached`; None if it has not come so far."""
        ...


@dataclass(slots=True)
class _Plain:
    """The losses for one objective."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    #: ``bests[i]`` is the smallest of ``losses[:i + 1]``
    bests: list[float] = field(default_factory=list)
    #: and ``totals[i]`` is the sum of ``losses[:i + 1]``.
    totals: list[float] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.steps[-1] if self.steps else -1

    @property
    def best(self) -> float:
        return self.bests[-1] if self.bests else math.inf

    @property
    def mean(self) -> float:
        return self.totals[-1] / len(self.totals)

    def average(self, step: int) -> float | None:
        n = bisect_right(self.steps, step)
        return self.totals[n - 1] / n if n else None

    def best_by(self, step: int) -> float | None:
        n = bisect_right(self.steps, step)
        return self.bests[n - 1] if n else None

    def reached(self, step: int, among: Among | None = None) -> float | None:
        i = bisect_left(self.steps, step)
        return self.losses[i] if i < len(self.steps) else None

    def add(self, step: int, loss: float) -> None:
        self.steps.append(step)
        self.losses.append(loss)
        self.totals.append((self.totals[-1] if self.totals else 0.0) + loss)
        self.bests.append(min(self.bests[-1], loss) if self.bests else loss)


class _Ranked:
    """The fronts that a trial with several objectives is in."""

    def __init__(self, curves: Curves, parts: tuple[_Plain, ...]) -> None:
        self._curves = curves
        self._parts = parts

    @property
    def steps(self) -> list[int]:
        return self._parts[0].steps

    @property
    def losses(self) -> list[float]:
        return [loss for step in self.steps if (loss := self.reached(step)) is not None]

    @property
    def last(self) -> int:
        return self._parts[0].last

    @property
    def best(self) -> float:
        best = self.best_by(self.last)
        return math.inf if best is None else best

    def average(self, step: int) -> float | None:
        point = _whole(p.average(step) for p in self._parts)
        return None if point is None else self._curves._average_column(step).rank(point)

    def best_by(self, step: int) -> float | None:
        point = _whole(p.best_by(step) for p in self._parts)
        return None if point is None else self._curves._average_column(step).rank(point)

    def reached(self, step: int, among: Among | None = None) -> float | None:
        point = _whole(p.reached(step) for p in self._parts)
        return None if point is None else self._curves._reached_column(step, among).rank(point)


class _Column(Protocol):
    """What trials came to at one step."""

    def add(self, point: Point) -> None: ...

    def rank(self, point: Point) -> float: ...

    def ranks(self) -> Sequence[float]: ...


class _Sorted:
    """The losses of trials with one objective. They are their own ranks."""

    def __init__(self, points: Iterable[Point]) -> None:
        self._values = sorted(point[0] for point in points)

    def add(self, point: Point) -> None:
        insort(self._values, point[0])

    def rank(self, point: Point) -> float:
        return point[0]

    def ranks(self) -> list[float]:
        return self._values


class Curves:
    """All curves of one study. Columns are built when first asked for and kept up to date from then on.

    Steps that trials share are cheap. Each step that only one trial ever reports costs a pass over the trials when it is first asked for.

    With several objectives a pruner sees fronts for losses, so that one that was written for one objective does for several: at each step,
    trials are as good as their non-dominated rank among all that have come to it.
    """

    def __init__(self, objectives: tuple[Objective, ...]) -> None:
        #: What the values of `add` are.
        self.objectives = objectives
        self._make_column: type[_Sorted | Fronts] = _Sorted if len(objectives) == 1 else Fronts
        self._curves: dict[int, tuple[_Plain, ...]] = {}
        self._ended = 0
        self._horizon = -1
        self._finals: list[Point] = []
        self._averages: dict[int, _Column] = {}
        self._reached: dict[int, dict[Among | None, _Column]] = {}
        # The steps of the columns, sorted: which of them a report passes.
        self._average_steps: list[int] = []
        self._reached_steps: list[int] = []

    def __getitem__(self, trial: int) -> Curve:
        parts = self._curves[trial]
        return parts[0] if len(parts) == 1 else _Ranked(self, parts)

    def __contains__(self, trial: int) -> bool:
        return trial in self._curves

    def parts(self, trial: int) -> tuple[Curve, ...]:
        """The curve of each objective of a trial."""
        return self._curves[trial]

    @property
    def ended(self) -> int:
        """How many trials that reported at least once have ended."""
        return self._ended

    @property
    def horizon(self) -> int:
        """The largest step that an ended trial came to; -1 before."""
        return self._horizon

    @property
    def finals(self) -> Sequence[Point]:
        """The best last losses of ended trials, one for each objective: those that no other dominates, each once, all finite."""
        return self._finals

    def value(self, loss: float) -> float:
        """`loss` in the terms of the user's metric; with several objectives, the number of the front, from 1."""
        return self.objectives[0].loss(loss) if len(self.objectives) == 1 else loss + 1

    def words(self, loss: float) -> str:
        """`loss` for the reason of a decision."""
        return f"{self.value(loss):.6g}" if len(self.objectives) == 1 else f"front {loss + 1:g}"

    def add(self, trial: int, step: int, values: float | Sequence[float]) -> bool:
        """Note a measurement of the metrics, one for each objective; if one of them is not finite, it counts as the worst there is.

        Returns:
            False, with nothing noted, for a step that the trial has passed: a further attempt repeats what an earlier one reported.
        """
        given = (values,) if isinstance(values, int | float) else values
        parts = self._curves.get(trial)
        if parts is None:
            parts = self._curves[trial] = tuple(_Plain() for _ in self.objectives)
        before = parts[0].last
        if step <= before:
            return False
        means = tuple(p.mean for p in parts) if before >= 0 else None
        finite = all(map(math.isfinite, given))
        losses = tuple(o.loss(v) if finite else math.inf for o, v in zip(self.objectives, given, strict=True))
        for part, loss in zip(parts, losses, strict=True):
            part.add(step, loss)
        for passed in _between(self._reached_steps, before, step):
            for among, column in self._reached[passed].items():
                if among is None or among(trial):
                    column.add(losses)
        for passed in _between(self._average_steps, before, step):
            average = tuple(p.mean for p in parts) if passed == step else means
            if average is not None:
                self._averages[passed].add(average)
        return True

    def end(self, trial: int) -> None:
        """Note that a trial has ended; one that never reported is not counted."""
        parts = self._curves.get(trial)
        if parts is None:
            return
        self._ended += 1
        self._horizon = max(self._horizon, parts[0].last)
        final = tuple(p.losses[-1] for p in parts)
        if math.isfinite(final[0]) and not any(_no_worse(other, final) for other in self._finals):
            self._finals = [other for other in self._finals if not _no_worse(final, other)] + [final]

    def averages(self, step: int) -> Sequence[float]:
        """Ascending: the mean loss up to `step` of each trial that has come to it."""
        return self._average_column(step).ranks()

    def reached(self, step: int, among: Among | None = None) -> Sequence[float]:
        """Ascending: the loss of each trial (`among` a group) that has come to `step`, when it first did."""
        return self._reached_column(step, among).ranks()

    def _average_column(self, step: int) -> _Column:
        column = self._averages.get(step)
        if column is None:
            come = []
            for parts in self._curves.values():
                steps = parts[0].steps
                if steps[0] <= step <= steps[-1]:
                    n = bisect_right(steps, step)
                    come.append(tuple([p.totals[n - 1] / n for p in parts]))
            column = self._averages[step] = self._make_column(come)
            insort(self._average_steps, step)
        return column

    def _reached_column(self, step: int, among: Among | None) -> _Column:
        columns = self._reached.get(step)
        if columns is None:
            columns = self._reached[step] = {}
            insort(self._reached_steps, step)
        column = columns.get(among)
        if column is None:
            come = []
            for trial, parts in self._curves.items():
                steps = parts[0].steps
                if step <= steps[-1] and (among is None or among(trial)):
                    i = bisect_left(steps, step)
                    come.append(tuple([p.losses[i] for p in parts]))
            column = columns[among] = self._make_column(come)
        return column


def _between(steps: list[int], after: int, until: int) -> list[int]:
    return steps[bisect_right(steps, after) : bisect_right(steps, until)]


def _whole(losses: Iterable[float | None]) -> Point | None:
    """All of `losses`; None if one is missing."""
    point = tuple(loss for loss in losses if loss is not None)
    return point or None


def _no_worse(a: Point, b: Point) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True))
