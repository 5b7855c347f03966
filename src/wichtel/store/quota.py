"""Quota groups: the shares of teams."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.domain import QuotaGroup
from wichtel.store.repository import Repository
from wichtel.store.tables import quota_groups


class QuotaGroups(Repository):
    """Quota groups, by name. A group that nobody put has the default share."""

    def put(self, group: QuotaGroup) -> None:
        """Add `group` or change its share."""
        self.upsert(quota_groups, {"name": group.name, "max_in_progress": group.max_in_progress})

    def get(self, name: str) -> QuotaGroup:
        """The group of that name."""
        row = self.connection.execute(sa.select(quota_groups).where(quota_groups.c.name == name)).one_or_none()
        return QuotaGroup(name=name) if row is None else QuotaGroup(**row._mapping)

    def list(self) -> list[QuotaGroup]:
        """Those that somebody put, in the order of names."""
        return [QuotaGroup(**row._mapping) for row in self.connection.execute(sa.select(quota_groups).order_by(quota_groups.c.name))]

    def lock_all(self) -> None:
        """Keep every other scheduler out until the end of this transaction.

        On SQLite the transaction does so already. On PostgreSQL a lock on the table, since the rows of groups that nobody put cannot be
        locked; reading it stays possible.
        """
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(sa.text("LOCK TABLE quota_groups IN SHARE ROW EXCLUSIVE MODE"))
