"""The elitist genetic algorithm NSGA-II, for several objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import numpy as np

from wichtel.domain import Config, InvalidInput, RunState
from wichtel.tuning.ledger import MOST_MEMBERS, Ledger
from wichtel.tuning.models.encoding import Encoding
from wichtel.tuning.pareto import Key, order
from wichtel.tuning.ports import Problem, Result, Suggestion


class NSGA2:
    """Breeds from the configurations on the best fronts, and of these from the loneliest, so that the whole front is found.

    A generation ends with every `population` results, whichever they are of: nobody waits for the slowest trial. The survivors are the best
    of the last survivors and those. Two parents, each the better of two drawn, make a child: numbers by simulated binary crossover and
    polynomial mutation, choices from either parent, sometimes drawn anew. Infeasible configurations come after all that are feasible.

    Args:
        population: Survivors of a generation; that many are drawn at random first. By default a tenth of the study, 10 to 100.
        crossover: Probability that a child has two parents.
        spread: Distribution index of crossover and mutation: the higher, the nearer are children to their parents.

    References:
        Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, 2002; Deb and Agrawal, Simulated binary crossover, 1995.
    """

    def __init__(self, problem: Problem, *, population: int | None = None, crossover: float = 0.9, spread: float = 5.0) -> None:
        population = min(max(problem.trials // 10, 10), 100) if population is None else population
        if not 2 <= population <= MOST_MEMBERS:
            raise InvalidInput(f"population is {population}, but must be 2 to {MOST_MEMBERS:,}.", where="searcher 'nsga2'")
        if not 0 <= crossover <= 1:
            raise InvalidInput(f"crossover is {crossover}, but must be from 0 to 1.", where="searcher 'nsga2'")
        if not spread > 0:
            raise InvalidInput(f"spread is {spread}, but must be positive.", where="searcher 'nsga2'")
        self._problem = problem
        self._encoding = Encoding(problem.space)
        self._ledger = Ledger(problem.space)
        self._size = population
        self._crossover = crossover
        self._spread = spread
        self._survivors: list[Result] = []
        #: Of the survivors.
        self._keys: list[Key] = []
        #: What ended since the last generation.
        self._newcomers: list[Result] = []

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        return self._ledger.suggest(n, self._problem, self._draw)

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            if result.state in (RunState.RUNNING, RunState.CANCELED):
                continue
            self._newcomers.append(result)
            if len(self._newcomers) == self._size:
                every = [r for r in self._survivors + self._newcomers if r.losses]
                ranked = sorted(zip(order(every), every, strict=True), key=lambda pair: pair[0])[: self._size]
                self._keys = [key for key, _ in ranked]
                self._survivors = [result for _, result in ranked]
                self._newcomers = []

    def _draw(self, random: Random) -> Config:
        if not self._survivors:
            return self._problem.space.sample(random)
        mother = self._parent(random)
        father = self._parent(random) if random.random() < self._crossover else mother
        first, second = self._encoding.encode(mother), self._encoding.encode(father)
        child = np.array([self._cross(i, float(a), float(b), random) for i, (a, b) in enumerate(zip(first, second, strict=True))])
        active = [i for i, entry in enumerate(child) if not math.isnan(entry)]
        for i in active:
            if random.random() * len(active) < 1:
                child[i] = self._mutated(i, float(child[i]), random)
        return self._encoding.decode(child, random)

    def _parent(self, random: Random) -> Config:
        # They are in the order of their keys.
        return self._survivors[min(random.randrange(len(self._survivors)) for _ in range(2))].config

    def _cross(self, i: int, first: float, second: float, random: Random) -> float:
        if random.random() < 0.5:
            first, second = second, first
        if math.isnan(first) or math.isnan(second):
            return second if math.isnan(first) else first
        if self._encoding.columns[i].categorical or first == second or random.random() < 0.5:
            return first
        u = random.random()
        power = 1 / (self._spread + 1)
        beta = (2 * u) ** power if u <= 0.5 else (2 - 2 * u) ** -power
        return _reflected(0.5 * ((1 + beta) * first + (1 - beta) * second))

    def _mutated(self, i: int, entry: float, random: Random) -> float:
        column = self._encoding.columns[i]
        if column.categorical:
            return column.draw(random)
        u = random.random()
        power = 1 / (self._spread + 1)
        # Deb's bounded form: it never leaves [0, 1].
        if u < 0.5:
            return entry - 1 + math.pow(2 * u + (1 - 2 * u) * math.pow(1 - entry, self._spread + 1), power)
        return entry + 1 - math.pow(2 * (1 - u) + (2 * u - 1) * math.pow(entry, self._spread + 1), power)


def _reflected(entry: float) -> float:
    """`entry`, bounced off the ends of [0, 1]."""
    entry %= 2.0
    return 2.0 - entry if entry > 1.0 else entry
