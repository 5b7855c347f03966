"""What a controller writes: in order, in groups, and only while it leads."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from wichtel.domain import Measurement, Run, RunSpec, SystemFault
from wichtel.store import GroupCommit, Transaction

_log = logging.getLogger(__name__)

#: Pause before a group that the database refused is written again.
_RETRY_SECONDS = 0.5

#: What nobody waits for may be written this much later, together with what somebody waits for; a run that ends before is written once.
_LINGER_SECONDS = 0.05

#: While all workers are busy, groups whose end somebody waits for are begun at least this far apart: fewer and larger ones cost less.
_PACE_SECONDS = 0.02

#: How long those who waited are told in one turn of the loop.
_TELL_SECONDS = 0.0005

LEASE = "controller"


class Deposed(SystemFault):
    """Another controller leads: nothing was written."""

    code = "deposed"


@dataclass(slots=True)
class _Group:
    specs: list[RunSpec] = field(default_factory=list)
    #: The latest state of each run; one that changed twice within a group is written once.
    runs: dict[str, Run] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    notes: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    wishes: list[tuple[str, str]] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    #: Called on the loop when the group is durable, with those of the submitted specs that are to be run.
    then: list[Callable[[dict[str, Run]], None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.specs or self.runs or self.measurements or self.notes or self.wishes or self.settled or self.then)


class Log:
    """Writes of one leadership. While one group is being written the next one gathers.

    Args:
        epoch: The fencing token; if it is no longer the latest nothing is written, and `deposed` is called.
        busy: Whether every worker has something to do for a while, so that nobody idles for a write that waits for company.
    """

    def __init__(self, commit: GroupCommit, epoch: int, deposed: Callable[[], None], busy: Callable[[], bool] = lambda: False) -> None:
        self._commit = commit
        self._epoch = epoch
        self._deposed = deposed
        self._busy = busy
        #: When the last group was begun to be written, in the loop's time.
        self._begun = -math.inf
        self._loop = asyncio.get_running_loop()
        self._gathering = _Group()
        self._writing: _Group | None = None
        #: What is durable and not told yet.
        self._due: deque[tuple[Callable[[dict[str, Run]], None], dict[str, Run]]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, specs: Iterable[RunSpec], then: Callable[[dict[str, Run]], None]) -> None:
        """Write new runs; `then` is called with those among them that wait to be run, by id."""
        self._gathering.specs.extend(specs)
        self._gathering.then.append(then)
        self._start_soon()

    def save(self, run: Run) -> None:
        """Write a run's new state, soon."""
        self._gathering.runs[run.spec.id] = run
        self._linger()

    def measure(self, measurement: Measurement) -> None:
        """Write a measurement, soon."""
        self._gathering.measurements.append(measurement)
        self._linger()

    def note(self, kind: str, subject: str, data: dict[str, Any]) -> None:
        """Write an event, soon."""
        self._gathering.notes.append((kind, subject, data))
        self._linger()

    def wish(self, run: str, reason: str) -> None:
        """Somebody wants this run canceled, whoever leads."""
        self._gathering.wishes.append((run, reason))
        self._linger()

    def settle(self, run: str) -> None:
        """A request to cancel this run is settled."""
        self._gathering.settled.append(run)
        self._linger()

    def after(self, then: Callable[[], None]) -> None:
        """Have `then` called when all that was written so far is durable; write it now, or very soon."""
        self._gathering.then.append(lambda _: then())
        self._start_soon()

    async def flush(self) -> None:
        """Wait until all is durable, or nothing more will be."""
        self._start()
        await self._idle.wait()

    def close(self) -> None:
        """Write nothing more and call nobody any more."""
        self._closed = True
        self._idle.set()

    def _linger(self) -> None:
        if self._writing is None and self._gathering:
            self._start_in(_LINGER_SECONDS)

    def _start_soon(self) -> None:
        wait = self._begun + _PACE_SECONDS - self._loop.time()
        if wait > 0 and self._writing is None and self._busy():
            self._start_in(wait)
        else:
            self._start()

    def _start_in(self, seconds: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= self._loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._lingered)

    def _lingered(self) -> None:
        self._timer = None
        self._start()

    def _start(self) -> None:
        if self._writing is not None or self._closed or not self._gathering:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._idle.clear()
        # One turn of the loop later, so that what belongs together is written together.
        self._writing = _Group()
        self._loop.call_soon(self._write)

    def _write(self) -> None:
        group, self._gathering = self._gathering, _Group()
        self._writing = group
        self._begun = self._loop.time()
        self._submit(group)

    def _submit(self, group: _Group) -> None:
        if self._closed:
            return
        future = self._commit.submit(lambda tx: self._apply(group, tx))
        future.add_done_callback(lambda done: self._from_thread(group, done))

    def _from_thread(self, group: _Group, done: Future[dict[str, Run]]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._written, group, done)

    def _apply(self, group: _Group, tx: Transaction) -> dict[str, Run]:
        if not tx.leases.holds(LEASE, self._epoch):
            raise Deposed("another controller leads.")
        new: dict[str, Run] = {}
        if group.specs:
            specs = {spec.id: spec for spec in group.specs}
            if tx.runs.add_many(specs.values()) == len(specs):
                new = {spec.id: Run(spec=spec, created=tx.now) for spec in specs.values()}
            else:
                found = (tx.runs.get(run) for run in specs)
                new = {run.spec.id: run for run in found if not run.state.ended}
        for wish in group.wishes:
            tx.runs.request_cancel(*wish)
        tx.runs.update_many(list(group.runs.values()))
        tx.measurements.add_many(group.measurements)
        if group.settled:
            tx.runs.settle_cancel(group.settled)
        for note in group.notes:
            tx.events.add(*note)
        return new

    def _written(self, group: _Group, done: Future[dict[str, Run]]) -> None:
        if self._closed:
            return
        failure = done.exception()
        if isinstance(failure, Deposed):
            self.close()
            self._deposed()
            return
        if isinstance(failure, SystemFault):
            # The database is full or away. Nothing is lost: who leads for longer than its lease without writing is deposed.
            _log.error("the fleet's log could not be written, trying again: %s", failure)
            self._loop.call_later(_RETRY_SECONDS, self._submit, group)
            return
        if failure is not None:
            _log.critical("the fleet's log cannot be written", exc_info=failure)
            self.close()
            self._deposed()
            return
        new = done.result()
        self._writing = None
        # The next group goes out before owners are asked what comes after this one.
        if self._gathering.then:
            self._start_soon()
        telling = bool(self._due)
        self._due.extend((then, new) for then in group.then)
        if not telling:
            self._tell()

    def _tell(self) -> None:
        """Tell those who waited, in order; not all in one go, since workers wait for the loop meanwhile."""
        until = self._loop.time() + _TELL_SECONDS
        while self._due and not self._closed:
            then, new = self._due.popleft()
            try:
                then(new)
            except Exception:  # noqa: BLE001 - a fault of ours: better led anew than led on without the others being told
                _log.critical("what was written cannot be told", exc_info=True)
                self.close()
                self._deposed()
                return
            if self._due and self._loop.time() > until:
                self._loop.call_soon(self._tell)
                return
        if self._writing is None:
            self._linger()
            if not self._gathering:
                self._idle.set()
