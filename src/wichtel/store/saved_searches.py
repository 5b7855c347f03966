"""Searches that somebody keeps under a name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from wichtel.domain import SavedSearch
from wichtel.store.repository import Repository
from wichtel.store.tables import saved_searches

# A table's `columns` are its own.
_COLUMNS = tuple(saved_searches.c[field.name] for field in fields(SavedSearch))


class SavedSearches(Repository):
    """Saved searches, by id."""

    def put(self, search: SavedSearch) -> None:
        """Keep `search`, in the place of the one with its id. Whoever calls this knows that its owner has no other of its name."""
        self.upsert(saved_searches, {c.name: getattr(search, c.name) for c in _COLUMNS})

    def find(self, identity: str) -> SavedSearch | None:
        """The one of that id, if there is one."""
        row = self.connection.execute(sa.select(*_COLUMNS).where(saved_searches.c.id == identity)).one_or_none()
        return None if row is None else _read(row)

    def named(self, owner: str, name: str) -> SavedSearch | None:
        """The one that `owner` has under that name, if there is one."""
        query = sa.select(*_COLUMNS).where(saved_searches.c.owner == owner, saved_searches.c.name == name)
        row = self.connection.execute(query).one_or_none()
        return None if row is None else _read(row)

    def of(self, owner: str, teams: Collection[str] = ()) -> list[SavedSearch]:
        """Those of `owner`, and those that are shared with one of `teams`, by name."""
        mine = saved_searches.c.owner == owner
        seen = sa.or_(mine, saved_searches.c.team.in_([team for team in teams if team]))
        query = sa.select(*_COLUMNS).where(seen).order_by(saved_searches.c.name, saved_searches.c.id)
        return [_read(row) for row in self.connection.execute(query)]

    def delete(self, identity: str) -> bool:
        """Whether it was there."""
        return bool(self.connection.execute(sa.delete(saved_searches).where(saved_searches.c.id == identity)).rowcount)


def _read(row: sa.Row[Any]) -> SavedSearch:
    return SavedSearch(**row._mapping)
