"""The controller: hands out runs and hears heartbeats, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from wichtel.domain import RunSpec, SystemFault
from wichtel.fleet import paths
from wichtel.fleet.impatience import impatience
from wichtel.fleet.leadership import Leadership, Owners, settle
from wichtel.fleet.log import LEASE
from wichtel.fleet.ports import Engine, Owner
from wichtel.fleet.roster import SeatState
from wichtel.fleet.settings import FleetSettings
from wichtel.store import Database, GroupCommit

T = TypeVar("T")

#: How often a standby looks whether the lease was given back.
_STANDBY_SECONDS = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """What a worker is doing."""

    name: str
    #: ``starting``, ``idle``, ``busy``, ``ending``, or ``quarantined``: its predecessors died one after the other.
    state: str
    #: What it carries out; empty if nothing.
    run: str = ""
    #: When the next one is started in place of one that is quarantined. Aware, UTC.
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """What a controller is doing."""

    #: Whether it hands out runs; False for a standby.
    leading: bool
    #: Runs that wait.
    waiting: int = 0
    workers: tuple[WorkerStatus, ...] = ()


class Controller:
    """Hands out the runs of a store to the workers of an engine. Of all controllers of one store, one leads; the others stand by.

    A run that is submitted is handed out only when its row is durable, and its end is told only when that is durable. So whoever is killed,
    no run is lost and none ends twice; an attempt may be carried out again in part.

    All methods may be called from any thread; `submit`, `cancel`, `forget`, `attach`, `detach` and `nudge` also from an owner's callbacks.

    Args:
        database: Where runs and measurements are.
        engine: What places workers; closed by `stop`.
        artifacts_url: What `RunContext.artifacts` opens.
        holder: This controller's name in the lease; unique.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        artifacts_url: str = "memory://",
        settings: FleetSettings | None = None,
        *,
        holder: str | None = None,
    ) -> None:
        self.settings = settings or FleetSettings()
        self.engine = engine
        self.holder = holder or _Holder.here().text
        self._database = database
        self._artifacts_url = artifacts_url
        self._owners = Owners()
        self._leadership: Leadership | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._quit: asyncio.Event | None = None
        #: What was asked for and is not done, with a way to do it without leading.
        self._asked: dict[Future[Any], Callable[[], None]] = {}
        self._asking = threading.Lock()
        self._settled = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="wichtel-controller", daemon=True)

    # Life

    def start(self) -> None:
        """Start; returns when it leads or stands by.

        Raises:
            SystemFault: the store cannot be read or written.
        """
        self._thread.start()
        self._settled.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End the workers and stop. Runs at work become PREEMPTED; the next controller goes on with them."""
        if self._thread.is_alive():
            self._call(lambda: self._quit.set() if self._quit else None)
            self._thread.join()
        self.engine.close()

    def __enter__(self) -> Controller:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def serve(self, done: threading.Event, timeout_seconds: float | None = None) -> bool:
        """Wait until `done` is set; False if the time was up first.

        The engine may use the calling thread meanwhile: `inline` carries out its runs only here.
        """
        return self.engine.serve(done, timeout_seconds)

    # Work

    def submit(self, specs: Iterable[RunSpec]) -> Future[None]:
        """Have runs carried out; one whose id was submitted before is not submitted again.

        Returns:
            Done when they are durable, also if this controller is stopped meanwhile. A standby writes them for the leader.
        """
        submitted = list(specs)

        def lead(leadership: Leadership, future: Future[None]) -> None:
            leadership.submit(submitted, future)

        return self._ask(lead, lambda: self._write(submitted))

    def cancel(self, run_id: str, reason: str = "canceled") -> Future[bool]:
        """Cancel a run: at once if it waits, else at its next report, or by force after the grace time.

        Returns:
            Done when the wish is durable; False if the run has ended or does not exist.
        """

        def leave_wish() -> bool:
            with self._database.transaction() as tx:
                asked = tx.runs.request_cancel(run_id, reason)
            self.nudge()
            return asked

        def lead(leadership: Leadership, future: Future[bool]) -> None:
            if run_id in leadership.roster.jobs:
                leadership.cancel(run_id, reason, future)
            else:
                self._in_thread(future, leave_wish)

        return self._ask(lead, leave_wish)

    def forget(self, runs: Iterable[str]) -> Future[None]:
        """Remove the kept checkpoints of runs that have ended; those that have none are passed over.

        Returns:
            Done when they are removed.
        """
        forgotten = list(runs)
        state_dir = self.settings.state_dir.absolute()

        def remove() -> None:
            for run in forgotten:
                paths.remove_checkpoint(state_dir, run)

        return self._ask(lambda _, future: self._in_thread(future, remove), remove)

    def attach(self, owner_prefix: str, owner: Owner) -> None:
        """Tell `owner` of the runs whose owner is `owner_prefix`, or begins with it and a slash, from now on."""
        self._owners.attach(owner_prefix, owner)

    def detach(self, owner_prefix: str) -> None:
        """Tell nobody of them any more; they are carried out all the same."""
        self._owners.detach(owner_prefix)

    def attached(self, owner_prefix: str) -> bool:
        """Whether an owner is attached there still: one that raised was detached, and is better made anew from the store."""
        return self._owners.attached(owner_prefix)

    def nudge(self) -> None:
        """Somebody wrote runs or cancellations into the store: look now rather than a moment later."""
        self._call(lambda: self._leadership.nudge() if self._leadership else None)

    def status(self, timeout_seconds: float | None = None) -> FleetStatus:
        """What it is doing.

        Raises:
            TimeoutError: it was too busy to say.
        """
        future: Future[FleetStatus] = Future()
        if not self._call(lambda: future.set_result(self._status())):
            return FleetStatus(leading=False)
        return future.result(timeout_seconds)

    @property
    def leading(self) -> bool:
        """Whether it hands out runs."""
        leadership = self._leadership
        return leadership is not None and not leadership.ended.is_set()

    @property
    def alive(self) -> bool:
        """Whether it leads or stands by; False before `start`, after `stop`, and if a fault of ours ended it."""
        return self._thread.is_alive()

    # Inside

    def _status(self) -> FleetStatus:
        leadership = self._leadership
        if leadership is None:
            return FleetStatus(leading=False)
        workers = []
        for seat in leadership.roster.seats:
            if seat.state is not SeatState.EMPTY:
                workers.append(WorkerStatus(name=seat.worker, state=seat.state.value, run=seat.job.id if seat.job else ""))
            elif (seconds := leadership.roster.quarantine(seat)) > 0:
                until = datetime.now(UTC) + timedelta(seconds=seconds)
                workers.append(WorkerStatus(name=seat.last, state="quarantined", until=until))
        return FleetStatus(leading=self.leading, waiting=len(leadership.roster.line), workers=tuple(workers))

    def _ask(self, lead: Callable[[Leadership, Future[T]], None], alone: Callable[[], T]) -> Future[T]:
        """Have something done, which is told by the future whatever becomes of this controller.

        Args:
            lead: What is done on the loop if this controller leads; it need not come to an end.
            alone: What is done otherwise, also after `lead` did not come to its end: doing both is doing it once.
        """
        future: Future[T] = Future()

        def on_loop() -> None:
            leadership = self._leadership
            if leadership is not None and not leadership.ended.is_set():
                lead(leadership, future)
            else:
                settle(future, alone)

        with self._asking:
            self._asked[future] = partial(settle, future, alone)
            called = self._call(on_loop)
        future.add_done_callback(lambda _: self._asked.pop(future, None))
        if not called:
            settle(future, alone)
        return future

    def _in_thread(self, future: Future[T], work: Callable[[], T]) -> None:
        if self._loop is not None:
            self._loop.run_in_executor(None, settle, future, work)

    def _settle_all(self) -> None:
        """Nobody leads here any more: do what was asked for in the way of those who do not lead."""
        for settle_one in list(self._asked.values()):
            settle_one()

    def _call(self, function: Callable[[], Any]) -> bool:
        """Have `function` called on the loop; False if there is no loop."""
        loop = self._loop
        if loop is None:
            return False
        try:
            # From an owner's callback it is on the loop's thread already, and need not wake it.
            (loop.call_soon if threading.get_ident() == self._thread.ident else loop.call_soon_threadsafe)(function)
        except RuntimeError:
            return False
        return True

    def _write(self, specs: list[RunSpec]) -> None:
        with self._database.transaction() as tx:
            tx.runs.add_many(specs)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - told to whoever started it
            if self._settled.is_set():
                _log.critical("the controller failed", exc_info=True)
            self._failure = error
        finally:
            self._leadership = None
            with self._asking:
                self._loop = None
            self._settle_all()
            self._settled.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._quit = asyncio.Event()
        while not self._quit.is_set():
            try:
                epoch = await asyncio.to_thread(self._acquire)
                if epoch is not None:
                    await self._lead(epoch, self._quit)
            except SystemFault as fault:
                if not self._settled.is_set():
                    raise
                _log.warning("the store cannot be reached, trying again: %s", fault)
            if self._asked:
                await asyncio.to_thread(self._settle_all)
            self._settled.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quit.wait(), min(_STANDBY_SECONDS, self.settings.lease_seconds / 5))

    async def _lead(self, epoch: int, quit_: asyncio.Event) -> None:
        with GroupCommit(self._database) as commit, impatience:
            leadership = Leadership(
                database=self._database,
                commit=commit,
                engine=self.engine,
                owners=self._owners,
                settings=self.settings,
                artifacts_url=self._artifacts_url,
                holder=self.holder,
                epoch=epoch,
            )
            self._leadership = leadership
            leading = asyncio.create_task(leadership.lead())
            quitting = asyncio.create_task(quit_.wait())
            self._settled.set()
            try:
                await asyncio.wait({leading, quitting}, return_when=asyncio.FIRST_COMPLETED)
                leadership.ended.set()
                await leading
            finally:
                quitting.cancel()
                self._leadership = None
        if not leadership.deposed:
            await asyncio.to_thread(self._release)

    def _acquire(self) -> int | None:
        with self._database.read() as tx:
            lease = tx.leases.find(LEASE)
            if lease is not None and lease.holder and lease.expires > tx.now and not _Holder.is_dead(lease.holder):
                # A standby asks often, and so only reads.
                return None
        with self._database.transaction() as tx:
            token = tx.leases.acquire(LEASE, self.holder, self.settings.lease_seconds)
            if token is None:
                # A dead process of this machine need not be waited for.
                other = tx.leases.holder(LEASE)
                if _Holder.is_dead(other):
                    tx.leases.release(LEASE, other)
                    token = tx.leases.acquire(LEASE, self.holder, self.settings.lease_seconds)
            return token

    def _release(self) -> None:
        with self._database.transaction() as tx:
            tx.leases.release(LEASE, self.holder)


@dataclass(frozen=True, slots=True)
class _Holder:
    """The name under which a controller holds the lease: it says on which machine and in which process it is."""

    text: str

    @classmethod
    def here(cls) -> _Holder:
        return cls(f"{_machine()}/{os.getpid()}/{uuid.uuid4().hex[:8]}")

    @staticmethod
    def is_dead(holder: str) -> bool:
        """Whether it was a process of this machine that is no more."""
        host, _, rest = holder.partition("/")
        pid = rest.partition("/")[0]
        if host != _machine() or not pid.isdigit():
            return False
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def _machine() -> str:
    """Names what a process id belongs to: containers may share their machine's name, but not its numbers."""
    try:
        return f"{socket.gethostname()}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname()
