"""Names that occur: what somebody who types a query may mean. Each is found by a step in an index, however many rows have it."""

from __future__ import annotations

import sqlalchemy as sa

from wichtel.store.repository import Repository
from wichtel.store.tables import experiments, metric_deltas

#: Each is the first column of an index.
_COLUMNS: dict[str, sa.Column[str]] = {
    **{name: experiments.c[name] for name in ("owner", "intent", "protocol", "model")},
    "team": experiments.c.quota_group,
    "metric": metric_deltas.c.metric,
}


class KnownNames(Repository):
    """Names that experiments have."""

    def of(self, field: str, begin: str = "", limit: int = 100) -> list[str]:
        """Different values in the order of code points.

        Args:
            field: ``owner``, ``intent``, ``protocol``, ``model``, ``team`` or ``metric``.
            begin: The first that may be among them.
            limit: Most that are told.
        """
        column = _COLUMNS[field]
        least = sa.func.min(column, type_=column.type)
        steps = sa.select(least.label("name")).where(column >= begin).cte("steps", recursive=True)
        following = sa.select(least).where(column > steps.c.name).scalar_subquery()
        steps = steps.union_all(sa.select(following).where(steps.c.name.is_not(None)))
        query = sa.select(steps.c.name).where(steps.c.name.is_not(None)).limit(limit)
        return list(self.connection.execute(query).scalars())
