"""How a candidate compares with its baseline: differences with intervals, from predictions on the same examples.

Quality: paired bootstrap (Efron & Tibshirani 1993, chapter 16): examples are drawn with replacement, the same draw for both models. With
replicates, the luck of the seeds widens the interval by Welch's t on the trainings (Welch 1947); a bootstrap over so few would be too sure
of itself. Resources: bootstrap of the difference of medians over repeated measurements, or Welch's t on the means of fewer than five; a
metric measured once and without noise (bytes, parameters) has an interval of width 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wichtel.domain import Estimate, InvalidInput, SystemFault

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
    #: From example weights (counts of a resample; None for all ones) to the metric's value.
    Score = Callable[[Array | None], float]


#: The bootstrap of a median of fewer measurements is too sure: of two and two, a third of all noise would pass for a difference.
FEW = 5


def compare_quality(
    metric: str,
    baselines: Sequence[Score],
    candidates: Sequence[Score],
    *,
    examples: int,
    window: str,
    confidence: float,
    resamples: int,
    seed: int,
) -> Estimate:
    """Paired bootstrap over examples and, with replicates, Welch's t over trainings.

    Args:
        metric: Its name.
        baselines: One scorer per replicate, each over the same `examples` examples in the same order.
        candidates: Likewise.
        examples: Number of examples.
        window: Which examples these are.
        confidence: Two-sided, in (0, 1).
        resamples: Bootstrap resamples.
        seed: Of the draws.
    """
    import numpy as np

    if not baselines or not candidates:
        raise InvalidInput("nothing to compare.", where=metric)
    rng = np.random.default_rng(seed)
    measured = [np.array([score(None) for score in side]) for side in (baselines, candidates)]
    b0, c0 = (float(values.mean()) for values in measured)
    luck = _luck(measured, resamples, rng)
    differences = np.empty(resamples)
    relatives = np.empty(resamples)
    for i in range(resamples):
        # Counts of a draw with replacement.
        weights = np.bincount(rng.integers(0, examples, examples), minlength=examples).astype(np.float64)
        b, c = (float(np.mean([score(weights) for score in side])) for side in (baselines, candidates))
        difference = c - b + float(luck[i])
        differences[i] = difference
        relatives[i] = difference / abs(b) if b else (0.0 if difference == 0 else np.copysign(np.inf, difference))
    trainings = f", Welch's t over {len(baselines)} + {len(candidates)} trainings" if len(baselines) + len(candidates) > 2 else ""
    return _estimate(
        metric,
        b0,
        c0,
        differences,
        relatives,
        confidence,
        method=f"paired bootstrap over {examples:,} examples, {resamples:,} resamples{trainings}",
        window=window,
        replicates=len(candidates),
    )


def _luck(measured: Sequence[Array], resamples: int, rng: np.random.Generator) -> Array:
    """Draws of how far the difference of the means may be off by luck, of seeds or of measurements; zeros where it cannot be told."""
    import numpy as np

    shares = [values.var(ddof=1) / len(values) for values in measured if len(values) > 1]
    variance = float(sum(shares))
    if variance == 0:
        return np.zeros(resamples)
    # Welch-Satterthwaite.
    freedom = variance**2 / sum(
        float(share) ** 2 / (len(values) - 1) for share, values in zip(shares, (m for m in measured if len(m) > 1), strict=True)
    )
    drawn: Array = np.sqrt(variance) * rng.standard_t(freedom, resamples)
    return drawn


def compare_resource(
    metric: str,
    baselines: Sequence[Sequence[float]],
    candidates: Sequence[Sequence[float]],
    *,
    exact: bool,
    confidence: float,
    resamples: int,
    seed: int,
) -> Estimate:
    """Difference of medians of repeated measurements; of means if they are few.

    Args:
        metric: Its name.
        exact: Whether measuring again gives the same value. If not, one measurement tells nothing: the interval is infinite.
        baselines: Per replicate, the repeated measurements.
        candidates: Likewise.
        confidence: Two-sided, in (0, 1).
        resamples: Bootstrap resamples.
        seed: Of the draws.
    """
    import numpy as np

    b = np.concatenate([np.asarray(m, dtype=np.float64) for m in baselines])
    c = np.concatenate([np.asarray(m, dtype=np.float64) for m in candidates])
    b0, c0 = float(np.median(b)), float(np.median(c))
    if exact or min(len(b), len(c)) == 1:
        difference = np.array([c0 - b0])
        relative = np.array([(c0 - b0) / abs(b0) if b0 else (0.0 if c0 == b0 else np.copysign(np.inf, c0 - b0))])
        if not exact:
            difference = relative = np.array([-np.inf, np.inf])
        method = "the same every time" if exact else "measured once, which says nothing of its noise; ask for replicates"
        return _estimate(metric, b0, c0, difference, relative, confidence, method=method, window="", replicates=len(candidates))
    rng = np.random.default_rng(seed)
    if min(len(b), len(c)) < FEW:
        b0, c0 = float(b.mean()), float(c.mean())
        difference = c0 - b0 + _luck((b, c), resamples, rng)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(difference == 0, 0.0, difference / abs(b0))
        method = f"Welch's t on {len(b)} and {len(c)} measurements"
        return _estimate(metric, b0, c0, difference, relative, confidence, method=method, window="", replicates=len(candidates))
    bs = np.median(rng.choice(b, (resamples, len(b))), axis=1)
    cs = np.median(rng.choice(c, (resamples, len(c))), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        relatives = np.where(cs == bs, 0.0, (cs - bs) / np.abs(bs))
    return _estimate(
        metric,
        b0,
        c0,
        cs - bs,
        relatives,
        confidence,
        method=f"bootstrap of the medians of {len(b)} and {len(c)} measurements, {resamples:,} resamples",
        window="",
        replicates=len(candidates),
    )


def _estimate(
    metric: str,
    baseline: float,
    candidate: float,
    differences: Array,
    relatives: Array,
    confidence: float,
    *,
    method: str,
    window: str,
    replicates: int,
) -> Estimate:
    low, high = _interval(differences, confidence)
    relative_low, relative_high = _interval(relatives, confidence)
    return Estimate(
        metric=metric,
        baseline=baseline,
        candidate=candidate,
        low=low,
        high=high,
        relative_low=relative_low,
        relative_high=relative_high,
        confidence=confidence,
        method=method,
        window=window,
        replicates=replicates,
    )


def _interval(values: Array, confidence: float) -> tuple[float, float]:
    """The percentile interval. Does not interpolate, so that an infinite value among them does not make it NaN."""
    import numpy as np

    tail = 100 * (1 - confidence) / 2
    return float(np.percentile(values, tail, method="lower")), float(np.percentile(values, 100 - tail, method="higher"))


def same_examples(rows: Sequence[Array], *, window: str) -> None:
    """Refuse to compare models that were scored on different examples.

    Raises:
        SystemFault: they were.
    """
    import numpy as np

    for other in rows[1:]:
        if not np.array_equal(rows[0], other):
            raise SystemFault(f"the models were scored on different examples of the {window} window.")


def mean_metrics(results: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    """Metrics averaged over replicates; without those that one of them lacks, since it was not a number there."""
    tables = [r[key] or {} for r in results]
    return {name: sum(float(t[name]) for t in tables) / len(tables) for name in tables[0] if all(name in t for t in tables)}
