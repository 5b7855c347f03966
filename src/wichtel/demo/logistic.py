"""What the studies of the demo try: a logistic regression on hashed features of flights, in numpy. A trial takes tenths of a second."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wichtel.demo.flights import flights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wichtel.tuning.function import Reporter

#: One flight in so many.
EVERY = 16
BATCH = 256
COLUMNS = ("carrier", "origin", "dest", "hour", "weekday")
CROSSES = {"none": (), "carrier × hour": ("carrier", "hour"), "origin × hour": ("origin", "hour")}


@cache
def _columns() -> tuple[dict[str, NDArray[np.int64]], NDArray[np.float64], int]:
    """Codes of each column; the labels; how many of the flights are learnt from, those of the first nine months."""
    import polars as pl

    table = flights(EVERY).drop_nulls("late")
    codes = {name: table[name].cast(pl.String).rank("dense").to_numpy().astype(np.int64) for name in COLUMNS}
    learnt = int((table["time_hour"].dt.month() < 10).sum())
    return codes, table["late"].to_numpy().astype(np.float64), learnt


def train(rate: float, l2: float, momentum: float, buckets: int, cross: str, report: Reporter, epochs: int = 12) -> dict[str, float]:
    """Learn from the flights until September, and score those from October on after each epoch.

    Args:
        rate: Step size of the descent.
        l2: Weight of the squared weights in the loss.
        momentum: Share of the last step that is gone again.
        buckets: Of the hash, for each column.
        cross: Which columns are taken together as one more.
        report: Told of each epoch.
        epochs: Passes over the flights.
    """
    from scipy.sparse import csr_array
    from scipy.special import expit

    from wichtel.training.metrics import quality

    codes, labels, learnt = _columns()
    columns = [codes[name] for name in COLUMNS]
    if CROSSES[cross]:
        first, second = CROSSES[cross]
        columns.append(codes[first] * 1009 + codes[second])
    index = np.stack([(column * 2654435761 % 2**32 % buckets) + n * buckets for n, column in enumerate(columns)], axis=1)
    rows = np.arange(0, index.size + 1, index.shape[1])
    matrix: Any = csr_array((np.ones(index.size), index.ravel(), rows), shape=(len(labels), buckets * len(columns)))
    ahead = matrix[learnt:]
    weights, speed, bias = np.zeros(matrix.shape[1]), np.zeros(matrix.shape[1]), -1.0
    batches = [(matrix[at : at + BATCH], labels[at : at + BATCH]) for at in range(0, learnt, BATCH)]
    metrics: dict[str, float] = {}
    for epoch in range(1, epochs + 1):
        for x, y in batches:
            error = expit(np.clip(x @ weights + bias, -30, 30)) - y
            speed = momentum * speed - rate * (x.T @ error / len(y) + l2 * weights)
            weights += speed
            bias -= rate * float(error.mean())
        scores = expit(np.clip(ahead @ weights + bias, -30, 30))
        metrics = quality(labels[learnt:], scores, binary=True, only=("log_loss", "auc"))
        report(step=epoch, **metrics)
    return {**metrics, "weights": float(np.count_nonzero(weights))}
