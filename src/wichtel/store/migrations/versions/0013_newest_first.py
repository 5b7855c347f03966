"""Registrations and studies, newest first."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the indexes."""
    op.create_index(op.f("ix_registrations_created_id"), "registrations", ["created", "id"])
    op.create_index(op.f("ix_studies_created_id"), "studies", ["created", "id"])
