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
        suggestions: list[Suggestion] = []
        for _ in range(n):
            random = self._problem.random(self._ledger.next)
            config = self._ledger.fresh(lambda random=random: self._problem.space.sample(random), random)  # type: ignore[misc]
            if config is None:
                break
            self._ledger.begin(config)
            suggestions.append(Suggestion(config=config))
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        self._ledger.hear(results)
