"""Failures that somebody has to look into: one row for all that are the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from wichtel.domain import ExperimentStatus, Failure
from wichtel.domain.failure import normalised
from wichtel.store.page import Page, Stage, fetch
from wichtel.store.repository import Repository
from wichtel.store.tables import triage


class TriageState(StrEnum):
    """What became of it."""

    #: Nobody has said anything yet.
    OPEN = "open"
    #: Somebody knows why, and that it will happen again.
    KNOWN = "known"
    #: It should not happen any more. If it does, it is open again.
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Failures that are the same, as far as one can tell. Times are aware, UTC."""

    #: Of category, step, protocol and what is the same in all messages.
    fingerprint: str
    category: str
    status: ExperimentStatus
    #: Without what differs from one occurrence to the next.
    message: str
    step: str
    protocol: str
    first: datetime
    last: datetime
    count: int
    #: The latest experiment that failed so.
    example: str
    state: TriageState
    note: str
    #: Who set the state last; empty if nobody did.
    who: str


class Triage(Repository):
    """Cases, by their fingerprint."""

    def note(self, failure: Failure, protocol: str, experiment: str) -> str:
        """Count `failure`, with `experiment` as the example of its case; return the fingerprint. A case that was fixed is open again."""
        message = normalised(failure.message)
        told = "\0".join((failure.category, failure.step, protocol, message))
        fingerprint = hashlib.sha256(told.encode()).hexdigest()[:16]
        row = {
            "fingerprint": fingerprint,
            "category": failure.category,
            "status": failure.status,
            "message": message,
            "step": failure.step,
            "protocol": protocol,
            "first": self.now,
            "last": self.now,
            "count": 1,
            "example": experiment,
            "state": TriageState.OPEN,
            "note": "",
            "who": "",
        }
        if not self.insert(triage, row):
            again = {
                "last": self.now,
                "count": triage.c.count + 1,
                "example": experiment,
                "state": sa.case((triage.c.state == TriageState.FIXED, TriageState.OPEN), else_=triage.c.state),
            }
            self.connection.execute(sa.update(triage).where(triage.c.fingerprint == fingerprint).values(again))
        return fingerprint

    def get(self, fingerprint: str) -> Case:
        """The case of that fingerprint.

        Raises:
            NotFound: there is none.
        """
        row = self.connection.execute(sa.select(triage).where(triage.c.fingerprint == fingerprint)).one_or_none()
        if row is None:
            raise self.not_found("case", fingerprint, triage.c.fingerprint)
        return _read(row)

    def list(self, *, state: TriageState | None = None, limit: int = 100, cursor: str | None = None) -> Page[Case]:
        """Those in `state`, or all; the latest first.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        query = sa.select(triage)
        if state is not None:
            query = query.where(triage.c.state == state)
        latest = Stage(query, (triage.c.last, triage.c.fingerprint), descending=True)
        return fetch(self.connection, [latest], _read, limit=limit, cursor=cursor)

    def set_state(self, fingerprint: str, state: TriageState, note: str, who: str) -> None:
        """Note what became of it.

        Raises:
            NotFound: there is none.
        """
        change = sa.update(triage).where(triage.c.fingerprint == fingerprint).values(state=state, note=note, who=who)
        if not self.connection.execute(change).rowcount:
            raise self.not_found("case", fingerprint, triage.c.fingerprint)


def _read(row: sa.Row[Any]) -> Case:
    values = dict(row._mapping)
    return Case(**(values | {"state": TriageState(values["state"]), "status": ExperimentStatus(values["status"])}))
