"""Numbers that describe a data set, so that studies of similar ones can be found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wichtel.domain import InvalidInput

#: A label of numbers with more different values than this is one to be regressed.
_CLASSES = 20


def meta_features(features: Any, label: Any = None) -> dict[str, float]:
    """Describe a data set by the simple measures that warm starts of hyperparameter searches go by.

    Args:
        features: ``(rows, columns)``: an array or a data frame.
        label: ``(rows,)``, if there is one.

    Returns:
        ``log_rows``, ``log_columns``, ``log_ratio`` (columns to rows), ``missing`` (share of values), ``numeric`` (share of columns),
        ``skewness`` and ``kurtosis`` (means over numeric columns), and with a label ``classes`` (0 if it is a number to be regressed) and
        ``class_entropy`` (bits, as a share of what is possible).

    Raises:
        InvalidInput: not two-dimensional, empty, or a label of another length.

    References:
        Feurer, Springenberg and Hutter, Initializing Bayesian hyperparameter optimization via meta-learning, AAAI 2015, table 1.
    """
    table = np.asarray(features)
    if table.ndim != 2 or not table.size:
        raise InvalidInput(f"features of shape {table.shape} are no table.", where="meta_features", hint="Give (rows, columns).")
    rows, columns = table.shape
    numbers = [column for column in (_number(table[:, j]) for j in range(columns)) if column is not None]
    missing = sum(int(np.isnan(c).sum()) for c in numbers) + sum(
        int(sum(v is None for v in table[:, j])) for j in range(columns) if table.dtype == object and _number(table[:, j]) is None
    )
    shapes = [_shape(c[np.isfinite(c)]) for c in numbers]
    found = {
        "log_rows": math.log(rows),
        "log_columns": math.log(columns),
        "log_ratio": math.log(columns / rows),
        "missing": missing / table.size,
        "numeric": len(numbers) / columns,
        "skewness": float(np.mean([s for s, _ in shapes])) if shapes else 0.0,
        "kurtosis": float(np.mean([k for _, k in shapes])) if shapes else 0.0,
    }
    if label is not None:
        target = np.asarray(label)
        if target.shape != (rows,):
            raise InvalidInput(f"a label of shape {target.shape} does not go with {rows} rows.", where="meta_features")
        found |= _label(target)
    return found


def _number(column: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    if column.dtype != object and not np.issubdtype(column.dtype, np.number) and column.dtype != bool:
        return None
    try:
        return np.asarray(column, dtype=float)
    except (TypeError, ValueError):
        return None


def _shape(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Skewness and excess kurtosis; a column of one value has neither."""
    spread = values.std() if values.size else 0.0
    if not spread > 0:
        return 0.0, 0.0
    z = (values - values.mean()) / spread
    return float(np.mean(z**3)), float(np.mean(z**4) - 3.0)


def _label(target: np.ndarray[Any, Any]) -> dict[str, float]:
    values, counts = np.unique(target.astype(str), return_counts=True)
    if np.issubdtype(target.dtype, np.number) and len(values) > _CLASSES:
        return {"classes": 0.0, "class_entropy": 0.0}
    share = counts / counts.sum()
    entropy = float(-(share * np.log2(share)).sum())
    return {"classes": float(len(values)), "class_entropy": entropy / math.log2(len(values)) if len(values) > 1 else 0.0}
