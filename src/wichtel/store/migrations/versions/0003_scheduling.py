"""Shares of resources, pauses, limits; experiments in the order of their priority; whose share a run takes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table, the columns and the indexes. Experiments that wait have priority 0, unless their configuration says otherwise."""
    op.add_column("quota_groups", sa.Column("max_runs", sa.Integer(), nullable=True))
    op.add_column("quota_groups", sa.Column("max_cpus", sa.Double(), nullable=True))
    op.add_column("quota_groups", sa.Column("max_gpus", sa.Double(), nullable=True))
    op.add_column("quota_groups", sa.Column("max_memory_bytes", sa.BigInteger(), nullable=True))
    op.add_column("quota_groups", sa.Column("paused", sa.Text(), nullable=True))
    op.create_table(
        "limits",
        sa.Column("quota_group", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("max_in_progress", sa.Integer(), nullable=True),
        sa.Column("max_starts_per_hour", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("quota_group", "kind", "name", name=op.f("pk_limits")),
    )
    op.add_column("runs", sa.Column("quota_group", KEY, nullable=True))
    op.add_column("experiments", sa.Column("priority", sa.Integer(), server_default="0", nullable=False))
    number = "json_extract(config, '$.priority')" if op.get_bind().dialect.name == "sqlite" else "(config::json->>'priority')::integer"
    op.execute(f"UPDATE experiments SET priority = coalesce({number}, 0) WHERE state = 'ENQUEUED'")  # noqa: S608 nothing of users
    line = ["state", "quota_group", "priority", "created", "id"]
    op.create_index(op.f("ix_experiments_state_quota_group_priority_created_id"), "experiments", line)
    op.create_index(op.f("ix_experiments_started"), "experiments", ["started"])
