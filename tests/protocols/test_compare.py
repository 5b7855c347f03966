from __future__ import annotations

import numpy as np
import pytest

from wichtel.domain import SystemFault
from wichtel.protocols.compare import compare_quality, compare_resource, mean_metrics, same_examples


def mean_of(values: np.ndarray):
    return lambda weights: float(np.average(values, weights=weights))


def quality(a: np.ndarray, b: np.ndarray, **other: object):
    settings = {"examples": len(a), "window": "evaluation", "confidence": 0.95, "resamples": 400, "seed": 1, **other}
    return compare_quality("m", [mean_of(a)], [mean_of(b)], **settings)


def test_the_same_predictions_differ_by_exactly_nothing() -> None:
    values = np.random.default_rng(0).random(500)
    estimate = quality(values, values)
    assert (estimate.low, estimate.high, estimate.relative_low, estimate.relative_high) == (0, 0, 0, 0)


def test_pairing_finds_a_small_difference_that_the_noise_of_the_examples_would_hide() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(10, 5, 1000)
    estimate = quality(values, values + 0.05 + rng.normal(0, 0.1, 1000))
    assert 0 < estimate.low < 0.05 < estimate.high < 0.1
    assert "paired bootstrap over 1,000 examples" in estimate.method


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        a = rng.normal(1, 1, 150)
        estimate = quality(a, a + rng.normal(0.2, 1, 150), resamples=200, seed=seed)
        hits += estimate.low <= 0.2 <= estimate.high
    # 95 are expected; fewer than 86 or all 100 of one hundred would be one chance in many thousands.
    assert 86 <= hits <= 100


def test_replicates_whose_seeds_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(2000)
    lucky, unlucky = values + 0.5, values - 0.5
    settings = {"examples": 2000, "window": "evaluation", "confidence": 0.95, "resamples": 300, "seed": 1}
    estimate = compare_quality("m", [mean_of(values)] * 2, [mean_of(lucky), mean_of(unlucky)], **settings)
    assert estimate.low < -2
    assert estimate.high > 2


def test_a_difference_that_is_only_the_luck_of_seeds_is_found_about_as_rarely_as_it_says() -> None:
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        examples = rng.normal(10, 0.01, 50)
        baselines, candidates = ([mean_of(examples + luck) for luck in rng.normal(0, 1, 3)] for _ in range(2))
        settings = {"examples": 50, "window": "evaluation", "confidence": 0.95, "resamples": 400, "seed": seed}
        estimate = compare_quality("m", baselines, candidates, **settings)
        wrong += not estimate.low <= 0 <= estimate.high
    # 10 of 200 are expected at most: Welch's t is a little careful with three of each.
    assert wrong <= 18


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(300), rng.random(300)
    assert quality(a, b) == quality(a, b)
    assert quality(a, b) != quality(a, b, seed=2)


def test_a_resource_without_noise_has_an_interval_of_no_width() -> None:
    estimate = compare_resource("model_bytes", [[1000.0]], [[900.0]], exact=True, confidence=0.95, resamples=200, seed=0)
    assert estimate.low == estimate.high == -100
    assert estimate.relative_low == pytest.approx(-0.1)


def test_a_resource_with_noise_has_an_interval_that_shows_it() -> None:
    rng = np.random.default_rng(0)
    slow, fast = rng.normal(10, 1, 20), rng.normal(5, 1, 20)
    estimate = compare_resource("step_seconds", [slow], [fast], exact=False, confidence=0.95, resamples=500, seed=0)
    assert estimate.low < -5 < estimate.high < -3


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_difference_that_is_only_the_noise_of_few_measurements_is_found_about_as_rarely_as_it_says(count: int) -> None:
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        baselines, candidates = ([[value] for value in rng.normal(10, 1, count)] for _ in range(2))
        estimate = compare_resource("m", baselines, candidates, exact=False, confidence=0.95, resamples=400, seed=seed)
        wrong += not estimate.low <= 0 <= estimate.high
    # As for the luck of seeds.
    assert wrong <= 18


def test_models_scored_on_different_examples_are_not_compared() -> None:
    with pytest.raises(SystemFault, match="different examples"):
        same_examples([np.arange(5), np.arange(5), np.arange(1, 6)], window="holdout")


def test_a_metric_that_was_not_a_number_in_one_replicate_is_left_out() -> None:
    replicates = [{"metrics": {"auc": 0.8, "own": 1.0}}, {"metrics": {"auc": 0.6}}]
    assert mean_metrics(replicates, "metrics") == {"auc": pytest.approx(0.7)}
