"""The tree-structured Parzen estimator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from wichtel.domain import Config, InvalidInput, RunState, Space
from wichtel.tuning.ledger import Ledger
from wichtel.tuning.models.encoding import Column, Encoding, Vector
from wichtel.tuning.models.observations import Observations, Rows
from wichtel.tuning.models.parzen import Parzen, narrowest
from wichtel.tuning.ports import Problem, Result, Suggestion

#: This share of the trials is good, and at most so many.
_GOOD = 0.1
_MOST_GOOD = 25
#: The bad ones that are modelled: so many of the latest, and as many spread over those before.
_LATEST_BAD = 100
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
        #: Running trials, encoded.
        self._running: dict[int, Vector] = {}
        self._models = [_Model(group) for group in self._groups]
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
            self._running[self._ledger.begin(config)] = self._encoding.encode(config)
            suggestions.append(Suggestion(config=config))
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            if result.state is RunState.RUNNING:
                self._running[result.number] = self._encoding.encode(result.config)
                continue
            vector = self._running.pop(result.number)
            if result.state is not RunState.CANCELED:
                budget = math.inf if result.budget is None else result.budget
                self._seen.setdefault(budget, Observations(self._encoding.dimensions)).add(vector, result)

    def draw(self, random: Random) -> Iterator[Config]:
        """Configurations for one trial, without end, the most promising first. Nothing is noted."""
        seen = self._model()
        if seen is None or not self._groups:
            while True:
                yield self._problem.space.sample(random)
        numpy_random = np.random.Generator(np.random.PCG64(random.getrandbits(64)))
        pending = np.array([*self._running.values()]).reshape(-1, self._encoding.dimensions)
        for model in self._models:
            model.learn(seen, pending)
        while True:
            ranked = [model.propose(numpy_random, self._candidates) for model in self._models]
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

    def __init__(self, group: _Group) -> None:
        self._group = group
        self._known: dict[str, tuple[tuple[int, bytes], Parzen]] = {}
        self._good = self._bad = Parzen(group.columns, np.empty((0, len(group.at))), np.empty(0))
        self._pending: Parzen | None = None

    def learn(self, seen: Observations, pending: Vector) -> None:
        """Take in what was seen, and trials that are running, ``r x d``."""
        rows = seen.order
        present = ~np.isnan(seen.vectors[:, self._group.at[0]])
        rows = rows[present[rows]]
        count = min(math.ceil(_GOOD * len(rows)), _MOST_GOOD)
        good, bad = np.sort(rows[:count]), np.sort(rows[count:])
        kept, weights = _thinned(len(bad))
        self._good = self._estimate("good", seen, good, np.ones(count))
        self._bad = self._estimate("bad", seen, bad[kept], weights)
        pending = pending[~np.isnan(pending[:, self._group.at[0]])]
        self._pending = None
        if len(pending):
            # They only keep others off their own places: with wide kernels they would drive everything out of a good region.
            width = narrowest(len(kept) + len(pending))
            self._pending = Parzen(self._group.columns, pending[:, self._group.at], np.ones(len(pending)), width=width)

    def propose(self, random: np.random.Generator, size: int) -> Vector:
        """Points where it is good, ``size x d``, those first that are the least bad."""
        points = self._good.sample(random, size)
        bad = self._bad.log_density(points)
        if self._pending is not None:
            weights = self._bad.weight, self._pending.weight
            bad = np.logaddexp(
                bad + np.log(weights[0] / sum(weights)), self._pending.log_density(points) + np.log(weights[1] / sum(weights))
            )
        promise = self._good.log_density(points) - bad
        return points[np.argsort(-promise, kind="stable")]

    def _estimate(self, name: str, seen: Observations, rows: Rows, weights: Vector) -> Parzen:
        """A density of some rows; the last one of that name again if they are the same."""
        key = id(seen), rows.tobytes()
        if name not in self._known or self._known[name][0] != key:
            self._known[name] = key, Parzen(self._group.columns, seen.vectors[rows][:, self._group.at], weights)
        return self._known[name][1]


def _thinned(n: int) -> tuple[Rows, Vector]:
    """Which of `n` rows, oldest first, are modelled, and their weights."""
    weights = np.ones(n)
    if n > _FULL_WEIGHT:
        weights[: n - _FULL_WEIGHT] = np.linspace(1 / n, 1, n - _FULL_WEIGHT)
    rows = np.arange(n)
    older = n - _LATEST_BAD
    if older <= _LATEST_BAD:
        return rows, weights
    kept = np.concatenate([np.linspace(0, older - 1, _LATEST_BAD).astype(np.int64), rows[older:]])
    weights[:older] *= older / _LATEST_BAD
    return kept, weights[kept]
