"""Reads windows of a dataset as compact arrays, encoded as the plan's features say.

A categorical value becomes a bucket: the same value the same bucket, in every process and on every machine, without a vocabulary that
would have to be kept. A numeric value becomes a ``float32``. Row groups are read, cut, sampled and encoded one at a time, so that the raw
table is never held whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wichtel.domain import Feature, InvalidInput, Window, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Feature → (mean, standard deviation) over the training examples, for those that are standardized.
Statistics = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled examples in time order."""

    #: Feature → ``[n]``: ``int32`` buckets of a categorical, ``float32`` values of a numeric (NaN for null).
    features: dict[str, NDArray[Any]]
    #: ``[n]``, ``float32``.
    labels: NDArray[np.float32]
    #: ``[n]``, ``int64``: position in the dataset.
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def binary(self) -> bool:
        """Whether every label is 0 or 1."""
        return bool(np.isin(self.labels, (0.0, 1.0)).all())

    def take(self, index: slice | NDArray[np.int64]) -> Examples:
        """The examples at `index`, in its order."""
        return Examples({name: column[index] for name, column in self.features.items()}, self.labels[index], self.rows[index])


def buckets_of(values: Sequence[Any], buckets: int) -> NDArray[np.int32]:
    """The bucket of each value, in ``[0, buckets)``: 0 for null, else 1 + hash modulo ``buckets - 1``.

    The hash of an integer or a bool is the integer itself, that of anything else the CRC-32 of its text.
    """
    room = max(buckets - 1, 1)

    def one(value: Any) -> int:
        if value is None or buckets == 1:
            return 0
        number = int(value) if isinstance(value, int) else zlib.crc32(str(value).encode())
        return 1 + number % room

    return np.fromiter((one(v) for v in values), dtype=np.int32, count=len(values))


