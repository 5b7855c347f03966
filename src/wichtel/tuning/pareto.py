"""Trials with several losses: which are better than which, the front of the best, and how much that is worth."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from wichtel.domain import InvalidInput
from wichtel.tuning.ports import Result

Losses = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
#: Smaller is better: (0 feasible, 1 infeasible, 2 without a result), what counts most among those, what counts next.
Key = tuple[int, float, float]


def non_dominated_rank(losses: Losses) -> Indices:
    """How many fronts lie before each point: 0 for those that none dominates, 1 for those that only they dominate, and so on.

    One point dominates another if it is nowhere worse and somewhere better. Equal points have equal ranks.

    Args:
        losses: ``n x m``, smaller is better, no NaN.

    Returns:
        ``n`` whole numbers. O(n log n) for one or two losses, else O(n² m).

    References:
        Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, 2002 (the ranks); Jensen, Reducing the run-time
        complexity of multiobjective EAs, 2003 (two losses).
    """
    losses = _table(losses)
    # In lexicographic order and without copies, so that a point is only ever dominated by an earlier one.
    unique, place = np.unique(losses, axis=0, return_inverse=True)
    if losses.shape[1] == 1:
        return np.asarray(place.reshape(-1), dtype=np.int64)
    ranks = np.zeros(len(unique), dtype=np.int64)
    if losses.shape[1] == 2:
        #: The smallest second loss on each front so far; grows with the rank.
        least: list[float] = []
        for i, second in enumerate(unique[:, 1].tolist()):
            rank = bisect_right(least, second)
            ranks[i] = rank
            least[rank : rank + 1] = [second]
    else:
        for i in range(1, len(unique)):
            before = ranks[:i][(unique[:i] <= unique[i]).all(axis=1)]
            ranks[i] = before.max() + 1 if len(before) else 0
    return ranks[place.reshape(-1)]


def front(losses: Losses) -> Indices:
    """The positions of the points that no other dominates, in their order. O(n log n) for up to two losses, else O(n · front · m)."""
    losses = _table(losses)
    if losses.shape[1] <= 2:
        return np.flatnonzero(non_dominated_rank(losses) == 0)
    unique, place = np.unique(losses, axis=0, return_inverse=True)
    best: list[int] = []
    for i in range(len(unique)):
        if not best or not (unique[best] <= unique[i]).all(axis=1).any():
            best.append(i)
    return np.flatnonzero(np.isin(place.reshape(-1), best))


def crowding_distance(losses: Losses) -> Losses:
    """How lonely each point of *one* front is: the side lengths of the box to its neighbours, each as a share of the front's extent.

    Infinite for the outermost points of each loss.

    References:
        Deb et al., NSGA-II, 2002, section III-B.
    """
    losses = _table(losses)
    distance = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        sorted_ = column[order]
        if not len(column) or not sorted_[-1] > sorted_[0]:
            continue
        distance[order[[0, -1]]] = np.inf
        # In halves, whose differences do not overflow.
        half = sorted_ / 2
        with np.errstate(invalid="ignore"):
            distance[order[1:-1]] += (half[2:] - half[:-2]) / (half[-1] - half[0])
    return np.nan_to_num(distance, nan=np.inf, posinf=np.inf)


def hypervolume(losses: Losses, reference: Sequence[float] | Losses) -> float:
    """The volume that the points dominate, up to `reference`; points that are not better than it in every loss add nothing.

    Exact: a sweep for up to three losses in O(n²) at most, slices along each further one.

    Raises:
        InvalidInput: `reference` is not finite or not as long as a point.

    References:
        While et al., A faster algorithm for calculating hypervolume, 2006 (slices).
    """
    losses = _table(losses)
    corner = np.asarray(reference, dtype=float)
    if corner.shape != losses.shape[1:] or not np.isfinite(corner).all():
        raise InvalidInput(f"{corner.tolist()} is not {losses.shape[1]} finite numbers.", where="hypervolume, reference")
    inside = losses[(losses < corner).all(axis=1)]
    return _volume(inside, corner) if len(inside) else 0.0


def _volume(points: Losses, corner: Losses) -> float:
    points = points[front(points)]
    if points.shape[1] == 1:
        return float(corner[0] - points[0, 0])
    if points.shape[1] <= 3:
        return _swept(points, corner)
    points = points[np.argsort(points[:, -1], kind="stable")]
    ends = [*points[1:, -1], corner[-1]]
    slices = ((end - start, i + 1) for i, (start, end) in enumerate(zip(points[:, -1], ends, strict=True)) if end > start)
    return float(sum(height * _volume(points[:n, :-1], corner[:-1]) for height, n in slices))


def _swept(points: Losses, corner: Losses) -> float:
    """Two or three losses: the points are added along the third, to a staircase in the first two whose area is known."""
    flat = points.shape[1] == 2
    order = np.argsort(points[:, 2], kind="stable") if not flat else np.arange(len(points))
    depths = [0.0] * len(points) if flat else points[order, 2].tolist()
    right, top = float(corner[0]), float(corner[1])
    #: The corners of the staircase: x grows, y falls.
    xs: list[float] = []
    ys: list[float] = []
    area = volume = 0.0
    for i, ((x, y), depth) in enumerate(zip(points[order, :2].tolist(), depths, strict=True)):
        at = bisect_left(xs, x)
        if (at and ys[at - 1] <= y) or (at < len(xs) and xs[at] == x and ys[at] <= y):
            gained = 0.0
        else:
            end = at
            gained, left, roof = 0.0, x, ys[at - 1] if at else top
            while end < len(xs) and ys[end] >= y:
                gained += (xs[end] - left) * (roof - y)
                left, roof = xs[end], ys[end]
                end += 1
            gained += ((xs[end] if end < len(xs) else right) - left) * (roof - y)
            xs[at:end], ys[at:end] = [x], [y]
        area += gained
        if not flat:
            volume += area * ((depths[i + 1] if i + 1 < len(depths) else float(corner[2])) - depth)
    return area if flat else volume


def order(results: Sequence[Result]) -> list[Key]:
    """A key to sort each of `results` by, best first.

    Feasible ones come first, by their loss, or if they have several by front and then by how lonely they are on it; then infeasible ones,
    by the sum of their violations; last those without a result, all alike.
    """
    keys: list[Key] = [(2, 0.0, 0.0)] * len(results)
    feasible = [i for i, r in enumerate(results) if r.feasible]
    for i, result in enumerate(results):
        if result.losses and not result.feasible:
            keys[i] = (1, sum(result.violations), 0.0)
    if feasible and len(results[feasible[0]].losses) == 1:
        for i in feasible:
            keys[i] = (0, results[i].losses[0], 0.0)
    elif feasible:
        losses = np.array([results[i].losses for i in feasible])
        ranks = non_dominated_rank(losses)
        for rank in range(int(ranks.max()) + 1):
            members = np.flatnonzero(ranks == rank)
            for i, distance in zip(members.tolist(), crowding_distance(losses[members]).tolist(), strict=True):
                keys[feasible[i]] = (0, float(rank), -distance)
    return keys


def _table(losses: Losses) -> Losses:
    losses = np.asarray(losses, dtype=float)
    if losses.ndim != 2 or not losses.shape[1] or np.isnan(losses).any():
        raise InvalidInput(f"losses are a table of n x m numbers, not one of shape {losses.shape}, and none is NaN.", where="losses")
    return losses
