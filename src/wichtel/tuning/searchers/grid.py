"""Grid search."""

from __future__ import annotations

from collections.abc import Sequence

from wichtel.domain import InvalidInput
from wichtel.tuning.ledger import Ledger
from wichtel.tuning.ports import Problem, Result, Suggestion


class GridSearch:
    """Every combination of values once, the last parameter fastest. The study ends when the grid does.

    Args:
        resolution: How many points of a continuous parameter (or of a whole-numbered one with more values), evenly on its scale.
    """

    learns = False

    def __init__(self, problem: Problem, *, resolution: int = 5) -> None:
        if resolution < 1:
            raise InvalidInput(f"resolution is {resolution}, but must be at least 1.", where="searcher 'grid'")
        self._ledger = Ledger(problem.space)
        self._rest = problem.space.grid(resolution)

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        while len(suggestions) < n and (config := next(self._rest, None)) is not None:
            # Skips the user's own, and after a restart those of the log.
            if self._ledger.is_new(config):
                self._ledger.begin(config)
                suggestions.append(Suggestion(config=config))
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        self._ledger.hear(results)
