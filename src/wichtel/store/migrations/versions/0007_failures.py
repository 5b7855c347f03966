"""Why experiments fail."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Make the table, and the column of experiments."""
    op.add_column("experiments", sa.Column("failure", sa.Text(), nullable=True))
    op.create_table(
        "triage",
        sa.Column("fingerprint", KEY, nullable=False),
        sa.Column("category", KEY, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("step", KEY, nullable=False),
        sa.Column("protocol", KEY, nullable=False),
        sa.Column("first", TIME, nullable=False),
        sa.Column("last", TIME, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("example", KEY, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("who", KEY, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_triage")),
    )
    op.create_index(op.f("ix_triage_state_last_fingerprint"), "triage", ["state", "last", "fingerprint"])
    op.create_index(op.f("ix_triage_last_fingerprint"), "triage", ["last", "fingerprint"])
