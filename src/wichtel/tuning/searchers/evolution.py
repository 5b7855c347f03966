"""Regularised (ageing) evolution."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random

from wichtel.domain import Config, InvalidInput, RunState
from wichtel.tuning.ledger import MOST_MEMBERS, Ledger
from wichtel.tuning.models.encoding import Encoding
from wichtel.tuning.pareto import order
from wichtel.tuning.ports import Problem, Result, Suggestion


class Evolution:
    """Changes one parameter of a good configuration, and forgets the old. Simple, hardly minds noise, at home with choices and conditions.

    The population are the last `population` results. For each suggestion some of them are drawn, and the best of these is the one that
    is changed; what has a lucky measurement is forgotten in time, unless its descendants are good, too. Several objectives and
    constraints count as in `wichtel.tuning.pareto.order`.

    Args:
        population: Results that are remembered; that many are drawn at random first. By default a tenth of the study, 10 to 100.
        tournament: How many of them compete, as a share of the population.
        scale: Standard deviation of a number's change, as a share of its range.

    References:
        Real et al., Regularized evolution for image classifier architecture search, AAAI 2019, algorithm 1.
    """

    def __init__(self, problem: Problem, *, population: int | None = None, tournament: float = 0.8, scale: float = 0.2) -> None:
        population = min(max(problem.trials // 10, 10), 100) if population is None else population
        if not 2 <= population <= MOST_MEMBERS:
            raise InvalidInput(f"population is {population}, but must be 2 to {MOST_MEMBERS:,}.", where="searcher 'evolution'")
        if not 0 < tournament <= 1:
            raise InvalidInput(f"tournament is {tournament}, but must be above 0 and at most 1.", where="searcher 'evolution'")
        if not scale > 0:
            raise InvalidInput(f"scale is {scale}, but must be positive.", where="searcher 'evolution'")
        self._problem = problem
        self._encoding = Encoding(problem.space)
        self._ledger = Ledger(problem.space)
        #: The oldest first. What failed is no member: it has no descendants.
        self._population: deque[Result] = deque(maxlen=population)
        self._startup = population
        self._rivals = max(2, round(population * tournament))
        self._scale = scale
        self._ended = 0

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        keys = order(self._population)
        for _ in range(n):
            random = self._problem.random(self._ledger.next)
            parent: Config | None = None
            if self._ended >= self._startup and keys:
                rivals = random.sample(range(len(keys)), min(self._rivals, len(keys)))
                parent = self._population[min(rivals, key=keys.__getitem__)].config
            config = self._ledger.fresh(lambda parent=parent, random=random: self._draw(parent, random), random)  # type: ignore[misc]
            if config is None:
                break
            self._ledger.begin(config)
            suggestions.append(Suggestion(config=config))
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            if result.state not in (RunState.RUNNING, RunState.CANCELED):
                self._ended += 1
                if result.losses:
                    self._population.append(result)

    def _draw(self, parent: Config | None, random: Random) -> Config:
        if parent is None:
            return self._problem.space.sample(random)
        return self._encoding.mutate(parent, random, scale=self._scale)
