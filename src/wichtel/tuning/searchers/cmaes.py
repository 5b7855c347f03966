"""The covariance matrix adaptation evolution strategy, with the strategy itself from the `cmaes` package."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
from cmaes import CMA

from wichtel.domain import Config, Float, Int, InvalidInput, RunState
from wichtel.tuning.ledger import Ledger
from wichtel.tuning.ports import Problem, Result, Suggestion

_Vector = np.ndarray[Any, np.dtype[np.float64]]


class CMAES:
    """Moves a normal distribution towards the better half of each generation, and learns its shape. For numbers that hang together.

    It adapts the floats and whole numbers that always exist; parameters that are choices, or exist only sometimes, are drawn at random.
    A generation ends with its first `population` results; later ones of it are not learned from. When the distribution has shrunk to a
    point, the search begins anew elsewhere.

    Args:
        population: Trials of a generation; by default ``4 + ⌊3 ln d⌋`` for `d` parameters.
        sigma: Standard deviation at the beginning, as a share of each parameter's range.

    References:
        Hansen, The CMA evolution strategy: a tutorial, arXiv:1604.00772.
    """

    def __init__(self, problem: Problem, *, population: int | None = None, sigma: float = 0.3) -> None:
        self._problem = problem
        self._axes = {name: _Axis(p) for name, p in problem.space.items() if isinstance(p, Float | Int) and not p.when and p.low < p.high}
        if not self._axes:
            raise InvalidInput(
                "the space has no float or whole number that always exists.", where="searcher 'cmaes'", hint="Use 'tpe' or 'random'."
            )
        if population is not None and population < 2:
            raise InvalidInput(f"population is {population}, but must be at least 2.", where="searcher 'cmaes'")
        if not sigma > 0:
            raise InvalidInput(f"sigma is {sigma}, but must be positive.", where="searcher 'cmaes'")
        self._population = population
        self._sigma = sigma
        self._ledger = Ledger(problem.space)
        #: Counts through restarts, unlike that of `CMA`.
        self._generation = 0
        self._results: list[tuple[_Vector, float]] = []
        self._strategy = self._start(np.full(len(self._axes), 0.5))

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        for _ in range(n):
            random = self._problem.random(self._ledger.next)
            config = self._ledger.fresh(lambda random=random: self._draw(random), random)  # type: ignore[misc]
            if config is None:
                break
            self._ledger.begin(config)
            suggestions.append(Suggestion(config=config, state={"generation": self._generation}))
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            known = result.state not in (RunState.RUNNING, RunState.CANCELED)
            if not known or result.memory.get("generation") != self._generation:
                continue
            point = np.array([axis.to_unit(result.config[name]) for name, axis in self._axes.items()])
            # Only ranks count, so that infinity is a fair value for a failure.
            self._results.append((point, result.losses[0] if result.losses else math.inf))
            if len(self._results) == self._strategy.population_size:
                self._strategy.tell(self._results)
                self._results = []
                self._generation += 1
                if self._strategy.should_stop():
                    random = Random(f"{self._problem.seed(0)}/{self._generation}")
                    self._strategy = self._start(np.array([random.random() for _ in self._axes]))

    def _start(self, mean: _Vector) -> CMA:
        bounds = np.array([[0.0, 1.0]] * len(self._axes))
        return CMA(mean=mean, sigma=self._sigma, bounds=bounds, population_size=self._population, seed=0)

    def _draw(self, random: Random) -> Config:
        self._strategy.reseed_rng(random.getrandbits(31))
        point = self._strategy.ask()
        numbers = {name: axis.from_unit(float(x)) for (name, axis), x in zip(self._axes.items(), point, strict=True)}
        drawn = self._problem.space.sample(random)
        config: Config = {}
        for name, parameter in self._problem.space.items():
            if self._problem.space.is_active(name, config):
                value = numbers.get(name, drawn.get(name))
                # The draw may have gone another way at a parent that the strategy moves.
                config[name] = value if name in numbers or name in drawn else parameter.sample(random)
        return config


class _Axis:
    """A number's range, mapped to [0, 1] on its own scale; whole numbers each take an equal part of it."""

    def __init__(self, parameter: Float | Int) -> None:
        self._parameter = parameter
        self._step = parameter.step if not parameter.log else (1 if isinstance(parameter, Int) else None)
        half = 0.5 * (self._step or 0)
        count = math.floor((parameter.high - parameter.low) / self._step + 1e-9) if self._step else 0
        self._last = count
        low, high = parameter.low - half, (parameter.low + count * self._step if self._step else parameter.high) + half
        self._low, self._high = (math.log(low), math.log(high)) if parameter.log else (low, high)

    def to_unit(self, value: Any) -> float:
        x = math.log(value) if self._parameter.log else value
        return float(min(max((x - self._low) / (self._high - self._low), 0.0), 1.0))

    def from_unit(self, x: float) -> float | int:
        value = self._low + x * (self._high - self._low)
        value = math.exp(value) if self._parameter.log else value
        if self._step is None:
            return min(max(value, self._parameter.low), self._parameter.high)
        k = min(max(round((value - self._parameter.low) / self._step), 0), self._last)
        number = self._parameter.low + k * self._step
        return int(number) if isinstance(self._parameter, Int) else float(number)
