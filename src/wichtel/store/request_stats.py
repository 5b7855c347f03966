"""How many requests there were, and how long they took, by hour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from wichtel.store.repository import Repository
from wichtel.store.tables import request_stats


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCount:
    """The requests of one call, hour, replica and class of status."""

    #: Its beginning.
    hour: datetime
    #: Names one life of a process.
    replica: str
    #: Such as ``RegisterModels``.
    call: str
    #: 2 for 200 to 299, and so on.
    status_class: int
    count: int
    sum_ms: float
    max_ms: float
    #: See `wichtel.domain.Histogram`.
    buckets: dict[int, int] = field(default_factory=dict)
    #: Who asked; the first thousand.
    principals: tuple[str, ...] = ()


class RequestStats(Repository):
    """The counts."""

    def put(self, counts: Iterable[RequestCount]) -> None:
        """Keep `counts`, in the place of earlier ones of the same hour and replica: writing them twice counts nothing twice."""
        self.upsert(request_stats, [{c.name: getattr(count, c.name) for c in request_stats.columns} for count in counts])

    def each(self, since: datetime | None = None, before: datetime | None = None) -> Iterator[RequestCount]:
        """Those of hours that began in a time, one after the other: of a year there are a million, so the unit
        of work has to be one that `streams`.
        """
        query = sa.select(request_stats)
        if since is not None:
            query = query.where(request_stats.c.hour >= since)
        if before is not None:
            query = query.where(request_stats.c.hour < before)
        for row in self.connection.execute(query, execution_options={"yield_per": 1000}):
            yield RequestCount(**row._mapping)

    def delete_before(self, hour: datetime) -> int:
        """Forget what is older; return how many rows."""
        return self.connection.execute(sa.delete(request_stats).where(request_stats.c.hour < hour)).rowcount
