"""Asynchronous successive halving."""

from __future__ import annotations

from wichtel.domain import InvalidInput
from wichtel.tuning.curves import Curves
from wichtel.tuning.ports import Decision


class ASHA:
    """Lets only the best ``1/eta`` of those that have come to a rung go on, judged when a trial comes to it.

    Rungs lie at the steps ``min_resource · eta**k``. The first ``eta - 1`` trials at a rung pass, since nothing is known there yet.

    Args:
        eta: The reduction factor.
        min_resource: The step of the lowest rung.

    References:
        Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020, algorithm 2, in the variant that
        stops trials instead of pausing them.
    """

    def __init__(self, *, eta: int = 4, min_resource: int = 1) -> None:
        if eta < 2:
            raise InvalidInput(f"eta is {eta}, but must be at least 2.", where="pruner 'asha'")
        if min_resource < 1:
            raise InvalidInput(f"min_resource is {min_resource}, but must be at least 1.", where="pruner 'asha'")
        self._eta = eta
        self._min_resource = min_resource

    def decide(self, curves: Curves, trial: int) -> Decision:
        """See `Pruner.decide`."""
        curve = curves[trial]
        before = curve.steps[-2] if len(curve.steps) > 1 else -1
        loss = curve.losses[-1]
        reason = "between two rungs"
        rung = self._min_resource
        while rung <= curve.last:
            if rung > before:
                losses = curves.reached(rung)
                kept = len(losses) // self._eta
                place = f"at the rung of step {rung}"
                if kept and loss > losses[kept - 1]:
                    own, bar = curves.value(loss), curves.value(losses[kept - 1])
                    return Decision(
                        True, f"{place} its {own:.6g} is not among the best {kept} of {len(losses)} trials ({bar:.6g} or better)"
                    )
                reason = f"{place} among the best {kept} of {len(losses)} trials" if kept else f"{place} with too few to compare with"
            rung *= self._eta
        return Decision(False, reason)
