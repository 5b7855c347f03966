"""Jobs that come round."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Make the tables, and the columns of experiments."""
    op.create_table(
        "jobs",
        sa.Column("name", KEY, nullable=False),
        sa.Column("every_seconds", sa.Float(), nullable=False),
        sa.Column("due", TIME, nullable=False),
        sa.Column("requested", TIME, nullable=True),
        sa.Column("holder", KEY, nullable=False),
        sa.Column("expires", TIME, nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_jobs")),
    )
    op.create_table(
        "exports",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("written", TIME, nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_exports")),
    )
    op.add_column("experiments", sa.Column("began", TIME, nullable=True))
    op.add_column("experiments", sa.Column("export", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_experiments_export"), "experiments", ["export"])
