"""Gaussian-process regression on encoded configurations: a Matérn-5/2 kernel with a length for each parameter, fitted by MAP."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack, solve_triangular
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr, ndtr, ndtri

Array = np.ndarray[Any, np.dtype[np.float64]]

_SQRT5 = math.sqrt(5.0)
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
#: Added to the diagonal for the sake of the factorisation.
_JITTER = 1e-8
_EXACT = 1e-6
#: Logarithm of the median, and spread, of the log-normal priors: of a length (for one parameter), of the variances of function and noise.
_LENGTH_PRIOR = (0.0, 1.0)
_SCALE_PRIOR = (0.0, 0.5)
_NOISE_PRIOR = (math.log(1e-2), 1.5)
_BOUNDS_LENGTH = (math.log(0.05), math.log(100.0))
_BOUNDS_SCALE = (math.log(0.05), math.log(20.0))
_BOUNDS_NOISE = (math.log(1e-5), math.log(1.0))


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What the kernel is made of; all for targets of mean 0 and variance 1."""

    #: One length for each parameter, shape (d,), in units of its range (for a choice: the distance of two different options is 1).
    lengths: Array
    #: Variance of the function.
    scale: float
    #: Variance of the noise.
    noise: float


class Features:
    """Turns encoded configurations into points between which the kernel measures distances.

    Args:
        counts: For each parameter the number of options of a choice, or 0 for a number.
    """

    def __init__(self, counts: tuple[int, ...]) -> None:
        self._counts = counts
        #: The parameter that each feature belongs to, shape (D,).
        self.owners = np.array([i for i, count in enumerate(counts) for _ in range(count or 1)], dtype=int)

    def __call__(self, vectors: Array) -> Array:
        """Vectors (n, d), NaN where inactive, as features (n, D).

        A choice becomes one entry for each option, such that two different ones are at distance 1. An inactive number sits in the middle.
        """
        parts = []
        for i, count in enumerate(self._counts):
            entries = vectors[:, i : i + 1]
            if count:
                parts.append((entries == np.arange(count)) * math.sqrt(0.5))
            else:
                parts.append(np.where(np.isnan(entries), 0.5, entries))
        return np.hstack(parts) if parts else np.zeros((len(vectors), 0))

    def squares(self, features: Array) -> Array:
        """Squared distances for each parameter and pair, shape (d, n, n)."""
        squares = np.zeros((len(self._counts), len(features), len(features)))
        for j, owner in enumerate(self.owners):
            squares[owner] += (features[:, None, j] - features[None, :, j]) ** 2
        return squares


