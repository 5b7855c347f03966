"""What experiments are searched by. Experiments that ended before have no numbers to search by; they are found by all else."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the numbers of finished experiments, and indexes for teams and orders."""
    op.add_column("experiments", sa.Column("duration_seconds", sa.Double(), nullable=True))
    op.add_column("experiments", sa.Column("models_trained", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_experiments_quota_group_created_id"), "experiments", ["quota_group", "created", "id"])
    op.create_index(op.f("ix_experiments_finished_id"), "experiments", ["finished", "id"])
    op.create_index(op.f("ix_experiments_duration_seconds_id"), "experiments", ["duration_seconds", "id"])
    op.create_table(
        "metric_deltas",
        sa.Column("experiment", KEY, nullable=False),
        sa.Column("metric", KEY, nullable=False),
        sa.Column("baseline", sa.Double(), nullable=True),
        sa.Column("candidate", sa.Double(), nullable=True),
        sa.Column("delta", sa.Double(), nullable=True),
        sa.Column("relative", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["experiment"],
            ["experiments.id"],
            name=op.f("fk_metric_deltas_experiment_experiments"),
            ondelete="CASCADE",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("experiment", "metric", name=op.f("pk_metric_deltas")),
    )
    op.create_index(op.f("ix_metric_deltas_metric_delta_experiment"), "metric_deltas", ["metric", "delta", "experiment"])
