"""Brackets of successive halving: which trial is to go on at a larger budget, and when to begin another at a small one."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from wichtel.domain import InvalidInput, RunState
from wichtel.tuning.pareto import Key, order
from wichtel.tuning.ports import Result


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trial belongs."""

    bracket: int
    #: 0 is the lowest of its bracket.
    rung: int
    budget: float
    #: The trial to be promoted; None: a new configuration is to begin.
    parent: Result | None = None

    @property
    def memory(self) -> dict[str, Any]:
        """What `Brackets.begin` needs to hear of it later."""
        return {"bracket": self.bracket, "rung": self.rung}


@dataclass(slots=True)
class _Rung:
    begun: int = 0
    ended: int = 0
    #: Of those that ended, how many were not canceled.
    judged: int = 0
    promoted: set[int] = field(default_factory=set)
    #: By number, those that came through.
    finished: dict[int, Result] = field(default_factory=dict)
    #: Of those, the best first; None if it has to be found anew.
    ranking: list[tuple[Key, int]] | None = field(default_factory=list)

    def end(self, result: Result) -> None:
        self.ended += 1
        self.judged += result.state is not RunState.CANCELED
        # What a pruner stopped did not come to this budget, and a failure has no checkpoint.
        if result.state is not RunState.SUCCEEDED or not result.losses:
            return
        self.finished[result.number] = result
        if len(result.losses) > 1:
            # The fronts may be others now.
            self.ranking = None
        elif self.ranking is not None:
            insort(self.ranking, (order([result])[0], result.number))

    def best(self, count: int) -> Result | None:
        """Of the `count` best, the best that was not promoted."""
        if self.ranking is None:
            self.ranking = sorted(zip(order(list(self.finished.values())), self.finished, strict=True))
        return next((self.finished[n] for _, n in islice(self.ranking, count) if n not in self.promoted), None)


class Brackets:
    """Who is to be evaluated next, and how far.

    The kind of a bracket is its position in the cycle: kind `k` begins at budget ``max_budget · eta**(k - kinds + 1)``, and with more
    configurations the smaller that is, so that all kinds cost about the same.

    - Asynchronous: there is one bracket of each kind. A trial is promoted as soon as it is among the best ``1/eta`` of those that ended on
      its rung; if there is none, a new configuration begins, by turns in the brackets.
    - Else: brackets follow one another, and a rung waits for all its trials.

    Args:
        min_budget: No rung is below it.
        max_budget: The highest rung.
        eta: One in so many goes on, with so many times the budget.
        asynchronous: See above.
        where: Names the searcher in errors.

    Raises:
        InvalidInput: budgets that are not positive and in order, or an `eta` below 2.

    References:
        Li et al., Hyperband: a novel bandit-based approach to hyperparameter optimization, JMLR 2018, algorithm 1; asynchronous as in
        Li et al., A system for massively parallel hyperparameter tuning, MLSys 2020, algorithm 2 and section 3.2.
    """

    def __init__(self, min_budget: float, max_budget: float, eta: int, asynchronous: bool, *, where: str) -> None:
        if not (0 < min_budget <= max_budget and math.isfinite(max_budget)):
            raise InvalidInput(f"budgets from {min_budget} to {max_budget} are no range of positive numbers.", where=where)
        if not (isinstance(eta, int) and eta >= 2):
            raise InvalidInput(f"eta is {eta}, but must be a whole number of at least 2.", where=where)
        kinds = math.floor(math.log(max_budget / min_budget, eta) + 1e-9) + 1
        self._eta = eta
        self._asynchronous = asynchronous
        #: Those of all rungs, ascending.
        self.budgets = tuple(float(max_budget / eta ** (kinds - 1 - k)) for k in range(kinds))
        #: By kind, how many configurations begin in one cycle.
        self.sizes = tuple(-(-kinds * eta ** (kinds - 1 - k) // (kinds - k)) for k in range(kinds))
        #: By bracket; when synchronous, only the last is at work.
        self._brackets: list[list[_Rung]] = []
        self._begun = 0
        if asynchronous:
            self._brackets = [self._bracket(kind) for kind in range(kinds)]

    def next(self, *, fresh: bool = True) -> Place | None:
        """What to evaluate now, or None: wait for a trial to end; with none running, there is no more.

        Args:
            fresh: Whether there are new configurations.
        """
        return self._next_asynchronous(fresh) if self._asynchronous else self._next_synchronous(fresh)

    def begin(self, memory: Mapping[str, Any], parent: int | None) -> None:
        """Note that a trial began at the `Place` of that memory."""
        if "bracket" not in memory:
            # One of the user's.
            return
        bracket, rung = memory["bracket"], memory["rung"]
        while bracket >= len(self._brackets):
            self._brackets.append(self._bracket(len(self._brackets) % len(self.sizes)))
        self._brackets[bracket][rung].begun += 1
        if parent is None:
            self._begun += 1
        else:
            self._brackets[bracket][rung - 1].promoted.add(parent)

    def end(self, result: Result) -> None:
        """Note that one ended."""
        if "bracket" in result.memory:
            self._brackets[result.memory["bracket"]][result.memory["rung"]].end(result)

    def _bracket(self, kind: int) -> list[_Rung]:
        return [_Rung() for _ in self.budgets[kind:]]

    def _place(self, bracket: int, rung: int, parent: Result | None = None) -> Place:
        return Place(bracket, rung, self.budgets[bracket % len(self.sizes) + rung], parent)

    def _next_asynchronous(self, fresh: bool) -> Place | None:
        for b, rungs in enumerate(self._brackets):
            for r in reversed(range(len(rungs) - 1)):
                best = rungs[r].best(rungs[r].judged // self._eta)
                if best is not None:
                    return self._place(b, r + 1, best)
        at = self._begun % sum(self.sizes)
        kind = 0
        while at >= self.sizes[kind]:
            at -= self.sizes[kind]
            kind += 1
        return self._place(kind, 0) if fresh else None

    def _next_synchronous(self, fresh: bool) -> Place | None:
        last = len(self._brackets) - 1
        if last >= 0:
            rungs = self._brackets[last]
            if fresh and rungs[0].begun < self.sizes[last % len(self.sizes)]:
                return self._place(last, 0)
            for r, rung in enumerate(rungs):
                if rung.ended < rung.begun:
                    # The next rung has not begun, or is the one that is waited for.
                    return None
                best = rung.best(rung.begun // self._eta) if r + 1 < len(rungs) else None
                if best is not None:
                    return self._place(last, r + 1, best)
        return self._place(last + 1, 0) if fresh else None
