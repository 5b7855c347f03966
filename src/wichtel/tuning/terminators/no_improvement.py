"""A study that has come to a standstill."""

from __future__ import annotations

from collections.abc import Sequence

from wichtel.domain import InvalidInput
from wichtel.tuning.ports import Decision, Problem, Result
from wichtel.tuning.terminators.news import News, complete


class NoImprovement:
    """Ends a study when none of its last trials was better than the best before them.

    With several objectives, a trial is better if it is so, against each trial of the best front, in at least one of them. Only a feasible
    trial that ran to its end can be better, only those with the largest budget so far are counted, and while there is no feasible one
    the study goes on.

    Args:
        trials: How many trials have to have ended without being better
        min_delta: by more than this, in the unit of each metric.
        min_trials: The study goes on until at least so many have ended.

    References:
        Laumanns et al., Combining convergence and diversity in evolutionary multiobjective optimization, 2002, for the additive
        ε-dominance that `min_delta` is with several objectives.

    >>> from wichtel.testing.terminators import problem, results
    >>> NoImprovement(problem(), trials=2).decide(results([0.5, 0.2, 0.3, 0.2])).reason
    'none of the last 2 trials was better by more than 0 than trial 1: score0 0.2'
    """

    def __init__(self, problem: Problem, *, trials: int = 30, min_delta: float = 0.0, min_trials: int = 0) -> None:
        if trials < 1:
            raise InvalidInput(f"trials is {trials}, but it takes at least one to get better.", where="terminator 'no_improvement'")
        if not min_delta >= 0:
            raise InvalidInput(f"min_delta is {min_delta}, but must not be negative.", where="terminator 'no_improvement'")
        self._objectives = problem.objectives
        self._trials = trials
        self._min_delta = min_delta
        self._min_trials = min_trials
        self._news = News()
        self._best: list[Result] = []
        self._since = 0

    def decide(self, results: Sequence[Result]) -> Decision:
        """See `Terminator.decide`."""
        for result, larger in self._news.of(results):
            if larger:
                self._best = []
            if complete(result) and self._better(result.losses):
                self._best = [b for b in self._best if not _no_worse(result.losses, b.losses)] + [result]
                self._since = 0
            else:
                self._since += 1
        if not self._best:
            return Decision(False, "no trial has a feasible result")
        last = self._best[-1]
        values = ", ".join(f"{o.metric} {o.loss(loss):.6g}" for o, loss in zip(self._objectives, last.losses, strict=True))
        if self._since < self._trials:
            return Decision(False, f"trial {last.number} was better {self._since} trials ago: {values}")
        words = f"none of the last {self._since} trials was better by more than {self._min_delta:g} than trial {last.number}: {values}"
        if len(results) < self._min_trials:
            return Decision(False, f"{words}; but fewer than {self._min_trials} trials have ended")
        return Decision(True, words)

    def _better(self, losses: tuple[float, ...]) -> bool:
        bars = (tuple(loss - self._min_delta for loss in b.losses) for b in self._best)
        return not any(_no_worse(bar, losses) for bar in bars)


def _no_worse(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True))
