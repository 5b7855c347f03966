"""Hyperband's brackets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

from wichtel.domain import InvalidInput
from wichtel.tuning.curves import Curves
from wichtel.tuning.ports import Decision
from wichtel.tuning.pruners.asha import check_rungs, judge

#: Multiples of it, modulo 1, are spread evenly however many there are.
_GOLDEN = (math.sqrt(5) - 1) / 2


class Hyperband:
    """Successive halving in several brackets, so that a configuration that learns slowly gets its chance in one that judges late.

    Bracket `b` has its lowest rung at step ``min_resource · eta**b``, and compares its own trials only. A trial's number says which bracket
    it is in; brackets get the shares of trials that Hyperband gives them, so that each costs about the same.

    Args:
        eta: The reduction factor.
        min_resource: The step of the lowest rung of all.
        max_resource: The step at which trials end by themselves; the last bracket's lowest rung is not above it.

    References:
        Li et al., Hyperband: a novel bandit-based approach to hyperparameter optimization, JMLR 2018, algorithm 1; asynchronous as in
        Li et al., A system for massively parallel hyperparameter tuning, MLSys 2020, section 3.2.
    """

    def __init__(self, *, eta: int = 3, min_resource: int = 1, max_resource: int = 81) -> None:
        check_rungs("hyperband", eta, min_resource)
        if max_resource < min_resource:
            raise InvalidInput(f"max_resource is {max_resource}, below min_resource.", where="pruner 'hyperband'")
        self._eta = eta
        rungs = [min_resource]
        while rungs[-1] * eta <= max_resource:
            rungs.append(rungs[-1] * eta)
        n = len(rungs)
        sizes = [-(-n * eta ** (n - b - 1) // (n - b)) for b in range(n)]
        ends = [total / sum(sizes) for total in accumulate(sizes)]
        self._rungs = rungs
        self._brackets = [_Bracket(b, start, end) for b, (start, end) in enumerate(zip([0.0, *ends], ends, strict=False))]

    def bracket(self, trial: int) -> int:
        """The number, from 0, of the bracket that a trial is in."""
        return next((b.index for b in self._brackets if b(trial)), len(self._brackets) - 1)

    def decide(self, curves: Curves, trial: int) -> Decision:
        """See `Pruner.decide`."""
        b = self.bracket(trial)
        decision = judge(curves, trial, eta=self._eta, min_resource=self._rungs[b], among=self._brackets[b])
        return Decision(decision.stop, f"{decision.reason}, in bracket {b + 1} of {len(self._brackets)}")


@dataclass(frozen=True, slots=True)
class _Bracket:
    """The trials whose place in ``[0, 1)`` is in ``[start, end)``."""

    index: int
    start: float
    end: float

    def __call__(self, trial: int) -> bool:
        return self.start <= trial * _GOLDEN % 1 < self.end
