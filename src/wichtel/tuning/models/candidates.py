"""Many legal configurations at once, as encoded vectors: drawn at random, or near given ones. For searchers that rate first."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from wichtel.domain import Space, Value
from wichtel.domain.parameter import same
from wichtel.tuning.models.encoding import Column, Encoding, Vector

#: A parameter with at most so many values has all of them as neighbours.
_FEW = 12
#: Standard deviations, as shares of the range, of the steps to the neighbours of a number with more values.
_STEPS = (0.3, 0.1, 0.1, 0.03, 0.03, 0.01, 0.003)
#: A search looks at so many configurations of the whole space,
_DRAWN = 500
#: and climbs from so many of the best, for at most so many rounds.
_CLIMBS = 4
_ROUNDS = 10


class Candidates:
    """Draws vectors in `encoding`, legal in every row: entries of inactive parameters are NaN, those of active ones a parameter's value."""

    def __init__(self, encoding: Encoding) -> None:
        self._columns = encoding.columns
        #: For each column, entries of other columns that make it active; all must hold. None if nothing does.
        self._conditions = [_conditions(encoding, column.name) for column in encoding.columns]

    def draw(self, n: int, random: np.random.Generator) -> Vector:
        """`n` vectors, each parameter uniform on its scale; shape (n, d)."""
        return self._activate(np.full((n, len(self._columns)), np.nan), random)

    def around(self, vectors: Vector, random: np.random.Generator) -> tuple[Vector, Vector]:
        """Neighbours of `vectors` (n, d), in which one parameter changed, and what that made active was drawn.

        Returns:
            The neighbours, shape (m, d), and for each the row of the vector that it is next to, shape (m,). No neighbour equals its vector.
        """
        parts, origins = [], []
        for i, column in enumerate(self._columns):
            rows = np.flatnonzero(~np.isnan(vectors[:, i]))
            entries = self._steps(column, vectors[rows, i], random)
            moved = np.repeat(vectors[rows], entries.shape[1], axis=0)
            changed = np.abs(moved[:, i] - entries.ravel()) > 1e-12
            moved[:, i] = entries.ravel()
            parts.append(moved[changed])
            origins.append(np.repeat(rows, entries.shape[1])[changed])
        return self._activate(np.vstack(parts), random), np.concatenate(origins)

    @staticmethod
    def _steps(column: Column, entries: Vector, random: np.random.Generator) -> Vector:
        """Entries to try in place of each of `entries` (n,), shape (n, k)."""
        if column.categorical:
            others = np.arange(column.count, dtype=float)
            return np.tile(others if column.count <= _FEW else random.choice(others, _FEW, replace=False), (len(entries), 1))
        if 0 < column.count <= _FEW:
            every = np.array([column.encode(value) for value in column.parameter.values(_FEW)])
            return np.tile(every, (len(entries), 1))
        steps = random.normal(size=(len(entries), len(_STEPS))) * _STEPS
        if column.count:
            # At least to the next cell.
            steps = np.sign(steps) * np.maximum(np.abs(steps), 1.0 / column.count)
        moved = entries[:, None] + steps
        # What would leave the range goes the other way.
        moved = np.where((moved < 0) | (moved > 1), entries[:, None] - steps, moved)
        return column.snap(moved.ravel()).reshape(moved.shape)

    def search(self, rate: Callable[[Vector], Vector], near: Vector, random: np.random.Generator) -> tuple[Vector, Vector]:
        """Look for what `rate` rates highest: among draws and the neighbours of `near`, and up from the best of those, from one neighbour
        to the next.

        Args:
            rate: From vectors (n, d) to numbers (n,).
            near: Vectors, shape (k, d), k at least 1.
            random: Draws.

        Returns:
            All vectors that were rated, shape (m, d), and their ratings, shape (m,); the highest first.
        """
        pool = np.vstack([self.draw(_DRAWN, random), self.around(near, random)[0]])
        ratings = rate(pool)
        top = np.argsort(-ratings, kind="stable")[:_CLIMBS]
        peaks, heights = pool[top], ratings[top]
        pools, all_ratings = [pool], [ratings]
        for _ in range(_ROUNDS):
            found, origins = self.around(peaks, random)
            ratings = rate(found)
            pools.append(found)
            all_ratings.append(ratings)
            climbed = False
            for i in range(len(peaks)):
                mine = np.flatnonzero(origins == i)
                if len(mine) and ratings[mine].max() > heights[i]:
                    best = mine[ratings[mine].argmax()]
                    peaks[i], heights[i], climbed = found[best], ratings[best], True
            if not climbed:
                break
        pool, ratings = np.vstack(pools), np.concatenate(all_ratings)
        order = np.argsort(-ratings, kind="stable")
        return pool[order], ratings[order]

    def _activate(self, vectors: Vector, random: np.random.Generator) -> Vector:
        """Draw what is active and has no entry, and take away what is inactive; in place."""
        for i, column in enumerate(self._columns):
            conditions = self._conditions[i]
            active = np.full(len(vectors), conditions is not None)
            for parent, entries in conditions or ():
                active &= (np.abs(vectors[:, parent, None] - entries) < 1e-9).any(axis=1)
            vectors[~active, i] = np.nan
            missing = np.flatnonzero(active & np.isnan(vectors[:, i]))
            vectors[missing, i] = column.snap(random.random(len(missing)) * (column.count if column.categorical else 1.0))
        return vectors


def _conditions(encoding: Encoding, name: str) -> list[tuple[int, Vector]] | None:
    """What makes parameter `name` active, in terms of columns."""
    at = {column.name: i for i, column in enumerate(encoding.columns)}
    found: list[tuple[int, Vector]] = []
    for parent, allowed in encoding.space[name].when.items():
        if parent in at:
            column = encoding.columns[at[parent]]
            found.append((at[parent], np.array([column.encode(value) for value in allowed])))
            continue
        # It does not vary: it has its one value whenever it exists.
        above = _conditions(encoding, parent)
        if above is None or not any(same(_only_value(encoding.space, parent), value) for value in allowed):
            return None
        found += above
    return found


def _only_value(space: Space, name: str) -> Value:
    return space[name].values(1)[0]


def sobol_points(dimensions: int, seed: int, at_least: int) -> Vector:
    """Scrambled Sobol points in the unit cube, shape (n, dimensions) with n the next power of two; more points begin with the same ones."""
    from scipy.stats import qmc

    return np.asarray(qmc.Sobol(dimensions, rng=np.random.default_rng(seed)).random_base2(max(1, math.ceil(math.log2(at_least)))))
