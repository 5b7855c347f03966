"""Channels, who watches what, and what is to be told."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.domain import ExperimentStatus
from wichtel.store.tables.base import Key, metadata, required
from wichtel.store.types import Json, Time

channels = sa.Table(
    "channels",
    metadata,
    sa.Column("id", Key, primary_key=True),
    required("owner_kind", sa.Text),
    required("owner", Key),
    required("kind", Key),
    required("address", sa.Text),
    # What messages are signed with. Never leaves the service but when it is made.
    required("secret", sa.Text),
    required("events", Json(tuple[ExperimentStatus, ...])),
    required("created", Time),
    sa.Index(None, "owner", "owner_kind"),
)

watchers = sa.Table(
    "watchers",
    metadata,
    sa.Column("kind", Key, primary_key=True),
    sa.Column("subject", Key, primary_key=True),
    sa.Column("principal", Key, primary_key=True),
    required("created", Time),
    sa.Index(None, "principal"),
)

# DBOS has a table `notifications` in the same database.
notifications = sa.Table(
    "outbox",
    metadata,
    # Written in the transaction that makes the event. The key is what makes it one for each event and channel.
    sa.Column("event", Key, primary_key=True),
    sa.Column("channel", Key, primary_key=True),
    required("kind", Key),
    required("owner_kind", sa.Text),
    required("owner", Key),
    required("experiment", Key),
    required("registration", Key),
    required("state", sa.Text),
    required("attempts", sa.Integer),
    required("due", Time),
    required("created", Time),
    # Who is sending it, and since when; empty when nobody is.
    required("claim", Key),
    sa.Column("claimed", Time),
    sa.Column("ended", Time),
    required("error", sa.Text),
    sa.Index(None, "state", "due"),
    sa.Index(None, "claim"),
    sa.Index(None, "channel"),
    sa.Index(None, "created", "event", "channel"),
    sa.Index(None, "owner", "created", "event", "channel"),
    sa.Index(None, "experiment"),
)
