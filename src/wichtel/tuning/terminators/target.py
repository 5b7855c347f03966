"""A target that is good enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from wichtel.domain import InvalidInput, did_you_mean
from wichtel.tuning.ports import Decision, Problem, Result
from wichtel.tuning.terminators.news import News, complete


class Target:
    """Ends a study when a trial has reached its target; with several objectives, all of them at once.

    Only a feasible trial counts that ran to its end, with the largest budget so far.

    Args:
        value: What the objective has to be, or better; with several objectives, by their names. One without a value may be anything.

    Raises:
        InvalidInput: no value, one that is not finite, or one for something that is no objective.

    >>> from wichtel.testing.terminators import problem, results
    >>> Target(problem(), value=0.25).decide(results([0.5, 0.2])).reason
    'trial 1 reached the target: score0 0.2, which was to be at most 0.25'
    """

    def __init__(self, problem: Problem, *, value: float | Mapping[str, float]) -> None:
        where = "terminator 'target'"
        metrics = [o.metric for o in problem.objectives]
        if not isinstance(value, Mapping):
            if len(metrics) > 1:
                raise InvalidInput(
                    f"{value} may be for any of {', '.join(metrics)}.", where=where, hint=f'Say {{"{metrics[0]}": {value}}}.'
                )
            value = {metrics[0]: value}
        if not value:
            raise InvalidInput("a target needs a value.", where=where)
        self._bars: list[tuple[int, float]] = []
        for metric, bar in value.items():
            if metric not in metrics:
                raise InvalidInput(f"{metric!r} is no objective.", where=where, hint=did_you_mean(metric, metrics))
            if not math.isfinite(bar):
                raise InvalidInput(f"the value of {metric!r} is {bar}, but must be finite.", where=where)
            i = metrics.index(metric)
            self._bars.append((i, problem.objectives[i].loss(bar)))
        self._objectives = problem.objectives
        self._news = News()
        self._reached: Result | None = None

    def decide(self, results: Sequence[Result]) -> Decision:
        """See `Terminator.decide`."""
        for result, larger in self._news.of(results):
            if larger:
                self._reached = None
            if self._reached is None and complete(result) and all(result.losses[i] <= bar for i, bar in self._bars):
                self._reached = result
        if self._reached is None:
            return Decision(False, "no trial has reached the target")
        losses = self._reached.losses
        return Decision(
            True, f"trial {self._reached.number} reached the target: {', '.join(self._words(i, losses[i], b) for i, b in self._bars)}"
        )

    def _words(self, i: int, loss: float, bar: float) -> str:
        objective = self._objectives[i]
        side = "at most" if objective.loss(1.0) > 0 else "at least"
        return f"{objective.metric} {objective.loss(loss):.6g}, which was to be {side} {objective.loss(bar):.6g}"
