"""Periodic jobs: of any number of replicas exactly one carries out each that is due, and the work of a dead one is done again.

A job is claimed by a conditional update of its row; the claim expires unless its holder renews it. So a job may be carried out *again*, by
another, when its holder dies in the middle or is silent for too long: every job has to bear that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from wichtel.domain import InvalidInput, NotFound, SystemFault, WichtelError, did_you_mean
from wichtel.experiments.principal import Principal
from wichtel.store import Database, JobStatus

log = logging.getLogger(__name__)

#: Times of day are counted from here.
_MIDNIGHT = datetime(2000, 1, 1, tzinfo=UTC)
#: Wait after the first failure; twice as long after each further one, up to the job's interval.
_RETRY_SECONDS = 60.0
#: How long `Jobs.stop` waits for what is under way.
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicJob:
    """Something that is done again and again."""

    name: str
    #: From one beginning to the next.
    every_seconds: float
    #: Does it; returns what it did, as plain JSON. May be called again after it was broken off anywhere.
    run: Callable[[], dict[str, Any]]
    #: Says what `run` would do, and does nothing; None if there is no way to know.
    preview: Callable[[], dict[str, Any]] | None = None
    #: Begin at this many seconds after midnight, UTC, and at whole intervals from there; None for one interval after the last beginning.
    at_seconds: float | None = None
    #: Processes with this role carry it out.
    role: str = "orchestrator"
    #: Called when the process stops: has `run` begin nothing more, and end with what it has begun.
    cease: Callable[[], None] = lambda: None

    def next_due(self, now: datetime) -> datetime:
        """When it is due next, if it began `now`.

        >>> job = PeriodicJob(name="nightly", every_seconds=86_400, run=dict, at_seconds=2 * 3600)
        >>> job.next_due(datetime(2026, 1, 1, 12, tzinfo=UTC)).isoformat()
        '2026-01-02T02:00:00+00:00'
        """
        every = timedelta(seconds=self.every_seconds)
        if self.at_seconds is None:
            return now + every
        first = _MIDNIGHT + timedelta(seconds=self.at_seconds)
        return first + ((now - first) // every + 1) * every


class Jobs:
    """The jobs of this process, and the wishes of admins.

    Args:
        db: Where their rows are.
        jobs: What there is to do.
        holder: Names this process.
        poll_seconds: How often it looks for what is due.
        claim_seconds: A process that is silent for longer loses what it carries out to another.

    Raises:
        InvalidInput: two jobs share a name.
    """

    def __init__(
        self, db: Database, jobs: Iterable[PeriodicJob], holder: str, *, poll_seconds: float = 1.0, claim_seconds: float = 60.0
    ) -> None:
        self._db = db
        self._jobs: dict[str, PeriodicJob] = {}
        for job in jobs:
            if job.name in self._jobs:
                raise InvalidInput(f"two jobs are called {job.name!r}.")
            self._jobs[job.name] = job
        self._holder = holder
        self._mine: set[str] = set()
        self._poll_seconds = poll_seconds
        self._claim_seconds = claim_seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._underway: dict[str, tuple[int, threading.Thread]] = {}
        self._renewed = 0.0

    def start(self, roles: Collection[str] | None = None) -> None:
        """Begin to carry out those of these roles, or all, in threads."""
        self._mine = {job.name for job in self._jobs.values() if roles is None or job.role in roles}
        if not self._mine:
            return
        with self._db.transaction() as tx:
            for job in (self._jobs[name] for name in sorted(self._mine)):
                tx.jobs.ensure(job.name, job.every_seconds, job.next_due(tx.now))
        self._stopped.clear()
        self._thread = threading.Thread(target=self._work, name="wichtel-jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more, and wait a while for what is under way; what does not end by then is done again by another process."""
        self._stopped.set()
        if self._thread is None:
            return
        for name in self._mine:
            self._jobs[name].cease()
        self._thread.join()
        self._thread = None
        deadline = time.monotonic() + _STOP_SECONDS
        for name, (_, thread) in self._underway.items():
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.warning("job %s is broken off", name)
        self._underway.clear()

    def list(self, principal: Principal) -> list[JobStatus]:
        """How they stand.

        Raises:
            NotPermitted: the principal is no admin.
        """
        principal.permit("see_jobs")
        with self._db.read() as tx:
            return tx.jobs.list()

    def get(self, name: str, principal: Principal) -> JobStatus:
        """How one stands.

        Raises:
            NotFound: there is none of that name.
            NotPermitted: the principal is no admin.
        """
        principal.permit("see_jobs")
        with self._db.read() as tx:
            return tx.jobs.get(name)

    def request(self, name: str, principal: Principal) -> JobStatus:
        """Have it carried out at once, by any process of the service.

        Raises:
            NotFound: there is none of that name.
            NotPermitted: the principal is no admin.
        """
        principal.permit("run_job")
        with self._db.transaction() as tx:
            if name in self._jobs:
                # No process with the role has started yet: its row waits for one.
                tx.jobs.ensure(name, self._jobs[name].every_seconds, self._jobs[name].next_due(tx.now))
            status = tx.jobs.request(name)
            tx.audit.add(principal.name, "run_job", name, {})
            return status

    def preview(self, name: str, principal: Principal) -> dict[str, Any]:
        """What it would do now.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: it cannot say.
            NotPermitted: the principal is no admin.
        """
        principal.permit("run_job")
        job = self._jobs.get(name)
        if job is None:
            raise NotFound(f"there is no job {name!r}.", hint=did_you_mean(name, self._jobs))
        if job.preview is None:
            able = sorted(other.name for other in self._jobs.values() if other.preview)
            raise InvalidInput(f"the job {name!r} cannot say beforehand what it does.", hint=f"These can: {', '.join(able) or 'none'}.")
        return job.preview()

    def tick(self) -> None:
        """Renew the claims of what is under way, and begin what is due. Called again and again once started.

        Raises:
            SystemFault: the database is away.
        """
        self._underway = {name: (token, thread) for name, (token, thread) in self._underway.items() if thread.is_alive()}
        if self._underway and time.monotonic() - self._renewed >= self._claim_seconds / 4:
            with self._db.transaction() as tx:
                for name, (held, _) in self._underway.items():
                    if not tx.jobs.renew(name, held, self._claim_seconds):
                        log.warning("job %s was taken over by another process, since this one was silent for too long", name)
            self._renewed = time.monotonic()
        with self._db.read() as tx:
            waiting = tx.jobs.waiting(self._mine - self._underway.keys())
        for name in waiting:
            with self._db.transaction() as tx:
                token = tx.jobs.claim(name, self._holder, self._claim_seconds)
                began = tx.now
            if token is not None:
                thread = threading.Thread(target=self._carry_out, args=(name, token, began), name=f"wichtel-job-{name}", daemon=True)
                self._underway[name] = (token, thread)
                thread.start()

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                self.tick()
            except SystemFault as error:
                log.warning("the jobs wait: %s", error)
            except Exception:
                # A fault of ours must not end what everything else is kept clean by.
                log.exception("the jobs go on after a fault")
            self._stopped.wait(self._poll_seconds)

    def _carry_out(self, name: str, token: int, began: datetime) -> None:
        job = self._jobs[name]
        outcome: dict[str, Any] | None = None
        error = ""
        try:
            outcome = job.run()
        except WichtelError as fault:
            error = str(fault)
            log.warning("job %s failed: %s", name, fault)
        except Exception as fault:
            error = f"{type(fault).__name__}: {fault}"
            log.exception("job %s failed", name)
        try:
            with self._db.transaction() as tx:
                due = job.next_due(began)
                if outcome is None:
                    failures = min(tx.jobs.get(name).failures, 20)
                    due = min(due, tx.now + timedelta(seconds=min(job.every_seconds, _RETRY_SECONDS * 2**failures)))
                if not tx.jobs.finish(name, token, due, outcome, error):
                    log.warning("job %s ended after another process had taken it over", name)
        except WichtelError as fault:
            # Its claim runs out, and it is done again.
            log.warning("the end of job %s could not be noted: %s", name, fault)
