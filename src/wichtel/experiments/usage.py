"""How the service is used, in the tables that heinzelmaennchen's section IV shows of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from wichtel.domain import Histogram
from wichtel.experiments.jobs import PeriodicJob
from wichtel.store import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUsage:
    """A line of table I: the requests of one call of the API, and how long they took."""

    #: Such as ``RegisterModels``; calls that the paper does not name go by their operation id.
    call: str
    count: int
    #: Those that were refused (4xx), and those that failed (5xx).
    refused: int
    failed: int
    #: Different callers.
    principals: int
    average_ms: float
    #: Quantiles, right to within 9 %.
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


#: How long the counts of requests are kept.
KEPT = timedelta(days=400)


def forget_requests(db: Database) -> PeriodicJob:
    """Every hour: answers are forgotten after a day, counts after a year."""

    def run() -> dict[str, Any]:
        with db.transaction() as tx:
            return {"answers": tx.idempotency.forget_old(), "counts": tx.request_stats.delete_before(tx.now - KEPT)}

    return PeriodicJob(name="forget-requests", every_seconds=3600, run=run)


class Usage:
    """What was done with the service, and by how many."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def requests(self, since: datetime | None = None, before: datetime | None = None) -> list[CallUsage]:
        """Table I: the most frequent call first, of the hours that began in that time. What was asked just now may be missing."""
        times: dict[str, Histogram] = {}
        ends: dict[str, dict[int, int]] = {}
        callers: dict[str, set[str]] = {}
        with self._db.read(streams=True) as tx:
            for c in tx.request_stats.each(since, before):
                times.setdefault(c.call, Histogram()).merge(c.count, c.sum_ms, c.max_ms, c.buckets)
                of_call = ends.setdefault(c.call, {})
                of_call[c.status_class] = of_call.get(c.status_class, 0) + c.count
                callers.setdefault(c.call, set()).update(c.principals)
        return [
            CallUsage(
                call=call,
                count=t.count,
                refused=ends[call].get(4, 0),
                failed=ends[call].get(5, 0),
                principals=len(callers[call]),
                average_ms=t.mean_ms,
                p50_ms=t.quantile(0.5),
                p90_ms=t.quantile(0.9),
                p99_ms=t.quantile(0.99),
                max_ms=t.max_ms,
            )
            for call, t in sorted(times.items(), key=lambda item: (-item[1].count, item[0]))
        ]