def sampled(rows: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Which rows belong to a sample of `share`, by a hash of their position: the same ones each time, and all of a smaller sample.

    The hash is the finalizer of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
    """
    if share >= 1:
        return np.ones(len(rows), dtype=np.bool_)
    z = rows.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53 < share


class DatasetReader:
    """Windows of one Parquet file in time order.

    Args:
        path: The file that `ingest` wrote.
        time_column: Its time column.
        features: What to read, and how to encode it.
        label: The column to be predicted; rows without one are skipped.

    Raises:
        InvalidInput: a column that is missing or whose type does not fit its feature.
    """

    def __init__(self, path: str | Path, *, time_column: str, features: Sequence[Feature], label: str) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path)
        self._schema = self._file.schema_arrow
        self._time = time_column
        self.features = tuple(features)
        self._label = label
        for feature in self.features:
            self._check(feature)
        kind = self._type(label, "the label")
        if not _numeric(kind):
            raise InvalidInput(
                f"the label is of type {kind}, not a number.", where=f"column {label!r}", hint="A label is 0 or 1, or a number."
            )
        self._type(time_column, "the time column")

    def read(self, window: Window, *, name: str, sample: float = 1.0, statistics: Statistics | None = None) -> Examples:
        """The labelled examples of `window`.

        Args:
            window: When.
            name: What the window is called, for messages.
            sample: The share of them that is wanted.
            statistics: Of the training window; None leaves features that are to be standardized as they are.

        Raises:
            InvalidInput: there are none.
        """
        parts = list(self._parts(window, sample))
        if not parts:
            raise InvalidInput(
                f"the {name} window has no example with a label.",
                where=f"window {window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}",
                hint=f"The dataset spans {self._span()}."
                if sample >= 1
                else f"The dataset spans {self._span()}; of it {sample:g} is sampled.",
            )
        examples = Examples(
            {f.name: np.concatenate([p.features[f.name] for p in parts]) for f in self.features},
            np.concatenate([p.labels for p in parts]),
            np.concatenate([p.rows for p in parts]),
        )
        return standardized(examples, statistics) if statistics else examples

    def _parts(self, window: Window, sample: float) -> Iterator[Examples]:
        columns = sorted({f.name for f in self.features} | {self._label})
        start, end = (round((t - _EPOCH).total_seconds() * 1_000_000) for t in (window.start, window.end))
        first = 0
        for group in range(self._file.num_row_groups):
            count = self._file.metadata.row_group(group).num_rows
            times = _microseconds(self._file.read_row_group(group, columns=[self._time]).column(0))
            low, high = np.searchsorted(times, [start, end], side="left")
            if low < high:
                table = self._file.read_row_group(group, columns=columns).slice(low, high - low)
                labels = table.column(self._label)
                rows = np.arange(first + low, first + high, dtype=np.int64)
                keep = sampled(rows, sample) & labels.is_valid().to_numpy()
                values = _floats(labels)
                keep &= ~np.isnan(values)
                if keep.any():
                    yield Examples({f.name: _encode(f, table.column(f.name))[keep] for f in self.features}, values[keep], rows[keep])
            first += count

    def _span(self) -> str:
        groups = self._file.num_row_groups
        if not groups:
            return "nothing"
        first = self._file.read_row_group(0, columns=[self._time]).column(0)
        last = self._file.read_row_group(groups - 1, columns=[self._time]).column(0)
        return f"{first[0].as_py():%Y-%m-%d %H:%M} to {last[-1].as_py():%Y-%m-%d %H:%M}"

    def _type(self, column: str, what: str) -> pa.DataType:
        if column not in self._schema.names:
            raise InvalidInput(
                f"the dataset has no column {column!r} for {what}.", where="dataset", hint=did_you_mean(column, self._schema.names)
            )
        return self._schema.field(column).type

    def _check(self, feature: Feature) -> None:
        import pyarrow.types as types

        kind = self._type(feature.name, f"feature {feature.name!r}")
        where = f"feature {feature.name!r}"
        if feature.kind == "numeric" and not _numeric(kind):
            raise InvalidInput(f"its column is of type {kind}, not a number.", where=where, hint="Declare it as plan.Categorical.")
        text = types.is_string(kind) or types.is_large_string(kind)
        if feature.kind == "categorical" and not (text or types.is_integer(kind) or types.is_boolean(kind)):
            raise InvalidInput(f"its column is of type {kind}, not text, integer or bool.", where=where, hint="Declare it as plan.Numeric.")


def statistics_of(examples: Examples, features: Sequence[Feature]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of the features that are to be standardized, over `examples`; nulls do not count."""
    found = {}
    for feature in features:
        if feature.transform == "standardize":
            values = examples.features[feature.name].astype(np.float64)
            values = values[~np.isnan(values)]
            found[feature.name] = (float(values.mean()), float(values.std()) or 1.0) if len(values) else (0.0, 1.0)
    return found


def standardized(examples: Examples, statistics: Statistics) -> Examples:
    """`examples` with the features in `statistics` shifted and scaled by them."""
    scaled = {name: ((examples.features[name] - mean) / std).astype(np.float32) for name, (mean, std) in statistics.items()}
    return replace(examples, features={**examples.features, **scaled})


def _encode(feature: Feature, column: pa.ChunkedArray) -> NDArray[Any]:
    if feature.kind == "categorical":
        import pyarrow as pa

        # Each distinct value is hashed once.
        codes = column.combine_chunks().dictionary_encode()
        table = np.append(buckets_of(codes.dictionary.to_pylist(), feature.buckets or 1), np.int32(0))
        indices: NDArray[np.int64] = codes.indices.cast(pa.int64()).fill_null(len(table) - 1).to_numpy(zero_copy_only=False)
        return table[indices]
    values = _floats(column)
    return np.copysign(np.log1p(np.abs(values)), values) if feature.transform == "log1p" else values


def _floats(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """As ``float32``; null and infinite become NaN."""
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: NDArray[np.float32] = column.cast(pa.float32(), safe=False).to_numpy().astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32("nan"))


def _microseconds(column: pa.ChunkedArray) -> NDArray[np.int64]:
    import pyarrow as pa

    result: NDArray[np.int64] = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    return result


def _numeric(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))
