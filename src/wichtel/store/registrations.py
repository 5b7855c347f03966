"""Registrations."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from wichtel.domain import AlreadyExists, Registration
from wichtel.store.page import Page, Stage, fetch
from wichtel.store.repository import Repository
from wichtel.store.tables import registrations


class Registrations(Repository):
    """What somebody asked for, by id."""

    def add(self, registration: Registration) -> None:
        """Add `registration`.

        Raises:
            AlreadyExists: the id is taken.
        """
        row = {
            "id": registration.id,
            "owner": registration.owner,
            "created": registration.created,
            "canceled": registration.canceled,
            "document": registration,
        }
        if not self.insert(registrations, row):
            raise AlreadyExists(f"there is a registration {registration.id!r} already.")
        subject = f"registration/{registration.id}"
        self.tx.events.add("registration.added", subject, {"owner": registration.owner, "experiments": list(registration.experiments)})

    def find(self, registration_id: str) -> Registration | None:
        """The registration of that id, if there is one."""
        query = sa.select(registrations.c.document, registrations.c.canceled).where(registrations.c.id == registration_id)
        row = self.connection.execute(query).one_or_none()
        return None if row is None else replace(row.document, canceled=row.canceled)

    def get(self, registration_id: str) -> Registration:
        """The registration of that id.

        Raises:
            NotFound: there is none.
        """
        registration = self.find(registration_id)
        if registration is None:
            raise self.not_found("registration", registration_id, registrations.c.id)
        return registration

    def page(self, *, owner: str | None = None, limit: int = 100, cursor: str | None = None) -> Page[Registration]:
        """The newest first; those of `owner`, or all.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        query = sa.select(registrations)
        if owner is not None:
            query = query.where(registrations.c.owner == owner)
        newest = Stage(query, (registrations.c.created, registrations.c.id), descending=True)
        return fetch(self.connection, [newest], lambda row: replace(row.document, canceled=row.canceled), limit=limit, cursor=cursor)

    def cancel(self, registration_id: str) -> bool:
        """Mark it canceled; False if it was already. Its experiments are the caller's to end.

        Raises:
            NotFound: there is none.
        """
        mark = (
            sa.update(registrations)
            .where(registrations.c.id == registration_id, registrations.c.canceled.is_(None))
            .values(canceled=self.now)
        )
        if self.connection.execute(mark).rowcount:
            self.tx.events.add("registration.canceled", f"registration/{registration_id}", {})
            return True
        self.get(registration_id)
        return False
