"""The store: tables, migrations, repositories, artifacts, the event feed.

Owns all that lasts. May import `domain`; is the only room that imports SQLAlchemy. Start with `database.py`, then `transaction.py`, which
lists the repositories. To add a noun, copy `registrations.py`, add its table to `tables` and a revision to `migrations/versions`.

Names are loaded when they are first used, so that a worker or a client that only wants the codec does not wait for SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wichtel.store import codec
    from wichtel.store.access import Entry, Principal, Token, TokenInfo
    from wichtel.store.artifacts import Artifacts
    from wichtel.store.database import Database
    from wichtel.store.events import Event
    from wichtel.store.exports import Export
    from wichtel.store.files import Files
    from wichtel.store.group_commit import GroupCommit
    from wichtel.store.idempotency import StoredAnswer
    from wichtel.store.jobs import JobStatus
    from wichtel.store.page import Page
    from wichtel.store.replicas import Replica
    from wichtel.store.request_stats import RequestCount
    from wichtel.store.sessions import Session
    from wichtel.store.studies import TrialPoint
    from wichtel.store.teams import Member, Team
    from wichtel.store.transaction import Transaction
    from wichtel.store.triage import Case, TriageState

_HOMES = {
    "Artifacts": "artifacts",
    "Case": "triage",
    "Database": "database",
    "Entry": "access",
    "Event": "events",
    "Export": "exports",
    "Files": "files",
    "GroupCommit": "group_commit",
    "JobStatus": "jobs",
    "Member": "teams",
    "Page": "page",
    "Principal": "access",
    "Replica": "replicas",
    "RequestCount": "request_stats",
    "Session": "sessions",
    "StoredAnswer": "idempotency",
    "Team": "teams",
    "Token": "access",
    "TokenInfo": "access",
    "Transaction": "transaction",
    "TrialPoint": "studies",
    "TriageState": "triage",
}

__all__ = [
    "Artifacts",
    "Case",
    "Database",
    "Entry",
    "Event",
    "Export",
    "Files",
    "GroupCommit",
    "JobStatus",
    "Member",
    "Page",
    "Principal",
    "Replica",
    "RequestCount",
    "Session",
    "StoredAnswer",
    "Team",
    "Token",
    "TokenInfo",
    "Transaction",
    "TriageState",
    "TrialPoint",
    "codec",
]


def __getattr__(name: str) -> Any:
    if name == "codec":
        return import_module("wichtel.store.codec")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"wichtel.store.{_HOMES[name]}"), name)
