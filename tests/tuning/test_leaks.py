"""Leaks between features and label, and between training and test rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from wichtel.domain import InvalidInput
from wichtel.tuning import check_leaks


def table(rows: int = 2000, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, rows)
    return {
        "useful": label + random.normal(0, 1.0, rows),
        "noise": random.normal(size=rows),
        "city": random.choice(["Berlin", "Bonn", "Köln"], rows),
        "label": label,
    }


def test_a_table_without_leaks_is_clean():
    assert check_leaks(table(), "label", table(seed=1)) == []


def test_a_feature_that_is_the_label_in_disguise_is_found():
    data = table()
    data["paid_out"] = np.where(data["label"] == 1, 10.0 + data["noise"], -10.0)
    (leak,) = check_leaks(pd.DataFrame(data), "label")
    assert leak.feature == "paid_out"
    assert leak.score > 0.99
    assert "paid_out" in leak.reason


def test_a_category_that_is_the_label_is_found_too():
    data = table()
    data["status"] = np.where(data["label"] == 1, "late", "on time")
    assert [leak.feature for leak in check_leaks(data, "label")] == ["status"]


def test_a_number_label_is_judged_by_r_squared():
    random = np.random.default_rng(0)
    y = random.normal(size=3000)
    data = {"y": y, "almost": y + random.normal(0, 0.001, 3000), "half": y + random.normal(0, 1, 3000)}
    (leak,) = check_leaks(data, "y", threshold=0.95)
    assert leak.feature == "almost"
    assert "R²" in leak.reason


@pytest.mark.parametrize("rows", [150, 3000])
def test_a_label_with_a_long_tail_is_found_among_the_features(rows):
    y = np.exp(2 * np.random.default_rng(0).normal(size=rows))
    assert [leak.feature for leak in check_leaks({"price": y, "log": np.log(y), "noise": np.roll(y, 1)}, "price")] == ["log"]


def test_rows_without_a_label_hide_nothing():
    y = np.random.default_rng(0).normal(size=500)
    missing = np.where(np.arange(500) % 9, y, np.nan)
    assert [leak.feature for leak in check_leaks({"label": missing, "copy": y}, "label")] == ["copy"]


def test_missing_values_are_a_part_of_their_own():
    data = table()
    data["known_later"] = np.where(data["label"] == 1, data["noise"], np.nan)
    assert [leak.feature for leak in check_leaks(data, "label")] == ["known_later"]


def test_an_identifier_does_not_count_as_a_good_feature():
    data = table()
    data["row"] = np.array([f"id-{i}" for i in range(2000)])
    assert check_leaks(data, "label") == []


def test_rows_in_both_sets_are_found():
    train, test = table(), table(seed=1)
    for name in test:
        test[name][:200] = train[name][:200]
    (leak,) = check_leaks(train, "label", test)
    assert leak.feature == ""
    assert leak.score == pytest.approx(0.1, abs=0.01)


def test_rows_are_found_though_one_table_has_whole_numbers_and_the_other_does_not():
    random = np.random.default_rng(0)
    train = {"a": random.integers(0, 10**6, 100), "b": random.integers(0, 10**6, 100), "label": random.integers(0, 2, 100)}
    (leak,) = check_leaks(train, "label", {"a": train["a"].astype(float), "b": train["b"]})
    assert leak.score == 1.0


def test_a_table_of_nothing_but_a_label_has_no_leak():
    assert check_leaks({"label": np.arange(20)}, "label", {"label": np.arange(20)}) == []


@pytest.mark.parametrize("threshold", [0.0, 1.5, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float):
    with pytest.raises(InvalidInput, match="at most 1"):
        check_leaks(table(), "label", threshold=threshold)


def test_data_that_repeats_itself_anyhow_is_no_leak():
    def few(seed: int) -> dict[str, np.ndarray]:
        random = np.random.default_rng(seed)
        return {"a": random.integers(0, 3, 500), "b": random.integers(0, 3, 500), "label": random.integers(0, 2, 500)}

    assert check_leaks(few(0), "label", few(1)) == []


@pytest.mark.parametrize(
    ("train", "label", "words"),
    [
        ({"a": np.zeros(20)}, "b", "no column 'b'"),
        ({"a": np.zeros(5), "b": np.zeros(5)}, "b", "too few"),
        ({"a": np.zeros(20), "b": np.zeros(21)}, "b", "one length"),
        (3, "b", "no table"),
    ],
)
def test_what_is_no_table_is_refused(train: object, label: str, words: str):
    with pytest.raises(InvalidInput, match=words):
        check_leaks(train, label)
