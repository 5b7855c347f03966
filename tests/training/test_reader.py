from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import Feature, InvalidInput, Window
from wichtel.training import DatasetReader
from wichtel.training.reader import buckets_of, sampled, standardized, statistics_of

START = datetime(2020, 1, 1, tzinfo=UTC)
CITY = Feature(name="city", kind="categorical", buckets=16)
CODE = Feature(name="code", kind="categorical", buckets=8)
PRICE = Feature(name="price", kind="numeric", transform="log1p")
SIZE = Feature(name="size", kind="numeric", transform="standardize")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    n = 1000
    data = pl.DataFrame(
        {
            "t": [START + timedelta(minutes=i) for i in range(n)],
            "city": [None if i % 10 == 9 else f"city {i % 5}" for i in range(n)],
            "code": [i % 3 for i in range(n)],
            "price": [None if i % 10 == 9 else float(i) for i in range(n)],
            "size": [float(i % 4) if i < 500 else 1000.0 for i in range(n)],
            "late": [None if i % 50 == 0 else i % 2 for i in range(n)],
            "word": ["a"] * n,
        }
    )
    # Small row groups, so that windows begin and end in the middle of some and skip others.
    data.write_parquet(tmp_path / "d.parquet", row_group_size=64)
    return tmp_path / "d.parquet"


def reader(path: Path, *features: Feature, label: str = "late") -> DatasetReader:
    return DatasetReader(path, time_column="t", features=features or (CITY, CODE, PRICE, SIZE), label=label)


def window(start: int, end: int) -> Window:
    return Window(start=START + timedelta(minutes=start), end=START + timedelta(minutes=end))


@given(start=st.integers(0, 1050), length=st.integers(2, 400))
def test_windows_hold_their_start_and_not_their_end(start: int, length: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "windows"
    target = folder / "d.parquet"
    if not target.exists():
        folder.mkdir()
        times = [START + timedelta(minutes=i) for i in range(1000)]
        pl.DataFrame({"t": times, "price": [1.0] * 1000, "late": [0] * 1000}).write_parquet(target, row_group_size=64)
    expected = list(range(start, min(start + length, 1000)))
    if not expected:
        with pytest.raises(InvalidInput, match="the evaluation window has no example"):
            reader(target, PRICE).read(window(start, start + length), name="evaluation")
    else:
        assert reader(target, PRICE).read(window(start, start + length), name="evaluation").rows.tolist() == expected


def test_rows_without_a_label_are_skipped(path: Path) -> None:
    found = reader(path).read(window(0, 100), name="train")
    assert len(found) == 98
    assert 0 not in found.rows
    assert 50 not in found.rows
    assert found.binary


def test_categories_get_the_same_bucket_everywhere(path: Path) -> None:
    found = reader(path).read(window(0, 1000), name="train")
    city = found.features["city"]
    assert city.dtype == np.int32
    assert (city[found.rows % 10 == 9] == 0).all()
    assert ((city >= 0) & (city < 16)).all()
    # CRC-32 of "city 1", written down: another process and another version must agree.
    assert city[found.rows == 1][0] == 1 + 3500640743 % 15
    assert (found.features["code"] == 1 + found.rows % 3).all()


def test_numbers_are_transformed_and_null_is_nan(path: Path) -> None:
    found = reader(path).read(window(0, 1000), name="train")
    price = found.features["price"]
    assert price.dtype == np.float32
    assert np.isnan(price[found.rows % 10 == 9]).all()
    known = found.rows % 10 != 9
    np.testing.assert_allclose(price[known], np.log1p(found.rows[known]), rtol=1e-6)


def test_standardizing_knows_the_training_window_only(path: Path) -> None:
    r = reader(path)
    train = r.read(window(0, 500), name="train")
    statistics = statistics_of(train, r.features)
    assert list(statistics) == ["size"]
    inside = standardized(train, statistics).features["size"]
    assert inside.mean() == pytest.approx(0, abs=1e-5)
    assert inside.std() == pytest.approx(1, abs=1e-5)
    assert (r.read(window(500, 1000), name="evaluation", statistics=statistics).features["size"] > 100).all()


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_samples_are_the_same_each_time_and_nested(a: float, b: float) -> None:
    rows = np.arange(20_000)
    small, large = sampled(rows, min(a, b)), sampled(rows, max(a, b))
    assert (sampled(rows[5000:], min(a, b)) == small[5000:]).all()
    assert not (small & ~large).any()
    assert small.mean() == pytest.approx(min(a, b), abs=0.02)


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(), st.booleans())), st.integers(2, 1000))
def test_buckets_are_in_range_and_only_null_is_zero(values: list[object], buckets: int) -> None:
    found = buckets_of(values, buckets)
    assert ((found >= 0) & (found < buckets)).all()
    assert [v is None for v in values] == (found == 0).tolist()


@pytest.mark.parametrize(
    ("feature", "label", "message"),
    [
        (Feature(name="cty", kind="categorical", buckets=4), "late", "Did you mean 'city'"),
        (Feature(name="word", kind="numeric"), "late", "not a number"),
        (Feature(name="price", kind="categorical", buckets=4), "late", "not text, integer or bool"),
        (CITY, "lat", "Did you mean 'late'"),
        (CITY, "word", "the label is of type"),
    ],
)
def test_columns_that_do_not_fit_are_refused(path: Path, feature: Feature, label: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        reader(path, feature, label=label)


def test_an_empty_window_says_what_there_is(path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"the holdout window has no example.*spans 2020-01-01 00:00 to 2020-01-01 16:39"):
        reader(path).read(window(5000, 6000), name="holdout")
