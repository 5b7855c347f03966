"""How many requests there were and how long they took: counted here, in memory, and written down every few seconds.

`Requests.totals` are the counts of this process since it began, for whoever asks the process itself; what it writes into the database is by
hour and, added up over replicas, what `GET /v1/usage/requests` tells.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wichtel.domain import Histogram, WichtelError
from wichtel.experiments.ids import new_id
from wichtel.store import Database, RequestCount

log = logging.getLogger(__name__)

#: A process that is killed loses the counts of at most so long.
FLUSH_SECONDS = 10.0
#: Principals that are remembered for each call and hour.
_PRINCIPALS = 1000

#: What heinzelmaennchen's table I calls them. The others go by their operation ids.
CALLS = {
    "registrations_register": "RegisterModels",
    "registrations_get": "GetRegistration",
    "registrations_cancel": "CancelRegistration",
    "experiments_search": "SearchExperiments",
    "experiments_get": "GetExperiment",
    "experiments_cancel": "CancelExperiment",
    "experiments_finish": "FinishExperiment",
}


@dataclass(slots=True)
class Calls:
    """The requests of one call and class of status."""

    times: Histogram = field(default_factory=Histogram)
    principals: set[str] = field(default_factory=set)


class Requests:
    """Counts the requests of this process. Safe among threads."""

    def __init__(self) -> None:
        #: Names one life of this process.
        self.replica = new_id("p")
        #: Requests that are being answered.
        self.under_way = 0
        self._lock = threading.Lock()
        self._totals: dict[tuple[str, int], Histogram] = {}
        self._hours: dict[tuple[datetime, str, int], Calls] = {}
        self._changed: set[tuple[datetime, str, int]] = set()

    def add(self, call: str, status: int, seconds: float, principal: str, now: datetime | None = None) -> None:
        """Count one that was answered.

        Args:
            call: An operation id.
            status: Of the answer.
            seconds: From its arrival to the end of its answer.
            principal: Who asked; empty if nobody knows.
            now: When.
        """
        hour = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
        key = (CALLS.get(call, call), status // 100)
        with self._lock:
            self._totals.setdefault(key, Histogram()).add(seconds * 1000)
            calls = self._hours.setdefault((hour, *key), Calls())
            calls.times.add(seconds * 1000)
            if principal and len(calls.principals) < _PRINCIPALS:
                calls.principals.add(principal)
            self._changed.add((hour, *key))

    def totals(self) -> dict[tuple[str, int], Histogram]:
        """Call and class of status (2 for 200 to 299) → times since this process began."""
        with self._lock:
            return deepcopy(self._totals)

    def flush(self, db: Database) -> int:
        """Write what has changed since the last time; return how many rows.

        What is written are the hour's counts so far, so that nothing is counted twice, whatever becomes of the transaction.
        """
        with self._lock:
            changed, self._changed = self._changed, set()
            rows = [self._row(key) for key in changed]
        try:
            if rows:
                with db.transaction() as tx:
                    tx.request_stats.put(rows)
        except BaseException:
            with self._lock:
                self._changed |= changed
            raise
        with self._lock:
            latest = max((hour for hour, _, _ in self._hours), default=None)
            for key in [k for k in self._hours if k[0] != latest and k not in self._changed]:
                del self._hours[key]
        return len(rows)

    def _row(self, key: tuple[datetime, str, int]) -> RequestCount:
        hour, call, status_class = key
        calls = self._hours[key]
        return RequestCount(
            hour=hour,
            replica=self.replica,
            call=call,
            status_class=status_class,
            count=calls.times.count,
            sum_ms=calls.times.sum_ms,
            max_ms=calls.times.max_ms,
            buckets=dict(calls.times.buckets),
            principals=tuple(sorted(calls.principals)),
        )

    @contextmanager
    def flushing(self, db: Database) -> Iterator[None]:
        """Write the counts every few seconds while the block lasts, and once more at its end."""
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(FLUSH_SECONDS):
                self._try(db)

        thread = threading.Thread(target=work, name="wichtel-statistics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self._try(db)

    def _try(self, db: Database) -> None:
        try:
            self.flush(db)
        except WichtelError as error:
            # They are still counted, and written when the database is there again.
            log.warning("the counts of requests could not be written: %s", error)
