"""Random search."""

from __future__ import annotations

from collections.abc import Sequence

from wichtel.tuning.ledger import Ledger
from wichtel.tuning.ports import Problem, Result, Suggestion


class RandomSearch:
    """Draws every configuration independently, none twice. Hard to beat by much when there are many workers and few trials.

    References:
        Bergstra and Bengio, Random search for hyper-parameter optimization, JMLR 2012.
    """

    learns = False

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._ledger = Ledger(problem.space)

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        return self._ledger.suggest(n, self._problem, self._problem.space.sample)

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        self._ledger.hear(results)
