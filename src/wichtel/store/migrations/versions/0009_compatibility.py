"""Which versions may use the database; what a replica says of itself."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

#: The oldest revision whose code can use the database from here on; a revision that leaves it out changes nothing for those before it.
oldest = "0001"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table, and the columns."""
    op.create_table(
        "compatibility",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("oldest", KEY, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_compatibility")),
    )
    op.add_column("replicas", sa.Column("version", sa.Text(), server_default="unknown", nullable=False))
    op.add_column("replicas", sa.Column("told", sa.Text(), server_default="{}", nullable=False))
