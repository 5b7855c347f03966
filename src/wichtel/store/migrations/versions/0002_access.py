"""Who may knock: teams, service accounts, tokens with scopes, sessions; whose the audit log's entries are."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Make the tables and columns; each team that has a principal becomes a row, and each token gets a public part."""
    op.create_table(
        "teams",
        sa.Column("name", KEY, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_teams")),
    )
    op.create_table(
        "memberships",
        sa.Column("principal", KEY, nullable=False),
        sa.Column("team", KEY, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["principal"], ["principals.name"], name=op.f("fk_memberships_principal_principals"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["team"], ["teams.name"], name=op.f("fk_memberships_team_teams"), initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("principal", "team", name=op.f("pk_memberships")),
    )
    op.create_index(op.f("ix_memberships_team"), "memberships", ["team"])
    op.create_table(
        "sessions",
        sa.Column("hash", KEY, nullable=False),
        sa.Column("principal", KEY, nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("token", KEY, nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.Column("seen", TIME, nullable=False),
        sa.Column("expires", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["principal"], ["principals.name"], name=op.f("fk_sessions_principal_principals"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_sessions")),
    )
    for column in ("principal", "token", "expires"):
        op.create_index(op.f(f"ix_sessions_{column}"), "sessions", [column])
    op.add_column("principals", sa.Column("email", sa.Text(), nullable=True))
    op.add_column("principals", sa.Column("disabled", TIME, nullable=True))
    op.add_column("principals", sa.Column("identity", KEY, nullable=True))
    op.create_index("ix_principals_identity", "principals", ["identity"], unique=True)
    op.add_column("tokens", sa.Column("id", KEY, nullable=True))
    op.add_column("tokens", sa.Column("label", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("tokens", sa.Column("last_used", TIME, nullable=True))
    op.create_index("ix_tokens_id", "tokens", ["id"], unique=True)
    op.add_column("audit", sa.Column("team", KEY, nullable=True))
    op.add_column("audit", sa.Column("outcome", KEY, server_default="done", nullable=False))
    op.create_index(op.f("ix_audit_team"), "audit", ["team"])
    op.create_index(op.f("ix_audit_created"), "audit", ["created"])
    op.execute("INSERT INTO teams (name, description, created) SELECT team, '', min(created) FROM principals GROUP BY team")
    op.execute("UPDATE tokens SET id = substr(hash, 1, 10)")
