"""Models that are put away."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Make the column of models."""
    op.add_column("models", sa.Column("archived", TIME, nullable=True))
