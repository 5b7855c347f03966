"""Looks for the two leaks that make a search look better than any model will be: a feature that gives the label away, rows seen twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wichtel.domain import InvalidInput, did_you_mean

_Array = np.ndarray[Any, np.dtype[Any]]

#: A number feature is cut into so many parts of equal size, at most.
_BINS = 32
#: Folds of the prediction from one feature.
_FOLDS = 5
#: A label of numbers with more different values than this is one to be regressed.
_CLASSES = 20
#: Rows found twice that are no more than this beyond what the data repeats anyhow are no finding.
_SLACK = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Something that should make one doubt the data."""

    #: The feature; empty for rows that are in both sets.
    feature: str
    #: How well the feature alone predicts the label (area under the ROC curve, or R² of ranks); or the share of test rows in `train`.
    score: float
    reason: str


def check_leaks(train: Any, label: str, test: Any = None, *, threshold: float = 0.99) -> list[Leak]:
    """Look for leaks in tables, before a search learns to use them.

    Each feature alone predicts the label out of fold, from the label's mean in each part of the feature's range (each category): a label of
    classes by the area under the ROC curve (of several classes, the worst one against the rest), a number by the R² of its ranks. A feature
    at or above `threshold` is reported; rows whose label is NaN are not looked at. With `test`, so are test rows whose features occur in
    `train`, if they are more than the data repeats anyhow.

    Args:
        train: A pandas or polars data frame, or a mapping of column names to arrays of one length.
        label: The column to be predicted.
        test: A table of the same columns.
        threshold: Of the feature's score, above 0 and at most 1.

    Raises:
        InvalidInput: there is no such column, columns of different lengths, fewer than 10 rows with a label, or a threshold out of range.
    """
    if not 0 < threshold <= 1:
        raise InvalidInput(f"it is {threshold}, but must be above 0 and at most 1.", where="threshold")
    table = _columns(train, "train")
    if label not in table:
        raise InvalidInput(f"there is no column {label!r}.", where="train", hint=did_you_mean(label, table))
    target = table.pop(label)
    labelled = ~np.isnan(target) if np.issubdtype(target.dtype, np.floating) else np.ones(len(target), dtype=bool)
    if labelled.sum() < 10:
        raise InvalidInput(f"{labelled.sum()} rows with a label are too few to tell.", where="train")
    scored = (_from_feature(name, column[labelled], target[labelled], threshold) for name, column in table.items())
    found = [leak for leak in scored if leak is not None]
    if test is not None and table:
        other = _columns(test, "test")
        missing = [name for name in table if name not in other]
        if missing:
            raise InvalidInput(f"there is no column {missing[0]!r}.", where="test", hint=did_you_mean(missing[0], other))
        rows = _from_rows(table, other)
        found += [rows] if rows is not None else []
    return found


def _columns(table: Any, where: str) -> dict[str, _Array]:
    try:
        columns = {str(name): np.asarray(table[name]) for name in (table if isinstance(table, Mapping) else table.columns)}
    except (AttributeError, TypeError) as error:
        hint = "Give a data frame, or a mapping of names to arrays."
        raise InvalidInput(f"{type(table).__name__} is no table.", where=where, hint=hint) from error
    lengths = {len(column) if column.ndim == 1 else -1 for column in columns.values()}
    if len(lengths) != 1 or lengths == {-1}:
        raise InvalidInput("its columns are not of one length and one dimension each.", where=where)
    return columns


def _from_feature(name: str, column: _Array, target: _Array, threshold: float) -> Leak | None:
    parts = _parts(column)
    number = np.issubdtype(target.dtype, np.number) and not np.issubdtype(target.dtype, np.bool_)
    classes = np.unique(target.astype(str))
    if number and len(classes) > _CLASSES:
        from scipy.stats import rankdata

        # Not the values: in a long tail, one part of the range holds much of the variance, and even the label would not predict itself.
        ranks = rankdata(target)
        score = _r_squared(_out_of_fold(parts, ranks), ranks)
        measure = "R² (of its ranks)"
    elif 2 <= len(classes) <= _CLASSES:
        each = [(target.astype(str) == c).astype(float) for c in (classes[1:] if len(classes) == 2 else classes)]
        score = min(_area(_out_of_fold(parts, one), one) for one in each)
        measure = "an area under the ROC curve"
    else:
        return None
    if score < threshold:
        return None
    reason = f"{name!r} alone predicts the label with {measure} of {score:.4f}: is it known before the label is?"
    return Leak(feature=name, score=score, reason=reason)


def _parts(column: _Array) -> _Array:
    """For each row the number of the part of the feature's range that it lies in."""
    if np.issubdtype(column.dtype, np.number) and not np.issubdtype(column.dtype, np.bool_):
        values = column.astype(float)
        finite = values[np.isfinite(values)]
        if len(np.unique(finite)) > _BINS:
            cuts = np.quantile(finite, np.linspace(0, 1, _BINS + 1)[1:-1])
            # A value that many rows share is a part of its own.
            edges = np.unique(np.concatenate([cuts, np.nextafter(cuts, -np.inf)]))
            # NaN comes after every edge, and so into a part with the largest: it gets its own.
            return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
    return np.asarray(np.unique(column.astype(str), return_inverse=True)[1])


def _out_of_fold(parts: _Array, target: _Array) -> _Array:
    """Each row's prediction: the mean of the label in its part, of the rows of other folds."""
    n = len(target)
    fold = np.random.default_rng(0).permutation(n) % _FOLDS
    predicted = np.empty(n)
    for k in range(_FOLDS):
        seen, rest = fold != k, fold == k
        count = np.bincount(parts[seen], minlength=parts.max() + 1)
        total = np.bincount(parts[seen], weights=target[seen], minlength=parts.max() + 1)
        means = np.where(count > 0, total / np.maximum(count, 1), target[seen].mean())
        predicted[rest] = means[parts[rest]]
    return predicted


def _r_squared(predicted: _Array, target: _Array) -> float:
    spread = float(np.sum((target - target.mean()) ** 2))
    return 1.0 - float(np.sum((target - predicted) ** 2)) / spread if spread > 0 else 0.0


def _area(predicted: _Array, positive: _Array) -> float:
    """The area under the ROC curve, by ranks (Mann-Whitney), ties counting half."""
    from scipy.stats import rankdata

    ones = float(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return 0.5
    ranks = rankdata(predicted)
    return float((ranks[positive == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _from_rows(train: dict[str, _Array], test: dict[str, _Array]) -> Leak | None:
    pairs = [_alike(column, test[name]) for name, column in train.items()]
    known, asked = _rows([mine for mine, _ in pairs]), _rows([other for _, other in pairs])
    values, counts = np.unique(known, return_counts=True)
    repeated = float(counts[counts > 1].sum()) / len(known)
    shared = float(np.isin(asked, values).mean()) if len(asked) else 0.0
    if shared <= repeated + _SLACK:
        return None
    reason = f"{shared:.1%} of the test rows are training rows too, while {repeated:.1%} of the training rows occur more than once"
    return Leak(feature="", score=shared, reason=reason)


def _alike(one: _Array, other: _Array) -> tuple[_Array, _Array]:
    """Both in one type if they are numbers: whole ones are written as others as soon as a value is missing."""
    if one.dtype != other.dtype and all(np.issubdtype(column.dtype, np.number) for column in (one, other)):
        return one.astype(float), other.astype(float)
    return one, other


def _rows(columns: list[_Array]) -> _Array:
    """One key for each row."""
    return np.array(["\x1f".join(row) for row in zip(*(column.astype(str) for column in columns), strict=True)], dtype=str)
