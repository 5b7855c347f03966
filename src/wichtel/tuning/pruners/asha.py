"""Asynchronous successive halving."""

from __future__ import annotations

from wichtel.domain import InvalidInput
from wichtel.tuning.curves import Among, Curves
from wichtel.tuning.ports import Decision


class ASHA:
    """Successive halving: lets only the best ``1/eta`` of those that have come to a rung go on, judged when a trial comes to it.

    Rungs lie at the steps ``min_resource · eta**k``. The first ``eta - 1`` trials at a rung pass, since nothing is known there yet.

    Args:
        eta: The reduction factor.
        min_resource: The step of the lowest rung.

    References:
        Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter optimization, AISTATS 2016 (successive halving);
        Li et al., A system for massively parallel hyperparameter tuning, MLSys 2020, algorithm 2, in the variant that stops trials
        instead of pausing them.
    """

    def __init__(self, *, eta: int = 4, min_resource: int = 1) -> None:
        check_rungs("asha", eta, min_resource)
        self._eta = eta
        self._min_resource = min_resource

    def decide(self, curves: Curves, trial: int) -> Decision:
        """See `Pruner.decide`."""
        return judge(curves, trial, eta=self._eta, min_resource=self._min_resource)


def check_rungs(name: str, eta: int, min_resource: int) -> None:
    """Make sure that there can be rungs.

    Raises:
        InvalidInput: a number is too small.
    """
    if eta < 2:
        raise InvalidInput(f"eta is {eta}, but must be at least 2.", where=f"pruner {name!r}")
    if min_resource < 1:
        raise InvalidInput(f"min_resource is {min_resource}, but must be at least 1.", where=f"pruner {name!r}")


def judge(curves: Curves, trial: int, *, eta: int, min_resource: int, among: Among | None = None) -> Decision:
    """Successive halving of the trials `among` a group, or of all."""
    curve = curves[trial]
    steps = curve.steps
    before = steps[-2] if len(steps) > 1 else -1
    reason = "between two rungs"
    rung = min_resource
    while rung <= steps[-1]:
        if rung > before:
            loss, losses = curve.reached(rung, among), curves.reached(rung, among)
            assert loss is not None
            kept = len(losses) // eta
            place = f"at the rung of step {rung}"
            if kept and loss > losses[kept - 1]:
                own, bar = curves.words(loss), curves.words(losses[kept - 1])
                return Decision(True, f"{place} its {own} is not among the best {kept} of {len(losses)} trials ({bar} or better)")
            reason = f"{place} among the best {kept} of {len(losses)} trials" if kept else f"{place} with too few to compare with"
        rung *= eta
    return Decision(False, reason)
