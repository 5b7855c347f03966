"""Limits of users and protocols."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.domain.quota import Limit, LimitKind
from wichtel.store.repository import Repository
from wichtel.store.tables import limits


class Limits(Repository):
    """Limits, by group, kind and name."""

    def put(self, limit: Limit) -> None:
        """Add `limit`, in the place of an earlier one of the same group, kind and name."""
        self.upsert(limits, {column.name: getattr(limit, column.name) for column in limits.columns})

    def list(self) -> list[Limit]:
        """All, in the order of groups, kinds and names."""
        query = sa.select(limits).order_by(limits.c.quota_group, limits.c.kind, limits.c.name)
        return [Limit(**(dict(row._mapping) | {"kind": LimitKind(row.kind)})) for row in self.connection.execute(query)]

    def delete(self, quota_group: str, kind: LimitKind, name: str) -> bool:
        """Lift a limit; False if there is none."""
        mine = sa.and_(limits.c.quota_group == quota_group, limits.c.kind == kind, limits.c.name == name)
        return bool(self.connection.execute(sa.delete(limits).where(mine)).rowcount)
