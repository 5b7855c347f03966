"""What experiments found about each metric, as numbers to search by. The results themselves are with the experiments."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.store.tables.base import Key, metadata

metric_deltas = sa.Table(
    "metric_deltas",
    metadata,
    # Goes with its experiment.
    sa.Column(
        "experiment", Key, sa.ForeignKey("experiments.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"), primary_key=True
    ),
    sa.Column("metric", Key, primary_key=True),
    # NULL where only the other side reported it, or a value is not a number.
    sa.Column("baseline", sa.Double),
    sa.Column("candidate", sa.Double),
    sa.Column("delta", sa.Double),
    sa.Column("relative", sa.Double),
    # Of the delta, for metrics that the intent constrains.
    sa.Column("low", sa.Double),
    sa.Column("high", sa.Double),
    sa.Index(None, "metric", "delta", "experiment"),
)
