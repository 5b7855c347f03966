from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from wichtel.domain import InvalidInput
from wichtel.training import METRICS, FunctionScorer, Scorer
from wichtel.training.metrics import BINARY, REGRESSION, quality


def examples(seed: int, n: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n).astype(np.float32)
    labels[:2] = 0, 1
    scores = np.clip(0.3 * labels + rng.random(n) * 0.7, 0.001, 0.999)
    if ties:
        scores = np.round(scores, 1)
    # Both classes keep some weight.
    weights = rng.integers(0, 4, n).astype(np.float64)
    weights[:2] = 1
    return labels, scores, weights


@given(st.integers(0, 10_000), st.integers(2, 200), st.booleans(), st.booleans())
def test_values_are_those_of_scikit_learn(seed: int, n: int, ties: bool, weighted: bool) -> None:
    labels, scores, weights = examples(seed, n, ties=ties)
    w = weights if weighted else None
    expected = {
        "auc": reference.roc_auc_score(labels, scores, sample_weight=w),
        "log_loss": reference.log_loss(labels, np.clip(scores, 1e-7, 1 - 1e-7), sample_weight=w),
        "accuracy": reference.accuracy_score(labels, scores >= 0.5, sample_weight=w),
        "rmse": reference.root_mean_squared_error(labels, scores, sample_weight=w),
        "mae": reference.mean_absolute_error(labels, scores, sample_weight=w),
    }
    for name, value in expected.items():
        assert Scorer(name, labels, scores).value(w) == pytest.approx(value, abs=1e-9), name


@given(st.integers(0, 10_000), st.sampled_from([*BINARY, *REGRESSION]))
def test_a_weight_of_two_counts_an_example_twice(seed: int, name: str) -> None:
    labels, scores, weights = examples(seed, 60, ties=True)
    again = np.repeat(np.arange(60), weights.astype(int))
    if name == "calibration_error":
        # Its bins are those of the whole set, not of the resample.
        return
    assert Scorer(name, labels, scores).value(weights) == pytest.approx(Scorer(name, labels[again], scores[again]).value())


def test_calibration_is_zero_when_the_mean_score_is_the_mean_label() -> None:
    labels, scores = np.array([0.0, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5])
    assert Scorer("calibration", labels, scores).value() == 0
    assert Scorer("calibration_error", labels, scores).value() >= 0
    assert Scorer("calibration", labels, scores * 0.5).value() == pytest.approx(0.5)


def test_undefined_metrics_are_left_out() -> None:
    found = quality(np.zeros(5), np.full(5, 0.1), binary=True)
    assert "auc" not in found
    assert "calibration" not in found
    assert found["accuracy"] == 1


@pytest.mark.parametrize(
    ("metric", "labels", "scores", "message"),
    [
        ("acu", [0, 1], [0.1, 0.2], "Did you mean 'auc'"),
        ("auc", [0, 2], [0.1, 0.2], "0 or 1"),
        ("log_loss", [0, 1], [0.1, 1.2], "probabilities"),
        ("auc", [], [], "not empty"),
        ("auc", [0, 1], [0.1], "one length"),
    ],
)
def test_what_does_not_fit_is_refused(metric: str, labels: list[float], scores: list[float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Scorer(metric, np.array(labels), np.array(scores))


def test_every_quality_metric_is_in_the_catalogue() -> None:
    assert set(BINARY + REGRESSION) <= set(METRICS)


def test_a_thousand_resamples_are_quick() -> None:
    labels, scores, _ = examples(0, 30_000, ties=False)
    scorer = Scorer("auc", labels, scores)
    weights = np.bincount(np.random.default_rng(0).integers(0, 30_000, 30_000), minlength=30_000).astype(float)
    start = time.perf_counter()
    values = [scorer.value(weights) for _ in range(100)]
    print(f"\n1,000 resamples of 30,000 examples: {10 * (time.perf_counter() - start):.2f} s")
    assert len(set(values)) == 1


def test_a_metric_of_the_plan_is_resampled_by_repeating_examples() -> None:
    labels, scores, weights = examples(3, 50, ties=False)
    own = FunctionScorer(lambda y, s: float(np.abs(y - s).mean()), labels, scores)
    assert own.value() == pytest.approx(Scorer("mae", labels, scores).value())
    assert own.value(weights) == pytest.approx(Scorer("mae", labels, scores).value(weights))
