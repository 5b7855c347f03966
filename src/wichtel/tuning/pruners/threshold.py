"""Bounds on the metric itself."""

from __future__ import annotations

import math

from wichtel.domain import InvalidInput, did_you_mean
from wichtel.tuning.curves import Curves
from wichtel.tuning.ports import Decision


class Threshold:
    """Stops a trial whose metric is out of bounds; one that is NaN or infinite at once.

    Args:
        lower: The smallest value that may go on.
        upper: The largest.
        from_step: The bounds hold at this step and later.
        metric: The objective that is meant; without it, the first.

    >>> from wichtel.domain import Objective
    >>> curves = Curves((Objective(metric="loss", better="smaller"),))
    >>> _ = curves.add(0, 5, 12.5)
    >>> Threshold(upper=10, from_step=5).decide(curves, 0).reason
    'its loss is 12.5 at step 5, above 10'
    """

    def __init__(self, *, lower: float | None = None, upper: float | None = None, from_step: int = 0, metric: str | None = None) -> None:
        if lower is not None and upper is not None and lower > upper:
            raise InvalidInput(f"nothing is at least {lower} and at most {upper}.", where="pruner 'threshold'")
        self._lower = -math.inf if lower is None else lower
        self._upper = math.inf if upper is None else upper
        self._from_step = from_step
        self._metric = metric

    def decide(self, curves: Curves, trial: int) -> Decision:
        """See `Pruner.decide`.

        Raises:
            InvalidInput: the study has no such objective.
        """
        parts = curves.parts(trial)
        step = parts[0].last
        if not math.isfinite(parts[0].losses[-1]):
            what = f"its {curves.objectives[0].metric}" if len(parts) == 1 else "one of its objectives"
            return Decision(True, f"{what} is not a finite number at step {step}")
        if step < self._from_step:
            return Decision(False, f"before step {self._from_step}")
        metrics = [o.metric for o in curves.objectives]
        metric = metrics[0] if self._metric is None else self._metric
        if metric not in metrics:
            raise InvalidInput(f"{metric!r} is no objective.", where="pruner 'threshold'", hint=did_you_mean(metric, metrics))
        i = metrics.index(metric)
        value = curves.objectives[i].loss(parts[i].losses[-1])
        place = f"its {metric} is {value:.6g} at step {step}"
        if value < self._lower:
            return Decision(True, f"{place}, below {self._lower:g}")
        if value > self._upper:
            return Decision(True, f"{place}, above {self._upper:g}")
        return Decision(False, f"{place}, within its bounds")
