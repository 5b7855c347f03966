"""What a terminator has not seen yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from wichtel.domain import RunState
from wichtel.tuning.ports import Result


class News:
    """Goes through results that only grow, each once, and leaves out those that no longer count: with a smaller budget than others had."""

    def __init__(self) -> None:
        self._seen = 0
        self._budget = 0.0

    def of(self, results: Sequence[Result]) -> Iterator[tuple[Result, bool]]:
        """Each new result, and whether those before it no longer count."""
        for result in islice(results, self._seen, None):
            self._seen += 1
            budget = result.budget or 0.0
            larger = budget > self._budget
            if budget >= self._budget:
                self._budget = budget
                yield result, larger


def complete(result: Result) -> bool:
    """Whether it may be the study's best: it is feasible, and the trial was not stopped."""
    return result.state is RunState.SUCCEEDED and result.feasible
