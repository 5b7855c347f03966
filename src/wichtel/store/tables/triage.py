"""Failures that somebody has to look into."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.store.tables.base import Key, metadata, required
from wichtel.store.types import Time

triage = sa.Table(
    "triage",
    metadata,
    # Of category, step, protocol and what is the same in all messages.
    sa.Column("fingerprint", Key, primary_key=True),
    required("category", Key),
    required("status", sa.Text),
    required("message", sa.Text),
    required("step", Key),
    required("protocol", Key),
    required("first", Time),
    required("last", Time),
    required("count", sa.BigInteger),
    # The latest experiment that failed so.
    required("example", Key),
    required("state", sa.Text),
    required("note", sa.Text),
    required("who", Key),
    sa.Index(None, "state", "last", "fingerprint"),
    sa.Index(None, "last", "fingerprint"),
)
