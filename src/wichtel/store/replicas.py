"""Leases, which say who leads, and heartbeats, which say who lives."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from wichtel.store.repository import Repository
from wichtel.store.tables import leases, replicas

# Made once: the fleet asks with everything it writes.
_TOKEN = sa.select(leases.c.token).where(leases.c.name == sa.bindparam("lease")).with_for_update(read=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who leads. Times are aware, UTC."""

    name: str
    #: Empty if it was given back.
    holder: str
    token: int
    expires: datetime


class Leases(Repository):
    """Leases, by name: each is held by one at a time, until it runs out.

    The *fencing token* goes up with each change of holder and never down. Whoever acts on a lease shows its token where it acts
    (`holds`, in the same transaction), so that a holder who slept through the end of its lease cannot do harm (Kleppmann, "How to do
    distributed locking", 2016).
    """

    def acquire(self, name: str, holder: str, seconds: float) -> int | None:
        """Take or renew the lease for `seconds` from now; the token, or None if another holds it. Renewing keeps the token."""
        until = self.now + timedelta(seconds=seconds)
        if self.insert(leases, {"name": name, "holder": holder, "token": 1, "expires": until}):
            return 1
        mine = sa.update(leases).where(leases.c.name == name, leases.c.holder == holder).values(expires=until)
        free = (
            sa.update(leases)
            .where(leases.c.name == name, leases.c.expires <= self.now)
            .values(holder=holder, token=leases.c.token + 1, expires=until)
        )
        for change in (mine, free):
            token = self.connection.execute(change.returning(leases.c.token)).scalar_one_or_none()
            if token is not None:
                return int(token)
        return None

    def holds(self, name: str, token: int) -> bool:
        """Whether `token` is still the lease's latest; if so, on PostgreSQL too, nobody takes the lease before this transaction ends."""
        return bool(self.connection.execute(_TOKEN, {"lease": name}).scalar_one_or_none() == token)

    def find(self, name: str) -> Lease | None:
        """The lease as it stands; None if nobody ever took it."""
        row = self.connection.execute(sa.select(leases).where(leases.c.name == name)).one_or_none()
        return None if row is None else Lease(**row._mapping)

    def list(self) -> builtins.list[Lease]:
        """All, in the order of names."""
        return [Lease(**row._mapping) for row in self.connection.execute(sa.select(leases).order_by(leases.c.name))]

    def holder(self, name: str) -> str:
        """Who took it last and did not give it back, though it may have run out; empty if nobody."""
        return self.connection.execute(sa.select(leases.c.holder).where(leases.c.name == name)).scalar_one_or_none() or ""

    def release(self, name: str, holder: str) -> bool:
        """Give it back; False if `holder` did not have it."""
        change = sa.update(leases).where(leases.c.name == name, leases.c.holder == holder).values(holder="", expires=self.now)
        return bool(self.connection.execute(change).rowcount)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A process that said it lives. All times are aware, UTC."""

    id: str
    roles: tuple[str, ...]
    started: datetime
    beat: datetime
    #: Of its Wichtel.
    version: str = "unknown"
    #: What it says of itself, as plain JSON.
    told: dict[str, Any] = field(default_factory=dict)


class Replicas(Repository):
    """The processes that serve, by id."""

    def beat(self, replica_id: str, roles: Iterable[str] = (), *, version: str = "unknown", told: Mapping[str, Any] | None = None) -> None:
        """Say that it lives now, and what it does."""
        row = {
            "id": replica_id,
            "roles": tuple(roles),
            "started": self.now,
            "beat": self.now,
            "version": version,
            "told": dict(told or {}),
        }
        self.upsert(replicas, row, keep=["started"])

    def dead(self, after_seconds: float) -> builtins.list[str]:
        """The ids of those that have been silent for longer."""
        limit = self.now - timedelta(seconds=after_seconds)
        return list(self.connection.execute(sa.select(replicas.c.id).where(replicas.c.beat < limit).order_by(replicas.c.id)).scalars())

    def list(self) -> builtins.list[Replica]:
        """All, in the order of ids."""
        return [Replica(**row._mapping) for row in self.connection.execute(sa.select(replicas).order_by(replicas.c.id))]

    def forget(self, replica_id: str) -> bool:
        """Strike it off; False if it was not there."""
        return bool(self.connection.execute(sa.delete(replicas).where(replicas.c.id == replica_id)).rowcount)
