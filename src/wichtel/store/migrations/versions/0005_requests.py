"""What is kept of requests."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "idempotency",
        sa.Column("principal", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("route", KEY, nullable=False),
        sa.Column("request", KEY, nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created"), "idempotency", ["created"])
    op.create_table(
        "request_stats",
        sa.Column("hour", TIME, nullable=False),
        sa.Column("replica", KEY, nullable=False),
        sa.Column("call", KEY, nullable=False),
        sa.Column("status_class", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("sum_ms", sa.Float(), nullable=False),
        sa.Column("max_ms", sa.Float(), nullable=False),
        sa.Column("buckets", sa.Text(), nullable=False),
        sa.Column("principals", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "replica", "call", "status_class", name=op.f("pk_request_stats")),
    )