def fit(squares: Array, targets: Array, *, iterations: int = 60) -> Hyperparameters:
    """The hyperparameters that are most probable a posteriori.

    The prior of a length grows with the square root of the number of parameters, so that a space of many dimensions is not taken for
    noise (Hvarfner et al., Vanilla Bayesian optimization performs great in high dimensions, ICML 2024).

    Args:
        squares: From `Features.squares`, shape (d, n, n).
        targets: Of about mean 0 and variance 1, shape (n,).
        iterations: Most steps of the optimiser (L-BFGS-B, with the gradient in closed form).
    """
    d, n, _ = squares.shape
    flat = squares.reshape(d, n * n)
    prior_mean = np.array([_LENGTH_PRIOR[0] + 0.5 * math.log(d)] * d + [_SCALE_PRIOR[0], _NOISE_PRIOR[0]])
    prior_width = np.array([_LENGTH_PRIOR[1]] * d + [_SCALE_PRIOR[1], _NOISE_PRIOR[1]])
    if not n:
        return Hyperparameters(np.exp(prior_mean[:d]), math.exp(prior_mean[d]), math.exp(prior_mean[d + 1]))
    eye = np.eye(n)

    def objective(theta: Array) -> tuple[float, Array]:
        weights = np.exp(-2.0 * theta[:d])
        scale, noise = math.exp(theta[d]), math.exp(theta[d + 1])
        r = np.sqrt(5.0 * np.maximum(weights @ flat, 0.0)).reshape(n, n)
        decay = np.exp(-r)
        kernel = scale * (1.0 + r + r * r / 3.0) * decay
        factor, info = lapack.dpotrf(kernel + (noise + _JITTER) * eye, lower=1)
        if info:
            return 1e10, np.zeros_like(theta)
        alpha = cho_solve((factor, True), targets, check_finite=False)
        inverse, _ = lapack.dpotri(factor, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        value = 0.5 * targets @ alpha + np.log(np.diag(factor)).sum()
        # d value / d kernel, element by element.
        outer = 0.5 * (inverse - np.outer(alpha, alpha))
        # d kernel / d log length_i = scale · 5/3 · (1 + r) · exp(-r) · squares_i / length_i².
        slope = outer * ((5.0 / 3.0) * scale * (1.0 + r) * decay)
        gradient = np.empty_like(theta)
        gradient[:d] = weights * (flat @ slope.ravel())
        gradient[d] = (outer * kernel).sum()
        gradient[d + 1] = noise * np.trace(outer)
        away = (theta - prior_mean) / prior_width
        return float(value + 0.5 * away @ away), gradient + away / prior_width

    bounds = [_BOUNDS_LENGTH] * d + [_BOUNDS_SCALE, _BOUNDS_NOISE]
    start = np.array([math.log(0.5) + 0.5 * math.log(d)] * d + [0.0, _NOISE_PRIOR[0]])
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": iterations})
    theta = found.x
    return Hyperparameters(np.exp(theta[:d]), math.exp(theta[d]), math.exp(theta[d + 1]))


class Posterior:
    """The process given `targets` at `points`; noise included in what was seen, not in what is predicted.

    Args:
        features: Shape (n, D).
        targets: Shape (n,).
        pending: Shape (m, D): where results are awaited. Each is believed to come out at the mean ("Kriging believer", Ginsbourger et al.,
            Kriging is well-suited to parallelize optimization, 2010), which leaves the mean as it is and takes the uncertainty away.
        owners: `Features.owners`.
    """

    def __init__(self, features: Array, targets: Array, pending: Array, owners: Array, hyperparameters: Hyperparameters) -> None:
        self._h = hyperparameters
        self._divisors = hyperparameters.lengths[owners]
        self._points = features / self._divisors
        noise = hyperparameters.noise + _JITTER
        kernel = self._kernel(self._points, self._points)
        kernel[np.diag_indices_from(kernel)] += noise
        self._alpha = cho_solve(cho_factor(kernel, lower=True), targets)
        self._all = np.vstack([self._points, pending / self._divisors]) if len(pending) else self._points
        if len(pending):
            kernel = self._kernel(self._all, self._all)
            # As if pending ones were free of noise: a noisy result is worth a second look once it is there, and not before.
            kernel[np.diag_indices_from(kernel)] += np.repeat([noise, _EXACT], [len(features), len(pending)])
        self._factor = np.linalg.cholesky(kernel)

    def mean(self, features: Array) -> Array:
        """Shape (m,)."""
        return np.asarray(self._kernel(features / self._divisors, self._points) @ self._alpha)

    def __call__(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation at `features` (m, D), each of shape (m,)."""
        cross = self._kernel(features / self._divisors, self._all)
        mean = cross[:, : len(self._points)] @ self._alpha
        explained = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        variance = self._h.scale - np.einsum("ij,ij->j", explained, explained)
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def _kernel(self, a: Array, b: Array) -> Array:
        squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * a @ b.T
        r = _SQRT5 * np.sqrt(np.maximum(squares, 0.0))
        return np.asarray(self._h.scale * (1.0 + r + r * r / 3.0) * np.exp(-r))


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """The logarithm of the expected improvement below `best`; finite, and still telling, where the improvement underflows.

    References:
        Ament et al., Unexpected improvements to expected improvement for Bayesian optimization, NeurIPS 2023, equation 9.
    """
    z = (best - mean) / deviation
    near = z > -1.0
    safe = np.where(near, z, 0.0)
    above = np.log(np.exp(-0.5 * safe * safe - _LOG_SQRT_2PI) + safe * ndtr(safe))
    t = np.where(near, 1.0, -z)
    # 1 - t·sqrt(π/2)·erfcx(t/√2) cancels out for large t, where it comes to 1/t².
    ratio = np.where(t < 1e3, 1.0 - t * math.sqrt(0.5 * math.pi) * erfcx(t / math.sqrt(2.0)), 1.0 / (t * t))
    below = -0.5 * t * t - _LOG_SQRT_2PI + np.log(np.maximum(ratio, 1e-300))
    return np.where(near, above, below) + np.log(deviation)


def log_probability_below(mean: Array, deviation: Array, bound: float) -> Array:
    """The logarithm of the probability to be at most `bound`."""
    return np.asarray(log_ndtr((bound - mean) / deviation))


def warp(losses: Array) -> Array:
    """Losses (n,) as targets for a process: what is better than the median keeps its distances, what is worse only its rank.

    How bad the bad ones are says little of where the good ones lie; infinitely bad ones would hide all else. The better half is divided by
    its root mean square distance from the median, and the worse half made the upper half of a normal distribution, so that the whole is
    about normal with variance 1. (A like warping is in Song et al., The Vizier Gaussian process bandit algorithm, 2024.)
    """
    middle = float(np.median(losses))
    good = losses <= middle
    unit = spread(losses)
    targets = np.minimum(losses - middle, 0.0) / unit
    bad = losses[~good]
    if len(bad):
        targets[~good] = ndtri(0.5 + 0.5 * _ranks(bad) / (len(bad) + 1))
    return targets


def spread(losses: Array) -> float:
    """The unit of `warp` below the median, in that of the losses."""
    middle = float(np.median(losses))
    away = losses[losses <= middle] - middle
    # Whose squares would overflow, or vanish, if they were not scaled first; by a power of two, which loses no digit.
    _, exponent = math.frexp(float(np.abs(away).max()))
    return math.ldexp(math.sqrt(float(np.mean(np.ldexp(away, -exponent) ** 2))), exponent) or 1.0


def _ranks(values: Array) -> Array:
    """From 1; equal values share the mean of theirs."""
    # SciPy has this, too, in a package that takes a second to import.
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])
