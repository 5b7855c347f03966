"""The median stopping rule."""

from __future__ import annotations

from bisect import bisect_left

from wichtel.domain import InvalidInput
from wichtel.tuning.curves import Curves
from wichtel.tuning.ports import Decision


class Median:
    """Stops a trial whose best result so far is worse than what the middle one of the others had on average by the same step.

    Args:
        min_trials: Trials that must have ended before any is stopped.
        min_steps: No trial is stopped at a step below this.

    References:
        Golovin et al., Google Vizier: a service for black-box optimization, KDD 2017, section 3.1.1; the default of 4 trials is that of
        Meister et al., MAGGY, 2020. Unlike there, running trials that have come as far count among the others.

    >>> from wichtel.domain import Objective
    >>> curves = Curves((Objective(metric="accuracy", better="larger"),))
    >>> for trial, accuracy in enumerate([0.9, 0.8, 0.85, 0.2]):
    ...     _ = curves.add(trial, 0, accuracy)
    >>> for trial in range(3):
    ...     curves.end(trial)
    >>> Median(min_trials=3).decide(curves, 3).stop
    True
    """

    def __init__(self, *, min_trials: int = 4, min_steps: int = 0) -> None:
        if min_trials < 1:
            raise InvalidInput(f"min_trials is {min_trials}, but a median needs at least one trial.", where="pruner 'median'")
        self._min_trials = min_trials
        self._min_steps = min_steps

    def decide(self, curves: Curves, trial: int) -> Decision:
        """See `Pruner.decide`."""
        if curves.ended < self._min_trials:
            return Decision(False, f"fewer than {self._min_trials} trials have ended")
        curve = curves[trial]
        step = curve.last
        if step < self._min_steps:
            return Decision(False, f"before step {self._min_steps}")
        averages = curves.averages(step)
        own = curve.average(step)
        assert own is not None
        others = len(averages) - 1
        if others < 1:
            return Decision(False, f"no other trial has come to step {step}")
        median = _median_without(averages, bisect_left(averages, own))
        best, middle = curves.value(curve.best), curves.value(median)
        if curve.best > median:
            return Decision(
                True, f"its best by step {step}, {best:.6g}, is worse than the median {middle:.6g} of {others} trials' averages"
            )
        return Decision(False, f"its best by step {step}, {best:.6g}, holds against the median {middle:.6g}")


def _median_without(values: object, skip: int) -> float:
    """The median of sorted `values` less the one at index `skip`."""
    assert isinstance(values, list)
    n = len(values) - 1

    def at(i: int) -> float:
        return float(values[i if i < skip else i + 1])

    middle = n // 2
    return at(middle) if n % 2 else _mean(at(middle - 1), at(middle))


def _mean(a: float, b: float) -> float:
    # Not (a + b) / 2: inf stays inf, and two huge numbers do not overflow.
    return a if a == b else a / 2 + b / 2
