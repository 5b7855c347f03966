"""The metrics that every trained model is judged by, and the scorer that computes the quality ones fast enough to be resampled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from wichtel.domain import Analysis, Expectation, InvalidInput, Metric, MetricKind, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Scores of a binary model are clipped to ``[EPSILON, 1 - EPSILON]`` before their logarithm is taken.
EPSILON = 1e-7
#: Bins of the expected calibration error, of equally many examples each.
CALIBRATION_BINS = 15

BINARY = ("log_loss", "auc", "accuracy", "calibration", "calibration_error")
REGRESSION = ("rmse", "mae")


def _catalogue() -> dict[str, Metric]:
    quality, resource = MetricKind.QUALITY, MetricKind.RESOURCE
    larger, smaller = Expectation.LARGER, Expectation.SMALLER
    rows = (
        ("log_loss", quality, smaller, "nats", "Mean negative log-likelihood of the labels."),
        ("auc", quality, larger, "", "Chance that a positive example scores above a negative one; ties count half."),
        ("accuracy", quality, larger, "", "Share of examples whose score lies on the label's side of 0.5."),
        ("calibration", quality, smaller, "", "How far the mean score divided by the mean label is from 1."),
        ("calibration_error", quality, smaller, "", f"Expected calibration error over {CALIBRATION_BINS} bins of equally many examples."),
        ("rmse", quality, smaller, "label", "Root of the mean squared difference of score and label."),
        ("mae", quality, smaller, "label", "Mean absolute difference of score and label."),
        ("parameters", resource, smaller, "numbers", "Numbers that were learnt."),
        ("model_bytes", resource, smaller, "bytes", "Size of the saved model."),
        ("peak_memory_bytes", resource, smaller, "bytes", "Most resident memory of the training process, data and libraries included."),
        ("step_seconds", resource, smaller, "s", "Median time of one step (a batch; a boosting round), without compilation."),
        ("examples_per_second", resource, larger, "1/s", "Examples learnt from per second, without compilation."),
        ("inference_seconds", resource, smaller, "s", "Median time to score a batch of 256 examples."),
        (
            "train_cpu_seconds",
            resource,
            smaller,
            "s",
            "Processor time of the training, over all cores, without compilation, scoring and reports.",
        ),
        ("training_examples", resource, smaller, "examples", "Examples learnt from, each pass counted."),
    )
    exact = ("parameters", "model_bytes", "training_examples")
    return {
        name: Metric(name=name, kind=kind, better=better, unit=unit, help=text, exact=name in exact)
        for name, kind, better, unit, text in rows
    }


#: The metrics that trainers report, by name.
METRICS: Mapping[str, Metric] = MappingProxyType(_catalogue())


def metric_catalogue(analysis: Analysis) -> tuple[Metric, ...]:
    """The metrics that a model may report: those of `METRICS` and the plan's own, which win where both have a name."""
    return tuple({**METRICS, **{m.name: m for m in analysis.metadata.metrics}}.values())


