"""Quota groups: the shares of teams."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.domain.quota import Pause, QuotaGroup
from wichtel.store.repository import Repository
from wichtel.store.tables import quota_groups


class QuotaGroups(Repository):
    """Quota groups, by name. A group that nobody put has the default share."""

    def put(self, group: QuotaGroup) -> None:
        """Add `group` or change its share. Whether it is paused stays as it is."""
        row = {column.name: getattr(group, column.name) for column in quota_groups.columns}
        self.upsert(quota_groups, row, keep=("paused",))

    def pause(self, name: str, pause: Pause | None, *, default_share: int) -> None:
        """Have nothing of the group start from now on, or, with None, let it start again.

        Args:
            default_share: Its share from now on, if nobody put it.
        """
        self.insert(quota_groups, {"name": name, "max_in_progress": default_share})
        self.connection.execute(sa.update(quota_groups).where(quota_groups.c.name == name).values(paused=pause))

    def find(self, name: str) -> QuotaGroup | None:
        """The group of that name, if somebody put it."""
        row = self.connection.execute(sa.select(quota_groups).where(quota_groups.c.name == name)).one_or_none()
        return None if row is None else QuotaGroup(**row._mapping)

    def get(self, name: str) -> QuotaGroup:
        """The group of that name."""
        return self.find(name) or QuotaGroup(name=name)

    def list(self) -> list[QuotaGroup]:
        """Those that somebody put, in the order of names."""
        return [QuotaGroup(**row._mapping) for row in self.connection.execute(sa.select(quota_groups).order_by(quota_groups.c.name))]

    def delete(self, name: str) -> bool:
        """Forget the group, which has the default share then; False if nobody put it."""
        return bool(self.connection.execute(sa.delete(quota_groups).where(quota_groups.c.name == name)).rowcount)

    def lock_all(self) -> None:
        """Keep every other scheduler out until the end of this transaction.

        On SQLite the transaction does so already. On PostgreSQL a lock on the table, since the rows of groups that nobody put cannot be
        locked; reading it stays possible.
        """
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(sa.text("LOCK TABLE quota_groups IN SHARE ROW EXCLUSIVE MODE"))
