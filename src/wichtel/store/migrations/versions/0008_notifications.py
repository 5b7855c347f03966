"""Who is told what."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "channels",
        sa.Column("id", KEY, nullable=False),
        sa.Column("owner_kind", sa.Text(), nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
    )
    op.create_index(op.f("ix_channels_owner_owner_kind"), "channels", ["owner", "owner_kind"])
    op.create_table(
        "watchers",
        sa.Column("kind", KEY, nullable=False),
        sa.Column("subject", KEY, nullable=False),
        sa.Column("principal", KEY, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", "principal", name=op.f("pk_watchers")),
    )
    op.create_index(op.f("ix_watchers_principal"), "watchers", ["principal"])
    op.create_table(
        "outbox",
        sa.Column("event", KEY, nullable=False),
        sa.Column("channel", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("owner_kind", sa.Text(), nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("experiment", KEY, nullable=False),
        sa.Column("registration", KEY, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due", TIME, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("claim", KEY, nullable=False),
        sa.Column("claimed", TIME, nullable=True),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event", "channel", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_state_due"), "outbox", ["state", "due"])
    op.create_index(op.f("ix_outbox_claim"), "outbox", ["claim"])
    op.create_index(op.f("ix_outbox_channel"), "outbox", ["channel"])
    op.create_index(op.f("ix_outbox_created_event_channel"), "outbox", ["created", "event", "channel"])
    op.create_index(op.f("ix_outbox_owner_created_event_channel"), "outbox", ["owner", "created", "event", "channel"])
    op.create_index(op.f("ix_outbox_experiment"), "outbox", ["experiment"])
