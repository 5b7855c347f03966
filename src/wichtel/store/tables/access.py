"""Who may knock, and who did what."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from wichtel.store.tables.base import Key, counted, metadata, refers, required
from wichtel.store.types import Json, Time

teams = sa.Table(
    "teams",
    metadata,
    sa.Column("name", Key, primary_key=True),
    required("description", sa.Text),
    required("created", Time),
)

principals = sa.Table(
    "principals",
    metadata,
    sa.Column("name", Key, primary_key=True),
    required("kind", Key),
    required("team", Key),
    required("role", sa.Text),
    required("created", Time),
    sa.Column("email", sa.Text),
    #: Since when; NULL for one that may come in.
    sa.Column("disabled", Time),
    #: Issuer and subject, of one who comes from an identity provider.
    sa.Column("identity", Key),
    sa.Index("ix_principals_identity", "identity", unique=True),
)

#: Roles beyond those in the home teams.
memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("principal", Key, refers("principals.name"), primary_key=True),
    sa.Column("team", Key, refers("teams.name"), primary_key=True, index=True),
    required("role", sa.Text),
    required("created", Time),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("hash", Key, primary_key=True),
    required("principal", Key, refers("principals.name"), index=True),
    required("scopes", Json(tuple[str, ...])),
    sa.Column("expires", Time),
    required("created", Time),
    #: Its public part; older code leaves it out.
    sa.Column("id", Key),
    required("label", sa.Text, server_default=sa.text("''")),
    sa.Column("last_used", Time),
    sa.Index("ix_tokens_id", "id", unique=True),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("hash", Key, primary_key=True),
    required("principal", Key, refers("principals.name"), index=True),
    required("scopes", Json(tuple[str, ...])),
    #: The hash of the token that it was made with; NULL after a login elsewhere.
    sa.Column("token", Key, index=True),
    required("created", Time),
    required("seen", Time),
    required("expires", Time, index=True),
)

audit = sa.Table(
    "audit",
    metadata,
    counted(),
    required("principal", Key, index=True),
    required("action", Key),
    required("subject", Key, index=True),
    required("detail", Json(Any)),
    required("created", Time, index=True),
    #: Whose thing it was done to; NULL if it is no team's, or older code wrote it.
    sa.Column("team", Key, index=True),
    required("outcome", Key, server_default="done"),
    sqlite_autoincrement=True,
)
