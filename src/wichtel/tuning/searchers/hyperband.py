"""Hyperband: many configurations with a little budget, the best of them with more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from wichtel.domain import Config, RunState
from wichtel.tuning.halving import Brackets
from wichtel.tuning.ledger import Ledger
from wichtel.tuning.ports import Problem, Result, Suggestion


class Hyperband:
    """Draws configurations at random, trains them a little, and goes on with the best, in several brackets that differ in how little.

    A trial is one step of that: it trains up to its `budget`, from the checkpoint of its parent if it has one. For functions that ask for
    ``budget`` (with `checkpoint_path` and `resume` to go on rather than to begin again); if yours reports after each step and ends by
    itself, take random search with the pruner 'hyperband' instead.

    Args:
        min_budget: The smallest budget worth trying, in the unit that your function takes it in (epochs, examples, trees).
        max_budget: The full budget.
        eta: One in so many goes on, with so many times the budget.
        asynchronous: Promote at once what is among the best so far; else each step waits for all trials of the one before, as published.

    References:
        See `wichtel.tuning.halving.Brackets`.
    """

    promotes = True

    def __init__(self, problem: Problem, *, min_budget: float = 1, max_budget: float = 27, eta: int = 3, asynchronous: bool = True) -> None:
        self._problem = problem
        self._ledger = Ledger(problem.space)
        self._brackets = Brackets(min_budget, max_budget, eta, asynchronous, where=f"searcher {type(self).__name__.lower()!r}")
        starts = ", ".join(f"{n} at {b:g}" for n, b in zip(self._brackets.sizes, self._brackets.budgets, strict=True))
        self.explanation = (
            f"Of every {sum(self._brackets.sizes)} new configurations, {starts} begin; one in {eta} goes on with {eta} times the budget, "
            f"up to {max_budget:g}."
        )

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        while len(suggestions) < n:
            place = self._brackets.next()
            config: Config | None = None
            if place is not None and place.parent is None:
                random = self._problem.random(self._ledger.next)
                drawn = self._draw(random)
                config = self._ledger.fresh(lambda drawn=drawn: next(drawn), random)  # type: ignore[misc]
                if config is None:
                    place = self._brackets.next(fresh=False)
            if place is None:
                break
            if place.parent is not None:
                config = place.parent.config
            assert config is not None
            parent = place.parent.number if place.parent else None
            suggestion = Suggestion(config=config, budget=place.budget, parent=parent, state=place.memory)
            self._begin(self._ledger.begin(config), suggestion)
            suggestions.append(suggestion)
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            if result.state is RunState.RUNNING:
                self._brackets.begin(result.memory, result.parent)
            else:
                self._brackets.end(result)

    def _draw(self, random: Random) -> Iterator[Config]:
        """New configurations for one trial, without end."""
        while True:
            yield self._problem.space.sample(random)

    def _begin(self, number: int, suggestion: Suggestion) -> None:
        self._brackets.begin(suggestion.state, suggestion.parent)
