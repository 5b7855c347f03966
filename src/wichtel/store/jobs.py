"""Periodic jobs: a row each, which says when it is due, who carries it out, and how it went."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from wichtel.store.repository import Repository
from wichtel.store.tables import jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A periodic job as it stands. All times are aware, UTC."""

    name: str
    every_seconds: float
    #: When it is carried out next.
    due: datetime
    #: When somebody asked for it to be carried out at once; None as soon as it is.
    requested: datetime | None = None
    #: Who carries it out now; empty if nobody does.
    holder: str = ""
    #: Until then nobody else takes it from the holder.
    expires: datetime | None = None
    #: Counts the claims; what an earlier holder says is not heard.
    token: int = 0
    #: The latest time that it began, and ended.
    started: datetime | None = None
    ended: datetime | None = None
    #: What the latest one that went well did.
    outcome: dict[str, Any] | None = None
    #: Why the latest one failed; empty if it went well.
    error: str = ""
    #: How many have failed since one went well.
    failures: int = 0


class Jobs(Repository):
    """Periodic jobs, by name."""

    def ensure(self, name: str, every_seconds: float, due: datetime) -> None:
        """Have a row for the job; `due` counts if there was none, or if it came round at another interval."""
        row = {"name": name, "every_seconds": every_seconds, "due": due, "holder": "", "token": 0, "error": "", "failures": 0}
        if not self.insert(jobs, row):
            other = sa.update(jobs).where(jobs.c.name == name, jobs.c.every_seconds != every_seconds)
            self.connection.execute(other.values(every_seconds=every_seconds, due=due))

    def waiting(self, names: Iterable[str]) -> builtins.list[str]:
        """Those of `names` that can be claimed now, the longest due first."""
        query = sa.select(jobs.c.name).where(jobs.c.name.in_(list(names)), self._claimable()).order_by(jobs.c.due)
        return list(self.connection.execute(query).scalars())

    def claim(self, name: str, holder: str, seconds: float) -> int | None:
        """Take the job for `seconds`; the claim's token, or None if it is not due or another was first.

        A claim that ran out unfinished makes the job due again: its holder died.
        """
        change = (
            sa.update(jobs)
            .where(jobs.c.name == name, self._claimable())
            .values(holder=holder, token=jobs.c.token + 1, expires=self._until(seconds), requested=None, started=self.now, ended=None)
        )
        return self.connection.execute(change.returning(jobs.c.token)).scalar_one_or_none()

    def renew(self, name: str, token: int, seconds: float) -> bool:
        """Hold the claim for `seconds` from now; False if another has taken the job since."""
        change = sa.update(jobs).where(jobs.c.name == name, jobs.c.token == token, jobs.c.holder != "")
        return bool(self.connection.execute(change.values(expires=self._until(seconds))).rowcount)

    def finish(self, name: str, token: int, due: datetime, outcome: dict[str, Any] | None, error: str = "") -> bool:
        """Give the claim back; False if another has taken the job since, and nothing changes.

        Args:
            due: When it is carried out next.
            outcome: None if it failed.
            error: Why it did.
        """
        result = {"error": error, "failures": jobs.c.failures + 1} if outcome is None else {"error": "", "failures": 0, "outcome": outcome}
        change = sa.update(jobs).where(jobs.c.name == name, jobs.c.token == token, jobs.c.holder != "")
        done = self.connection.execute(change.values(holder="", expires=None, ended=self.now, due=due, **result).returning(jobs.c.failures))
        failures = done.scalar_one_or_none()
        if failures == 1:
            # The first of a row of failures: the others would only repeat it.
            self.tx.events.add("job.failed", f"job/{name}", {"error": error})
        return failures is not None

    def request(self, name: str) -> JobStatus:
        """Make it due at once; one that is under way is carried out once more after that.

        Raises:
            NotFound: there is none of that name.
        """
        self.connection.execute(sa.update(jobs).where(jobs.c.name == name).values(requested=self.now))
        return self.get(name)

    def get(self, name: str) -> JobStatus:
        """The job of that name.

        Raises:
            NotFound: there is none.
        """
        row = self.connection.execute(sa.select(jobs).where(jobs.c.name == name)).one_or_none()
        if row is None:
            raise self.not_found("job", name, jobs.c.name)
        return JobStatus(**row._mapping)

    def list(self) -> builtins.list[JobStatus]:
        """All, in the order of names."""
        return [JobStatus(**row._mapping) for row in self.connection.execute(sa.select(jobs).order_by(jobs.c.name))]

    def _claimable(self) -> sa.ColumnElement[bool]:
        idle = sa.and_(jobs.c.holder == "", sa.or_(jobs.c.due <= self.now, jobs.c.requested.is_not(None)))
        return sa.or_(idle, sa.and_(jobs.c.holder != "", jobs.c.expires <= self.now))

    def _until(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)
