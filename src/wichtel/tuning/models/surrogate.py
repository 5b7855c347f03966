"""What a study's results say of configurations that were not tried: processes fitted to them, and the worth of trying one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wichtel.domain import RunState
from wichtel.tuning.models.candidates import Candidates
from wichtel.tuning.models.encoding import Encoding
from wichtel.tuning.models.gaussian_process import (
    Array,
    Features,
    Hyperparameters,
    Posterior,
    fit,
    log_expected_improvement,
    log_probability_below,
    spread,
    warp,
)
from wichtel.tuning.ports import Result

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Rows = np.ndarray[Any, np.dtype[np.int_]]

#: Most results that hyperparameters are fitted to; more make them hardly better, and the fit slow.
_FITTED = 200
#: The weight of the sum in the augmented Chebyshev scalarisation.
_AUGMENTED = 0.05
#: What a violation counts at most, in units of the median one.
_WORST = 3.0
#: Losses and violations beyond it count as this, so that their differences and means are finite.
_LARGEST = 1e300
_LEADERS = 5
#: A stopped trial is no better than this share of those that finished.
_STOPPED = 0.75


@dataclass(frozen=True, slots=True)
class _Table:
    """Results as arrays, a row for each; NaN where there is nothing."""

    #: (n, d)
    vectors: Array
    #: (n, objectives)
    losses: Array
    #: (n, constraints)
    violations: Array
    #: (n,) each
    stopped: Mask
    finished: Mask
    feasible: Mask


class Surrogate:
    """Gathers results and models them.

    Everything it says follows from the results and their order: hyperparameters are fitted to the first so and so many of them, more and
    more rarely, so that a study that is resumed comes to the same ones.

    Args:
        encoding: Of the space.
        objectives: How many losses a result has.
        constraints: How many violations.
        points: Most results that a process is given: the best, the latest, and some of the others.
    """

    def __init__(self, encoding: Encoding, *, objectives: int = 1, constraints: int = 0, points: int = 300) -> None:
        self._encoding = encoding
        self.features = Features(tuple(column.count if column.categorical else 0 for column in encoding.columns))
        self._nowhere = np.zeros((0, len(self.features.owners)))
        self._objectives = objectives
        self._constraints = constraints
        self._points = points
        self._results: list[Result] = []
        self._vectors: list[Array] = []
        self._table: _Table | None = None
        #: How many results have losses.
        self.seen = 0
        #: What was fitted → to the first how many results, and what was found. Only saves time.
        self._fits: dict[str, tuple[int, Hyperparameters]] = {}

    def add(self, result: Result) -> None:
        """Take an ended trial into account; a canceled one says nothing."""
        if result.state is RunState.CANCELED:
            return
        self._results.append(result)
        self._vectors.append(self._encoding.encode(result.config))
        self._table = None
        self.seen += bool(result.losses)

    def worth(self, pending: Array, random: np.random.Generator) -> tuple[Callable[[Array], Array], Array]:
        """How much is to be gained from trying configurations, and where to look for good ones.

        Args:
            pending: Vectors whose results are awaited, shape (m, d).
            random: Draws the weights of several objectives.

        Returns:
            The acquisition function, from vectors (n, d) to the logarithm of expected improvement × probability to be feasible, (n,);
            and the vectors that are believed to be best, best first, shape (k, d).
        """
        weights = random.exponential(size=self._objectives)
        weights /= weights.sum()
        data = self._data
        waiting = self.features(pending) if len(pending) else self._nowhere
        posterior, rows, _ = self._process(weights, waiting)
        vectors = data.vectors[rows]
        means = posterior.mean(self.features(vectors))
        allowed = self._allowed(rows)
        chances = [self._chance(i, rows, waiting) for i in range(self._constraints)] if data.feasible.any() else []
        best = float(means[allowed].min())
        if len(waiting):
            # What a pending trial is believed to bring need not be found again.
            believed = posterior.mean(waiting)
            for chance in chances:
                believed[chance.mean(waiting) > 0] = np.inf
            best = min(best, float(believed.min()))

        def acquisition(candidates: Array) -> Array:
            at = self.features(candidates)
            value = log_expected_improvement(*posterior(at), best)
            for chance in chances:
                value = value + log_probability_below(*chance(at), 0.0)
            return value

        leaders = np.flatnonzero(allowed)[np.argsort(means[allowed], kind="stable")[:_LEADERS]]
        return acquisition, vectors[leaders]

    def regret(self, candidates: Candidates, width: float, random: np.random.Generator) -> tuple[float, float]:
        """How much better than the best trial anything can be, going by one objective.

        Args:
            candidates: Draws configurations of the space.
            width: Of the confidence band on either side, in standard deviations.
            random: Draws.

        Returns:
            The least upper bound of a feasible trial above the least lower bound of any configuration; and the standard deviation of the
            noise. Both in the unit of the losses.
        """
        posterior, rows, found = self._process(np.ones(1), self._nowhere)
        allowed = self._allowed(rows)
        vectors = self._data.vectors[rows]

        def hope(at: Array) -> Array:
            mean, deviation = posterior(self.features(at))
            return width * deviation - mean

        mean, deviation = posterior(self.features(vectors))
        sure = float((mean + width * deviation)[allowed].min())
        leaders = vectors[np.argsort(mean, kind="stable")[:_LEADERS]]
        hopes = candidates.search(hope, leaders, random)[1]
        unit = spread(self._losses(len(self._results), np.ones(1), bool(self._data.feasible.any())))
        return (sure + max(float(hopes[0]), float(hope(vectors).max()))) * unit, math.sqrt(found.noise) * unit

    def _process(self, weights: Array, waiting: Array) -> tuple[Posterior, Rows, Hyperparameters]:
        """The process of the objective, and which results it was given."""
        count = _fitted_at(len(self._results))
        feasible = bool(self._data.feasible.any())
        rows = np.concatenate([self._chosen(count, weights), np.arange(count, len(self._results))])
        targets = warp(self._losses(len(self._results), weights, feasible))[rows]
        found = self._hyperparameters(f"objective {feasible}", count, weights, feasible)
        points = self.features(self._data.vectors[rows])
        return Posterior(points, targets, waiting, self.features.owners, found), rows, found

    @property
    def _data(self) -> _Table:
        if self._table is None:
            results = self._results
            nothing = ((np.nan,) * self._objectives, (np.nan,) * self._constraints)
            violations = np.array([r.violations or nothing[1] for r in results], dtype=float).reshape(len(results), self._constraints)
            self._table = _Table(
                vectors=np.array(self._vectors),
                losses=np.clip(np.array([r.losses or nothing[0] for r in results], dtype=float), -_LARGEST, _LARGEST),
                violations=np.where(np.isinf(violations), violations, np.minimum(violations, _LARGEST)),
                stopped=np.array([r.state is RunState.STOPPED for r in results]),
                finished=np.array([r.state is RunState.SUCCEEDED and bool(r.losses) for r in results]),
                feasible=np.array([r.feasible for r in results]),
            )
        return self._table

    def _allowed(self, rows: Rows) -> Mask:
        """Which of `rows` may be the best."""
        allowed = self._data.feasible[rows]
        # None, while nothing is feasible, or if what is was too bad and too long ago to be modelled.
        return allowed if allowed.any() else np.ones(len(rows), dtype=bool)

    def _chance(self, constraint: int, rows: Rows, waiting: Array) -> Posterior:
        """The process of a constraint's violation, which is negative where it holds."""
        count = _fitted_at(len(self._results))
        violations = self._data.violations[:, constraint]
        # A trial that was stopped before it measured it says nothing of it; one that ended without it will never do.
        measured = ~np.isnan(violations) & ~(self._data.stopped & np.isinf(violations))
        rows = rows[measured[rows]]
        labels = self._labels(constraint, rows)
        fitted = np.flatnonzero(measured[:count])
        found = self._fit(f"constraint {constraint}", count, fitted, lambda chosen: self._labels(constraint, chosen))
        return Posterior(self.features(self._data.vectors[rows]), labels, waiting, self.features.owners, found)

    def _hyperparameters(self, name: str, count: int, weights: Array, feasible: bool) -> Hyperparameters:
        if self._objectives > 1:
            # Each weighting is a function of its own.
            self._fits.pop(name, None)
        rows = self._chosen(count, weights)
        # What is known now may have been unknown then: whether anything is feasible decides what is looked at.
        return self._fit(name, count, rows, lambda chosen: warp(self._losses(count, weights, feasible))[chosen])

    def _fit(self, name: str, count: int, rows: Rows, targets: Callable[[Rows], Array]) -> Hyperparameters:
        known = self._fits.get(name)
        if known is None or known[0] != count:
            if len(rows) > _FITTED:
                rows = rows[np.linspace(0, len(rows) - 1, _FITTED).astype(int)]
            squares = self.features.squares(self.features(self._data.vectors[rows]))
            known = self._fits[name] = (count, fit(squares, targets(rows)))
        return known[1]

    def _chosen(self, count: int, weights: Array) -> Rows:
        """Which of the first `count` results are modelled, ascending."""
        if count <= self._points:
            return np.arange(count)
        feasible = bool(self._data.feasible[:count].any())
        order = np.argsort(self._losses(count, weights, feasible), kind="stable")
        part = self._points // 3
        kept = {*order[:part].tolist(), *range(count - part, count)}
        others = np.setdiff1d(np.arange(count), list(kept))
        drawn = np.random.default_rng(count).choice(others, self._points - len(kept), replace=False)
        return np.array(sorted(kept | set(drawn.tolist())))

    def _losses(self, count: int, weights: Array, feasible: bool) -> Array:
        """One loss for each of the first `count` results, smaller is better, all finite; shape (count,)."""
        data = self._data
        if not feasible:
            return _filled(sum((_in_medians(column) for column in data.violations[:count].T), np.zeros(count)))
        table, stopped, finished = data.losses[:count].copy(), data.stopped[:count], data.finished[:count]
        if stopped.any() and finished.any():
            # A pruner stopped it for being among the worse; its last loss, early as it came, must not make it one of the best.
            table[stopped] = np.maximum(table[stopped], np.quantile(table[finished], _STOPPED, axis=0))
        if self._objectives == 1:
            return _filled(table[:, 0])
        scaled = np.column_stack([_in_range(warp(_filled(column))) for column in table.T])
        weighted = np.where(np.isnan(table), np.nan, scaled * weights)
        return _filled(weighted.max(axis=1) + _AUGMENTED * weighted.sum(axis=1))

    def _labels(self, constraint: int, rows: Rows) -> Array:
        """-1 where the constraint holds, how far it is broken where not."""
        violations = self._data.violations[rows, constraint]
        return np.where(violations > 0, np.maximum(_in_medians(violations), 0.3), -1.0)


def _fitted_at(count: int) -> int:
    """The latest number of results, up to `count`, at which hyperparameters are fitted: each time for a tenth more."""
    at = 1
    while at + max(1, at // 10) <= count:
        at += max(1, at // 10)
    return min(at, count)


def _filled(losses: Array) -> Array:
    """`losses` with the worst in place of NaN."""
    known = losses[~np.isnan(losses)]
    return np.where(np.isnan(losses), known.max() if len(known) else 0.0, losses)


def _in_range(values: Array) -> Array:
    width = values.max() - values.min()
    return (values - values.min()) / width if width > 0 else np.zeros_like(values)


def _in_medians(violations: Array) -> Array:
    """Violations in units of the median of those that are any, NaN left as it is."""
    broken = violations[np.isfinite(violations) & (violations > 0)]
    unit = float(np.median(broken)) if len(broken) else 1.0
    return np.minimum(violations, _WORST * unit) / unit
