"""What a searcher has seen, as rows of a table that grows in place, in the order of how good they are."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np

from wichtel.domain import RunState
from wichtel.tuning.models.encoding import Vector
from wichtel.tuning.pareto import crowding_distance, non_dominated_rank
from wichtel.tuning.ports import Result

Rows = np.ndarray[Any, np.dtype[np.int64]]

_FINISHED, _STOPPED, _INFEASIBLE, _FAILED = range(4)
#: With several objectives, as many of the best are told apart exactly; those that fell behind stay behind.
_POOL = 200
_Key = tuple[Any, ...]


class Observations:
    """Ended trials. Row i is the i-th that was added.

    The order: finished trials, by their loss (with several, by front and then by how lonely they are on it); stopped ones, by how far they
    came; infeasible ones, by the sum of violations, each as a share of the largest seen; failed ones last.

    Adding one costs O(log n), and O(n) moves of memory, unless it breaks a constraint more than any before.
    """

    def __init__(self, dimensions: int) -> None:
        self._vectors = np.empty((64, dimensions))
        self._order = np.empty(64, dtype=np.int64)
        #: Of the rows in `_order`, sorted; each ends with its row.
        self._keys: list[_Key] = []
        self._scale: list[float] = []
        self._infeasible: list[tuple[int, Result]] = []
        self._front = _Front()

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def vectors(self) -> Vector:
        """All rows, ``n x d``; a view that the next `add` may leave behind."""
        return self._vectors[: len(self._keys)]

    @property
    def order(self) -> Rows:
        """The rows, ``n``, the best first; a view that the next `add` changes."""
        return self._order[: len(self._keys)]

    def add(self, vector: Vector, result: Result) -> None:
        """Note the end of a trial with configuration `vector`, shape (d,)."""
        row = len(self._keys)
        if row == len(self._order):
            self._vectors = np.concatenate([self._vectors, np.empty_like(self._vectors)])
            self._order = np.concatenate([self._order, np.empty_like(self._order)])
        self._vectors[row] = vector
        key = self._key(row, result)
        at = bisect_left(self._keys, key)
        self._keys.insert(at, key)
        self._order[at + 1 : row + 1] = self._order[at:row]
        self._order[at] = row

    def _key(self, row: int, result: Result) -> _Key:
        if not result.losses:
            return (_FAILED, row)
        if any(result.violations):
            self._rescale(result.violations)
            self._infeasible.append((row, result))
            return self._infeasible_key(row, result)
        if result.state is not RunState.SUCCEEDED:
            return (_STOPPED, -(result.step or 0), result.losses, row)
        if len(result.losses) == 1:
            return (_FINISHED, result.losses[0], row)
        return self._pareto_key(row, result.losses)

    def _rescale(self, violations: Sequence[float]) -> None:
        finite = [v if math.isfinite(v) else 0.0 for v in violations]
        scale = [max(pair) for pair in zip(finite, self._scale or finite, strict=True)]
        if scale == self._scale:
            return
        self._scale = scale
        start = bisect_left(self._keys, (_INFEASIBLE,))
        keys = [self._infeasible_key(row, result) for row, result in self._infeasible]
        self._put(start, start + len(keys), keys)

    def _infeasible_key(self, row: int, result: Result) -> _Key:
        shares = (v / scale if scale and math.isfinite(v) else v for v, scale in zip(result.violations, self._scale, strict=True))
        return (_INFEASIBLE, sum(shares), result.losses, row)

    def _pareto_key(self, row: int, losses: tuple[float, ...]) -> _Key:
        known = len(self._front)
        keys = self._front.add(row, losses)
        own = keys.pop(row)
        if keys:
            # Those that had fallen behind stay where they are.
            start = bisect_left(self._keys, (_FINISHED,))
            self._put(start, start + known, list(keys.values()))
        return own

    def _put(self, start: int, end: int, keys: list[_Key]) -> None:
        """Replace a stretch of the order by other keys of the same rows."""
        self._keys[start:end] = sorted(keys)
        self._order[start:end] = [key[-1] for key in self._keys[start:end]]


class _Front:
    """The best of the points with several losses, by front and then by crowding."""

    def __init__(self) -> None:
        self._pool: list[tuple[int, tuple[float, ...]]] = []
        #: Of a full pool, the points of its last front.
        self._last = np.empty((0, 0))
        self._fallen = 0

    def __len__(self) -> int:
        return len(self._pool)

    def add(self, row: int, losses: tuple[float, ...]) -> dict[int, _Key]:
        """The new keys of the rows in the pool and of `row`, one of which falls out of it if it is full; only of `row` if none is new."""
        if len(self._last) and bool(((self._last <= losses).all(axis=1) & (self._last < losses).any(axis=1)).any()):
            # It is on no front of the pool, and so falls out at once.
            return {row: self._behind(row)}
        self._pool.append((row, losses))
        table = np.array([entry[1] for entry in self._pool])
        ranks = non_dominated_rank(table)
        crowding = np.zeros(len(table))
        for rank in range(int(ranks.max()) + 1):
            members = np.flatnonzero(ranks == rank)
            crowding[members] = crowding_distance(table[members])
        keys: dict[int, _Key] = {
            number: (_FINISHED, rank, -lonely, number)
            for rank, lonely, (number, _) in zip(ranks.tolist(), crowding.tolist(), self._pool, strict=True)
        }
        if len(keys) > _POOL:
            worst = max(keys.values())[-1]
            keys.pop(worst)
            self._pool = [entry for entry in self._pool if entry[0] != worst]
            end = max(keys.values())[1]
            last = [entry for entry in self._pool if keys[entry[0]][1] == end]
            self._last = np.array([entry[1] for entry in last])
            # One of them may have lost a neighbour.
            for lonely, (number, _) in zip(crowding_distance(self._last).tolist(), last, strict=True):
                keys[number] = (_FINISHED, end, -lonely, number)
            keys[worst] = self._behind(worst)
        return keys

    def _behind(self, row: int) -> _Key:
        # Behind all of the pool; of two that fell out of it, the later was the better one.
        self._fallen += 1
        return (_FINISHED, math.inf, -self._fallen, row)
