"""Patience."""

from __future__ import annotations

from wichtel.domain import InvalidInput
from wichtel.tuning.curves import Curves
from wichtel.tuning.ports import Decision


class Patience:
    """Stops a trial that has come to a standstill, whatever the others do.

    Args:
        steps: Within so many steps, the best it ever had has to have become better,
        min_delta: by more than this, in the metric's unit; with several objectives, one of them has to.
        min_steps: No trial is stopped at a step below this.

    References:
        Prechelt, Early stopping – but when?, in Neural Networks: Tricks of the Trade, 1998.

    >>> from wichtel.domain import Objective
    >>> curves = Curves((Objective(metric="accuracy", better="larger"),))
    >>> for step, accuracy in enumerate([0.5, 0.7, 0.69, 0.7]):
    ...     _ = curves.add(0, step, accuracy)
    >>> Patience(steps=2).decide(curves, 0).reason
    'by step 3 its best is not better by more than 0 than 2 steps before: accuracy 0.7 against 0.7'
    """

    def __init__(self, *, steps: int = 10, min_delta: float = 0.0, min_steps: int = 0) -> None:
        if steps < 1:
            raise InvalidInput(f"steps is {steps}, but a trial needs at least one to get better.", where="pruner 'patience'")
        if not min_delta >= 0:
            raise InvalidInput(f"min_delta is {min_delta}, but must not be negative.", where="pruner 'patience'")
        self._steps = steps
        self._min_delta = min_delta
        self._min_steps = min_steps

    def decide(self, curves: Curves, trial: int) -> Decision:
        """See `Pruner.decide`."""
        parts = curves.parts(trial)
        step = parts[0].last
        if step < self._min_steps:
            return Decision(False, f"before step {self._min_steps}")
        first = parts[0].steps[0]
        if step - first < self._steps:
            return Decision(False, f"only {step - first} steps after its first report")
        then = step - self._steps
        words = []
        for objective, part in zip(curves.objectives, parts, strict=True):
            earlier = part.best_by(then)
            assert earlier is not None
            now, was = (f"{objective.loss(loss):.6g}" for loss in (part.best, earlier))
            if part.best < earlier - self._min_delta:
                return Decision(
                    False, f"its best {objective.metric} by step {step}, {now}, is better than {was} of {self._steps} steps before"
                )
            words.append(f"{objective.metric} {now} against {was}")
        return Decision(
            True,
            f"by step {step} its best is not better by more than {self._min_delta:g} than {self._steps} steps before: {', '.join(words)}",
        )
