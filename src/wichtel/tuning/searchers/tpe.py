"""The tree-structured Parzen estimator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from wichtel.domain import Config, InvalidInput, RunState, Space
from wichtel.tuning.encoding import Column, Encoding, Vector
from wichtel.tuning.ledger import Ledger
from wichtel.tuning.observations import Observations
from wichtel.tuning.parzen import Parzen
from wichtel.tuning.ports import Problem, Result, Suggestion

#: The good ones are a tenth, and at most this many.
_MOST_GOOD = 25
#: The bad ones that are modelled: so many of the latest, and as many spread over those before.
_LATEST_BAD = 250
#: The latest trials, which count fully; those before count the less the older they are.
_FULL_WEIGHT = 25


class TPE:
    """Models where good and where bad configurations lie, and suggests where the good are likelier.

    Parameters that exist under the same conditions are modelled together; those that depend on a choice are modelled from the trials that
    made it. Running trials count as bad ones, so that parallel workers keep apart. A stopped trial ranks below those that finished, by how
    far it came; infeasible ones rank below those; a failed one ranks last. With several objectives the good ones are the first fronts. With
    results at several budgets, those of the largest that has enough of them are modelled.

    Args:
        startup: Trials drawn at random first.
        candidates: Points among which the likeliest is taken.

    References:
        Bergstra et al., Algorithms for hyper-parameter optimization, NIPS 2011; Watanabe, Tree-structured Parzen estimator,
        arXiv:2304.11127; Falkner et al., BOHB, ICML 2018 (budgets); Ozaki et al., Multiobjective tree-structured Parzen estimator, 2022.
    """

    def __init__(self, problem: Problem, *, startup: int = 10, candidates: int = 24) -> None:
        if startup < 1 or candidates < 1:
            raise InvalidInput("startup and candidates must be at least 1.", where="searcher 'tpe'")
        self._problem = problem
        self._startup = startup
        self._candidates = candidates
        self._ledger = Ledger(problem.space)
        self._encoding = Encoding(problem.space)
        self._groups = _groups(problem.space, self._encoding)
        #: By budget; infinity stands for "the function decides".
        self._seen: dict[float, Observations] = {}

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        for _ in range(n):
            random = self._problem.random(self._ledger.next)
            drawn = self.draw(random)
            config = self._ledger.fresh(lambda drawn=drawn: next(drawn), random)  # type: ignore[misc]
            if config is None:
                break
            self._ledger.begin(config)
            suggestions.append(Suggestion(config=config))
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            if result.state not in (RunState.RUNNING, RunState.CANCELED):
                budget = math.inf if result.budget is None else result.budget
                seen = self._seen.setdefault(budget, Observations(self._encoding.dimensions))
                seen.add(self._encoding.encode(result.config), result)

    def draw(self, random: Random) -> Iterator[Config]:
        """Configurations for one trial, without end, the most promising first. Nothing is noted."""
        seen = self._model()
        if seen is None or not self._groups:
            while True:
                yield self._problem.space.sample(random)
        numpy_random = np.random.Generator(np.random.PCG64(random.getrandbits(64)))
        pending = np.array([self._encoding.encode(c) for c in self._ledger.running.values()]).reshape(-1, self._encoding.dimensions)
        models = [_Model(group, seen, pending) for group in self._groups]
        while True:
            ranked = [model.propose(numpy_random, self._candidates) for model in models]
            for i in range(self._candidates):
                vector = np.full(self._encoding.dimensions, np.nan)
                for group, points in zip(self._groups, ranked, strict=True):
                    vector[group.at] = points[i]
                yield self._encoding.decode(vector)

    def _model(self) -> Observations | None:
        """What to learn from; None if there is not enough."""
        enough = max(self._startup, self._encoding.dimensions + 3) if len(self._seen) > 1 else self._startup
        return next((self._seen[b] for b in sorted(self._seen, reverse=True) if len(self._seen[b]) >= enough), None)


@dataclass(frozen=True, slots=True)
class _Group:
    """Parameters that exist under the same conditions, as positions among the columns."""

    at: list[int]
    columns: list[Column]


def _groups(space: Space, encoding: Encoding) -> list[_Group]:
    found: dict[str, list[int]] = {}
    for i, column in enumerate(encoding.columns):
        condition = repr(sorted((parent, list(values)) for parent, values in space[column.name].when.items()))
        found.setdefault(condition, []).append(i)
    return [_Group(at, [encoding.columns[i] for i in at]) for at in found.values()]


class _Model:
    """Where the parameters of `group` are good and where bad."""

    def __init__(self, group: _Group, seen: Observations, pending: Vector) -> None:
        rows = seen.order
        present = ~np.isnan(seen.vectors[:, group.at[0]])
        rows = rows[present[rows]]
        count = min(math.ceil(0.1 * len(rows)), _MOST_GOOD)
        good, bad = np.sort(rows[:count]), np.sort(rows[count:])
        weights = _weights(len(bad))
        if len(bad) > 2 * _LATEST_BAD:
            older = len(bad) - _LATEST_BAD
            kept = np.linspace(0, older - 1, _LATEST_BAD).astype(np.int64)
            kept = np.concatenate([kept, np.arange(older, len(bad))])
            share = older / _LATEST_BAD
            bad, weights = bad[kept], weights[kept]
            weights[:_LATEST_BAD] *= share
        running = pending[~np.isnan(pending[:, group.at[0]])][:, group.at]
        self._good = Parzen(group.columns, seen.vectors[good][:, group.at], np.ones(count))
        self._bad = Parzen(
            group.columns, np.vstack([seen.vectors[bad][:, group.at], running]), np.concatenate([weights, np.ones(len(running))])
        )

    def propose(self, random: np.random.Generator, size: int) -> Vector:
        """Points where it is good, ``size x d``, those first that are the least bad."""
        points = self._good.sample(random, size)
        promise = self._good.log_density(points) - self._bad.log_density(points)
        return points[np.argsort(-promise, kind="stable")]


def _weights(n: int) -> Vector:
    weights = np.ones(n)
    if n > _FULL_WEIGHT:
        weights[: n - _FULL_WEIGHT] = np.linspace(1 / n, 1, n - _FULL_WEIGHT)
    return weights
