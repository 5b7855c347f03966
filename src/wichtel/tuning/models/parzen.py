"""Parzen estimators: a density over configurations, as a sum of one kernel around each observed one and a flat one over all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from wichtel.tuning.models.encoding import Column, Vector

#: Whole and stepped numbers with more values than this count as continuous.
_EXACT = 100
#: No kernel is narrower than this share of a parameter's range, however many there are.
_NARROWEST = 0.01
#: Entries nearer than this are those of one value.
_SAME = 1e-12
_TINY = 1e-300


class Parzen:
    """A mixture of products: in each component, each number has a normal distribution cut off at its bounds, each choice its own.

    A normal's width is the distance to the farther of the two neighbouring observations, between ``1 / min(100, n + 2)`` of the range and
    all of it ("magic clip"). A choice takes the observed option with a preference that grows with `n`.

    Args:
        columns: The d parameters, all of them active in all observations.
        entries: Observations, ``n x d``, as of `Encoding.encode`; n may be 0.
        weights: Of the observations, ``n``, positive; that of the flat component is 1.
        width: Of all kernels of numbers, instead of each its own.

    References:
        Bergstra et al., Algorithms for hyper-parameter optimization, NIPS 2011 (widths); Watanabe, Tree-structured Parzen estimator:
        understanding its algorithm components, arXiv:2304.11127 (the product kernel, the clip).
    """

    def __init__(self, columns: Sequence[Column], entries: Vector, weights: Vector, *, width: float | None = None) -> None:
        n = len(entries)
        self._columns = columns
        self._numbers = [j for j, c in enumerate(columns) if not c.categorical]
        self._choices = [j for j, c in enumerate(columns) if c.categorical]
        self._cells = [i for i, j in enumerate(self._numbers) if 0 < columns[j].count <= _EXACT]
        smooth = [i for i, j in enumerate(self._numbers) if not 0 < columns[j].count <= _EXACT]
        self._smooth = [self._numbers[i] for i in smooth]
        #: Of all components together.
        self.weight = float(weights.sum()) + 1.0
        self._weights = np.append(weights, 1.0) / self.weight
        self._means = np.vstack([entries[:, self._numbers], np.full((1, len(self._numbers)), 0.5)])
        found = _widths(entries[:, self._numbers]) if width is None else np.full((n, len(self._numbers)), width)
        self._widths = np.vstack([found, np.ones((1, len(self._numbers)))])
        self._observed = entries[:, self._choices].astype(np.int64)
        counts = np.array([columns[j].count for j in self._choices], dtype=float)
        # Less sure than the number of observations would allow: an option that had bad luck in its few first trials gets another chance.
        self._other = 1.0 / (math.sqrt(n + 1) + counts)
        self._same = 1.0 - (counts - 1) * self._other
        self._counts = counts

        below, above = ndtr(-self._means / self._widths), ndtr((1.0 - self._means) / self._widths)
        self._below, self._inside = below, above - below
        means, widths = self._means[:, smooth], self._widths[:, smooth]
        precision = widths**-2.0
        # The exponent, multiplied out: two matrix products instead of a cube of points x components x columns.
        self._quadratic, self._linear = -0.5 * precision.T, (means * precision).T
        constant = -0.5 * (means**2 * precision).sum(axis=1) - np.log(widths).sum(axis=1)
        self._constant = np.log(self._weights) + constant - np.log(self._inside).sum(axis=1)

    def sample(self, random: np.random.Generator, size: int) -> Vector:
        """Draw points, ``size x d``."""
        drawn = random.choice(len(self._weights), size=size, p=self._weights)
        points = np.empty((size, len(self._columns)))
        quantiles = self._below[drawn] + random.random((size, len(self._numbers))) * self._inside[drawn]
        normals = self._means[drawn] + self._widths[drawn] * ndtri(np.clip(quantiles, _TINY, 1.0 - 1e-16))
        points[:, self._numbers] = np.clip(normals, 0.0, 1.0)
        for j in self._numbers:
            if self._columns[j].count:
                points[:, j] = self._columns[j].snap(points[:, j])
        luck = random.random((size, 2, len(self._choices)))
        flat = drawn == len(self._observed)
        for i, j in enumerate(self._choices):
            option = np.floor(luck[:, 0, i] * self._counts[i])
            if len(self._observed):
                # "Any option, or else the observed one" is the kernel written the other way round.
                keep = ~flat & (luck[:, 1, i] >= self._other[i] * self._counts[i])
                option = np.where(keep, self._observed[np.minimum(drawn, len(self._observed) - 1), i], option)
            points[:, j] = option
        return points

    def log_density(self, points: Vector) -> Vector:
        """The logarithm of the density at `points`, ``m x d``, up to a constant that depends on the columns only: ``m``."""
        smooth = points[:, self._smooth]
        logs = self._constant + smooth**2 @ self._quadratic + smooth @ self._linear
        for i in self._cells:
            column, mean, width = self._columns[self._numbers[i]], self._means[:, i], self._widths[:, i]
            values, place = np.unique(points[:, self._numbers[i]], return_inverse=True)
            low, high = ((end[:, None] - mean) / width for end in column.cells(values))
            # Of the two tails the thinner one, where differences are exact.
            side = np.where(low > 0, -1.0, 1.0)
            mass = np.abs(ndtr(side * high) - ndtr(side * low))
            logs += np.log(np.maximum(mass, _TINY))[place.reshape(-1)]
        for i, j in enumerate(self._choices):
            other, same, flat = np.log(self._other[i]), np.log(self._same[i]), -np.log(self._counts[i])
            logs[:, :-1] += np.where(points[:, j, None] == self._observed[:, i], same, other)
            logs[:, -1] += flat
        top = logs.max(axis=1)
        return np.asarray(top + np.log(np.exp(logs - top[:, None]).sum(axis=1)))


def narrowest(n: int) -> float:
    """The least width of a kernel among `n`, as a share of the range."""
    return max(_NARROWEST, 1.0 / (n + 2))


def _widths(means: Vector) -> Vector:
    """For each observation and column, ``n x d``, the width of its kernel."""
    n, d = means.shape
    if not n:
        return means
    order = np.argsort(means, axis=0)
    gaps = np.zeros((n + 1, d))
    gaps[1:-1] = np.diff(np.take_along_axis(means, order, axis=0), axis=0)
    # The way to the bounds does not count.
    before, after = gaps[:-1], gaps[1:]
    if (gaps[1:-1] <= _SAME).any():
        # Equal observations are one place: all have the width that is right for it.
        at = np.arange(n)[:, None]
        first = np.maximum.accumulate(np.where(before > _SAME, at, 0), axis=0)
        last = np.minimum.accumulate(np.where(after > _SAME, at, n - 1)[::-1], axis=0)[::-1]
        before, after = np.take_along_axis(before, first, axis=0), np.take_along_axis(after, last, axis=0)
    widths = np.maximum(before, after)
    result: Vector = np.empty_like(widths)
    np.put_along_axis(result, order, np.clip(widths, narrowest(n), 1.0), axis=0)
    return result
