"""The covariance matrix adaptation evolution strategy, with the strategy itself from the `cmaes` package."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import numpy as np
from cmaes import CMA

from wichtel.domain import Config, InvalidInput, RunState
from wichtel.tuning.ledger import MOST_MEMBERS, Ledger
from wichtel.tuning.models.encoding import Encoding, Vector
from wichtel.tuning.ports import Problem, Result, Suggestion

#: Losses beyond it count as this: the strategy works out how far they are apart.
_LARGEST = 1e300


class CMAES:
    """Moves a normal distribution towards the better half of each generation, and learns its shape. For numbers that hang together.

    It adapts the floats and whole numbers that always exist; parameters that are choices, or exist only sometimes, are drawn at random.
    A generation ends with its first `population` results; later ones of it are not learned from. When the distribution has shrunk to a
    point, the search begins anew elsewhere.

    Infeasible trials are worse than all feasible ones of their generation, by the sum of their violations.

    Args:
        population: Trials of a generation; by default ``4 + ⌊3 ln d⌋`` for `d` parameters.
        sigma: Standard deviation at the beginning, as a share of each parameter's range.

    References:
        Hansen, The CMA evolution strategy: a tutorial, arXiv:1604.00772.
    """

    def __init__(self, problem: Problem, *, population: int | None = None, sigma: float = 0.3) -> None:
        if len(problem.objectives) > 1:
            raise InvalidInput("it takes one objective.", where="searcher 'cmaes'", hint="Use 'nsga2' or 'tpe'.")
        self._problem = problem
        self._axes = [c for c in Encoding(problem.space).columns if not c.categorical and not c.parameter.when]
        if not self._axes:
            raise InvalidInput(
                "the space has no float or whole number that always exists.", where="searcher 'cmaes'", hint="Use 'tpe' or 'random'."
            )
        if population is not None and not 4 <= population <= MOST_MEMBERS:
            raise InvalidInput(f"population is {population}, but must be 4 to {MOST_MEMBERS:,}.", where="searcher 'cmaes'")
        if not 1e-6 <= sigma <= 1:
            raise InvalidInput(f"sigma is {sigma}, but must be from 1e-6 to 1.", where="searcher 'cmaes'")
        self._population = population
        self._sigma = sigma
        self._ledger = Ledger(problem.space)
        #: Counts through restarts, unlike that of `CMA`.
        self._generation = 0
        self._results: list[Result] = []
        self._strategy = self._start(np.full(len(self._axes), 0.5))

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        return self._ledger.suggest(n, self._problem, self._draw, generation=self._generation)

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            known = result.state not in (RunState.RUNNING, RunState.CANCELED)
            if not known or result.memory.get("generation") != self._generation:
                continue
            self._results.append(result)
            if len(self._results) == self._strategy.population_size:
                points = [np.array([axis.encode(r.config[axis.name]) for axis in self._axes]) for r in self._results]
                self._strategy.tell(list(zip(points, _values(self._results), strict=True)))
                self._results = []
                self._generation += 1
                if self._strategy.should_stop():
                    random = Random(f"{self._problem.seed(0)}/{self._generation}")
                    self._strategy = self._start(np.array([random.random() for _ in self._axes]))

    def _start(self, mean: Vector) -> CMA:
        bounds = np.array([[0.0, 1.0]] * len(self._axes))
        return CMA(mean=mean, sigma=self._sigma, bounds=bounds, population_size=self._population, seed=0)

    def _draw(self, random: Random) -> Config:
        self._strategy.reseed_rng(random.getrandbits(31))
        point = self._strategy.ask()
        numbers = {axis.name: axis.decode(float(x)) for axis, x in zip(self._axes, point, strict=True)}
        drawn = self._problem.space.sample(random)
        config: Config = {}
        for name, parameter in self._problem.space.items():
            if self._problem.space.is_active(name, config):
                value = numbers.get(name, drawn.get(name))
                # The draw may have gone another way at a parent that the strategy moves.
                config[name] = value if name in numbers or name in drawn else parameter.sample(random)
        return config


def _values(results: Sequence[Result]) -> list[float]:
    """A finite number for each result that says how good it is: its loss if it is feasible; others come behind, by their violations."""
    worst = max((_finite(r.losses[0]) for r in results if r.feasible), default=0.0)
    broken = {r.number: sum(r.violations) if r.losses else math.inf for r in results if not r.feasible}
    places = sorted(set(broken.values()))
    # In steps that even a huge loss does not swallow.
    step = max(1.0, abs(worst))
    return [_finite(r.losses[0]) if r.feasible else worst + (1 + places.index(broken[r.number])) * step for r in results]


def _finite(loss: float) -> float:
    return min(max(loss, -_LARGEST), _LARGEST)
