"""Points in non-dominated fronts, kept in order while points come one by one, as trials come to a step."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Protocol, overload

Point = tuple[float, ...]


class Fronts:
    """Points of two or more losses each, sorted: front 0 is what nothing dominates, front ``k + 1`` what only fronts up to `k` dominate.

    A point may stand there any number of times. With two losses a point is added in time that grows with the number of fronts.

    References:
        Yakupov and Buzdalov, Incremental non-dominated sorting with O(N) insertion for the two-dimensional case, CEC 2015.

    >>> fronts = Fronts([(1.0, 3.0), (2.0, 2.0), (3.0, 3.0)])
    >>> list(fronts.ranks()), fronts.rank((4.0, 4.0))
    ([0, 0, 1], 2)
    """

    def __init__(self, points: Iterable[Point] = ()) -> None:
        self._times: dict[Point, int] = {}
        self._sizes: list[int] = []
        self._fronts: list[_Front] = []
        #: Whether a point stands there more than once.
        self._repeated = False
        # In this order no point dominates one that is there already, so that none has to move.
        for point in sorted(points):
            self.add(point)

    def add(self, point: Point) -> None:
        """Add `point`, and move those that it dominates, and that these dominate, to later fronts."""
        k = self.rank(point)
        times = self._times[point] = self._times.get(point, 0) + 1
        if times > 1:
            self._repeated = True
            self._sizes[k] += 1
            return
        moved = [point]
        while moved:
            if k == len(self._fronts):
                self._fronts.append(_Stairs() if len(point) == 2 else _Cloud())
                self._sizes.append(0)
            pushed = self._fronts[k].take(moved)
            self._sizes[k] += self._count(moved) - self._count(pushed)
            moved, k = pushed, k + 1

    def _count(self, points: list[Point]) -> int:
        return sum(map(self._times.__getitem__, points)) if self._repeated else len(points)

    def rank(self, point: Point) -> int:
        """The front of `point`; of one that was not added, where it would be."""
        # What a front dominates, all earlier ones dominate.
        low, high = 0, len(self._fronts)
        while low < high:
            middle = (low + high) // 2
            if self._fronts[middle].dominates(point):
                low = middle + 1
            else:
                high = middle
        return low

    def ranks(self) -> Sequence[float]:
        """Ascending: the front of each point."""
        return _Ranks(self._sizes)


class _Ranks(Sequence[float]):
    """As many times its number as each front has points. A rule looks at few of the thousands, so they are counted, not written out."""

    def __init__(self, sizes: list[int]) -> None:
        self._ends = list(accumulate(sizes))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...
    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        return bisect_right(self._ends, place)


class _Front(Protocol):
    """Different points of which none dominates another."""

    def dominates(self, point: Point) -> bool:
        """Whether one of them dominates `point`."""
        ...

    def take(self, points: list[Point]) -> list[Point]:
        """Take in `points`, which none here dominates, and give back those here that they dominate; both as the front before gave them."""
        ...


class _Stairs:
    """A front of two losses: by the first ascending, and so by the second descending. What moves to the next front is one piece of it."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._first: list[float] = []
        self._minus_second: list[float] = []

    def dominates(self, point: Point) -> bool:
        i = bisect_right(self._first, point[0]) - 1
        return i >= 0 and -self._minus_second[i] <= point[1] and self._points[i] != point

    def take(self, points: list[Point]) -> list[Point]:
        start = bisect_left(self._first, points[0][0])
        end = max(start, bisect_right(self._minus_second, -points[-1][1]))
        pushed = self._points[start:end]
        self._points[start:end] = points
        self._first[start:end] = [p[0] for p in points]
        self._minus_second[start:end] = [-p[1] for p in points]
        return pushed


class _Cloud:
    """A front of any number of losses."""

    def __init__(self) -> None:
        import numpy as np

        self._points: list[Point] = []
        self._array = np.empty((0, 0))

    def dominates(self, point: Point) -> bool:
        return bool(((self._array <= point).all(axis=1) & (self._array < point).any(axis=1)).any())

    def take(self, points: list[Point]) -> list[Point]:
        import numpy as np

        arriving = np.array(points)
        if not self._points:
            self._points, self._array = list(points), arriving
            return []
        beaten = np.asarray((arriving[:, None, :] <= self._array[None, :, :]).all(axis=2).any(axis=0))
        pushed = [self._points[i] for i in np.flatnonzero(beaten)]
        stay = np.flatnonzero(~beaten)
        self._points = [self._points[i] for i in stay] + points
        self._array = np.concatenate((self._array[stay], arriving))
        return pushed