class Scorer:
    """One quality metric on fixed examples, ready to be computed under many weightings.

    A bootstrap resample is a weighting: how often each example was drawn. All sorting is done once, so that a value costs O(n).

    Args:
        metric: One of `BINARY` or `REGRESSION`.
        labels: ``[n]``; 0 or 1 for a binary metric.
        scores: ``[n]``; for a binary metric probabilities of label 1.

    Raises:
        InvalidInput: an unknown metric, no examples, arrays of different length, labels or scores that do not fit the metric.
    """

    def __init__(self, metric: str, labels: NDArray[np.floating], scores: NDArray[np.floating]) -> None:
        if metric not in BINARY + REGRESSION:
            raise InvalidInput(f"{metric!r} is not a quality metric.", hint=did_you_mean(metric, BINARY + REGRESSION))
        y, s = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
        if y.ndim != 1 or y.shape != s.shape or not len(y):
            raise InvalidInput(f"labels {y.shape} and scores {s.shape} must be of one length, and not empty.", where=metric)
        self.metric = metric
        self.size = len(y)
        self._y, self._s = y, s
        #: Weighted means of these make up the metric.
        self._terms: NDArray[np.float64] | None = None
        if metric in BINARY:
            if not np.isin(y, (0.0, 1.0)).all():
                raise InvalidInput("labels must be 0 or 1.", where=metric)
            if metric != "auc" and not ((s >= 0) & (s <= 1)).all():
                raise InvalidInput("scores must be probabilities.", where=metric)
        if metric == "auc":
            up, down = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
            self._positives, self._negatives = up, down[np.argsort(s[down], kind="stable")]
            # Of each positive: how many negatives score below it, and how many no higher.
            self._below, self._upto = (np.searchsorted(s[self._negatives], s[up], side=side) for side in ("left", "right"))
        elif metric == "calibration_error":
            self._order = np.argsort(s, kind="stable")
            self._starts = np.unique(np.linspace(0, len(s), min(CALIBRATION_BINS, len(s)), endpoint=False).astype(np.int64))
            self._gap = (s - y)[self._order]
        elif metric == "log_loss":
            p = np.clip(s, EPSILON, 1 - EPSILON)
            self._terms = -np.where(y == 1, np.log(p), np.log1p(-p))
        elif metric == "accuracy":
            self._terms = ((s >= 0.5) == (y == 1)).astype(np.float64)
        elif metric == "rmse":
            self._terms = (s - y) ** 2
        elif metric == "mae":
            self._terms = np.abs(s - y)

    def value(self, weights: NDArray[np.floating] | NDArray[np.integer] | None = None) -> float:
        """The metric with example ``i`` counted ``weights[i]`` times (once without weights).

        NaN where it is undefined: all weights 0; for ``auc`` only one class; for ``calibration`` no positive.
        """
        w = np.ones(self.size) if weights is None else np.asarray(weights, dtype=np.float64)
        total = float(w.sum())
        if total <= 0:
            return float("nan")
        if self._terms is not None:
            mean = _dot(w, self._terms) / total
            return float(np.sqrt(mean)) if self.metric == "rmse" else mean
        if self.metric == "calibration":
            positives = _dot(w, self._y)
            return abs(_dot(w, self._s) / positives - 1) if positives else float("nan")
        if self.metric == "calibration_error":
            # Σ over bins of (weight of the bin / total) · |mean score - mean label| (Naeini et al., AAAI 2015).
            return float(np.abs(np.add.reduceat(w[self._order] * self._gap, self._starts)).sum() / total)
        return self._auc(w)

    def _auc(self, w: NDArray[np.float64]) -> float:
        positive, negative = w[self._positives], np.concatenate([[0.0], np.cumsum(w[self._negatives])])
        pairs = float(positive.sum() * negative[-1])
        return _dot(positive, negative[self._below] + negative[self._upto]) / 2 / pairs if pairs else float("nan")


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    # Not `a @ b`: BLAS wakes its threads for sums as short as these, and on a busy machine waits for them a hundred times as long.
    return float(np.einsum("i,i->", a, b))


def quality(
    labels: NDArray[np.floating], scores: NDArray[np.floating], *, binary: bool, only: tuple[str, ...] | None = None
) -> dict[str, float]:
    """The quality metrics of one set of examples; those that are undefined on it are left out.

    Args:
        labels: ``[n]``.
        scores: ``[n]``.
        binary: Whether labels are 0 or 1 and scores probabilities.
        only: The metrics wanted; None for all that fit.
    """
    names = [m for m in (BINARY if binary else REGRESSION) if only is None or m in only]
    values = {name: Scorer(name, labels, scores).value() for name in names}
    return {name: value for name, value in values.items() if np.isfinite(value)}


class FunctionScorer:
    """A metric that a plan defines, on fixed examples: as `Scorer`, with whole weights only, since the function knows none.

    Call it where the plan's code may run, in a fresh process.

    Args:
        function: Takes labels and scores, arrays of one length, and returns a number.
        labels: ``[n]``.
        scores: ``[n]``.
    """

    def __init__(
        self,
        function: Callable[[NDArray[np.floating], NDArray[np.floating]], float],
        labels: NDArray[np.floating],
        scores: NDArray[np.floating],
    ) -> None:
        self._function, self._labels, self._scores = function, labels, scores

    def value(self, weights: NDArray[np.floating] | NDArray[np.integer] | None = None) -> float:
        """The metric with example ``i`` repeated ``weights[i]`` times (once without weights)."""
        if weights is None:
            return float(self._function(self._labels, self._scores))
        drawn = np.repeat(np.arange(len(self._labels)), np.asarray(weights).astype(np.int64))
        return float(self._function(self._labels[drawn], self._scores[drawn]))
