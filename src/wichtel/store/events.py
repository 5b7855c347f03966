"""The feed of what happened: append-only, in the transaction that made it happen.

Ids increase in the order of commits: a reader that has seen id N never meets a smaller one that it has not seen, so that "all since N"
misses nothing. A database sequence alone does not promise that: of two transactions that overlap, the one with the smaller number may
commit last. On SQLite writers do not overlap. On PostgreSQL whoever numbers events holds an advisory lock until its commit; it is taken at
the end of the transaction, when all other locks are held, so that it is held briefly and nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from wichtel.store.repository import Repository, begins_with
from wichtel.store.tables import events

if TYPE_CHECKING:
    from wichtel.store.transaction import Transaction

#: Any number that nothing else uses for its advisory lock.
_LOCK = 0x57_49_43_48_54_45_4C


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened."""

    id: int
    #: ``noun.verb``, such as ``experiment.finished``.
    kind: str
    #: ``noun/id``, such as ``experiment/e-1``.
    subject: str
    #: Plain JSON.
    data: Any
    created: datetime


class Events(Repository):
    """The feed."""

    def __init__(self, tx: Transaction) -> None:
        super().__init__(tx)
        self._added: list[dict[str, Any]] = []

    def add(self, kind: str, subject: str, data: Any = None) -> None:
        """Note that something happened. It gets its id, and can be read, when the transaction commits."""
        self._added.append({"kind": kind, "subject": subject, "data": data or {}, "created": self.now})

    def since(self, event_id: int = 0, limit: int = 100, *, subject_prefix: str | None = None) -> list[Event]:
        """Those after `event_id`, oldest first; those whose subject begins with `subject_prefix`."""
        query = sa.select(events).where(events.c.number > event_id).order_by(events.c.number).limit(limit)
        if subject_prefix is not None:
            query = query.where(begins_with(events.c.subject, subject_prefix))
        return [
            Event(id=row.number, kind=row.kind, subject=row.subject, data=row.data, created=row.created)
            for row in self.connection.execute(query)
        ]

    def latest(self) -> int:
        """The id of the newest event; 0 if there is none."""
        return self.connection.execute(sa.select(sa.func.max(events.c.number))).scalar_one() or 0

    def news(self, event_id: int, kinds: Sequence[str]) -> tuple[int, bool]:
        """The id of the newest event, `event_id` if none came after it; and whether one of these `kinds` did."""
        latest = self.latest()
        if latest <= event_id:
            return event_id, False
        query = sa.select(sa.literal(1)).where(events.c.number > event_id, events.c.number <= latest, events.c.kind.in_(kinds)).limit(1)
        return latest, self.connection.execute(query).first() is not None

    def mark(self) -> int:
        """A place to `rewind` to."""
        return len(self._added)

    def rewind(self, mark: int) -> None:
        """Forget what was added since `mark`."""
        del self._added[mark:]

    def flush(self) -> None:
        """Write what was added."""
        if not self._added:
            return
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        self.connection.execute(sa.insert(events), self._added)
        self._added = []
