"""The percentile stopping rule."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from wichtel.domain import InvalidInput
from wichtel.tuning.curves import Curves
from wichtel.tuning.ports import Decision


class Percentile:
    """Stops a trial that was on average worse so far than a percentile of the others that have come as far were by then.

    Args:
        percentile: Counted from the best: with 25, a trial goes on if it keeps up with the best quarter. In ``(0, 100)``.
        min_trials: Others that must have come to a step for a trial to be stopped there.
        min_steps: No trial is stopped at a step below this.

    References:
        The rule of `Median`, for another share than half.

    >>> from wichtel.domain import Objective
    >>> curves = Curves((Objective(metric="accuracy", better="larger"),))
    >>> for trial, accuracy in enumerate([0.9, 0.8, 0.7, 0.6, 0.75]):
    ...     _ = curves.add(trial, 1, accuracy)
    >>> Percentile(percentile=25).decide(curves, 4).stop, Percentile(percentile=75).decide(curves, 4).stop
    (True, False)
    """

    def __init__(self, *, percentile: float = 25.0, min_trials: int = 4, min_steps: int = 0) -> None:
        self._name = "median" if percentile == 50 else f"best {percentile:g} %"
        where = f"pruner {'median' if percentile == 50 else 'percentile'!r}"
        if not 0 < percentile < 100:
            raise InvalidInput(f"percentile is {percentile}, but must be between 0 and 100.", where=where)
        if min_trials < 1:
            raise InvalidInput(f"min_trials is {min_trials}, but there must be a trial to compare with.", where=where)
        self._share = percentile / 100
        self._min_trials = min_trials
        self._min_steps = min_steps

    def decide(self, curves: Curves, trial: int) -> Decision:
        """See `Pruner.decide`."""
        curve = curves[trial]
        step = curve.last
        if step < self._min_steps:
            return Decision(False, f"before step {self._min_steps}")
        averages = curves.averages(step)
        own = curve.average(step)
        assert own is not None
        others = len(averages) - 1
        if others < self._min_trials:
            return Decision(False, f"fewer than {self._min_trials} others have come to step {step}")
        bar = _quantile_without(averages, bisect_left(averages, own), self._share)
        was, words = curves.words(own), f"the {self._name}, {curves.words(bar)}, of {others} others' averages"
        if own > bar:
            return Decision(True, f"its average by step {step}, {was}, is worse than {words}")
        return Decision(False, f"its average by step {step}, {was}, holds against {words}")


def _quantile_without(values: Sequence[float], skip: int, share: float) -> float:
    """The `share`-quantile of sorted `values` less the one at index `skip`, interpolated."""
    position = share * (len(values) - 2)
    low = int(position)
    a = values[low if low < skip else low + 1]
    rest = position - low
    if not rest:
        return a
    b = values[low + 1 if low + 1 < skip else low + 2]
    # Not a + rest * (b - a): inf stays inf, and two huge numbers do not overflow.
    return a if a == b else a * (1 - rest) + b * rest
