"""One time of leading: the roster, the log and the workers, on the controller's event loop."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from wichtel.domain import InvalidInput, Measurement, QuotaGroup, Run, RunSpec, RunState, SystemFault
from wichtel.domain.doing import done
from wichtel.fleet import effects, paths
from wichtel.fleet.log import LEASE, Log
from wichtel.fleet.messages import Ack, Assign, ToController, ToWorker, Welcome
from wichtel.fleet.ports import Engine, Link, Owner
from wichtel.fleet.roster import Roster
from wichtel.fleet.settings import FleetSettings
from wichtel.store import Database, GroupCommit

_logger = logging.getLogger(__name__)

T = TypeVar("T")

_TICK_SECONDS = 0.1

#: Every so many looks for new runs by number, all that wait are looked at.
_SWEEP_EVERY = 25

_PAGE = 1000

_UNFINISHED = (RunState.PENDING, RunState.RUNNING, RunState.PREEMPTED)


def settle(future: Future[T], work: Callable[[], T]) -> None:
    """Tell `future` what comes of `work`, unless it was told before."""
    if future.done():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - told to whoever asked
        with suppress(InvalidStateError):
            future.set_exception(error)
        return
    with suppress(InvalidStateError):
        future.set_result(result)


def _is_no_message(effect: effects.Effect) -> bool:
    return not isinstance(effect, effects.Send)


class Owners:
    """Who hears of which runs."""

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}

    def attach(self, prefix: str, owner: Owner) -> None:
        """Let `owner` hear of all runs whose owner is `prefix` or begins with it and a slash."""
        self._owners[prefix] = owner

    def detach(self, prefix: str) -> None:
        """Let nobody hear of them any more."""
        self._owners.pop(prefix, None)

    def attached(self, prefix: str) -> bool:
        """Whether somebody was attached under just this prefix."""
        return prefix in self._owners

    def find(self, name: str) -> tuple[str, Owner] | None:
        """Who hears of the runs of `name`: the one with the longest prefix."""
        prefix = name
        while prefix:
            owner = self._owners.get(prefix)
            if owner is not None:
                return prefix, owner
            prefix = prefix.rpartition("/")[0]
        return None


class Leadership:
    """Hands out runs under the fencing token `epoch` until `ended` is set.

    Everything here happens on the loop, but what is said to happen on a thread.
    """

    def __init__(
        self,
        *,
        database: Database,
        commit: GroupCommit,
        engine: Engine,
        owners: Owners,
        settings: FleetSettings,
        artifacts_url: str,
        holder: str,
        epoch: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        #: Another controller leads: write nothing more.
        self.deposed = False
        self.roster = Roster(
            seats=engine.workers,
            capacity=engine.capacity,
            settings=settings,
            epoch=epoch,
            clock=self._loop.time,
            utc=lambda: datetime.now(UTC),
        )
        self._database = database
        self._engine = engine
        self._owners = owners
        self._settings = settings
        self._holder = holder
        self._epoch = epoch
        self._log = Log(commit, epoch, self._depose, lambda: self.roster.busy)
        self._state_dir = settings.state_dir.absolute()
        self._welcome = Welcome(
            heartbeat_seconds=settings.heartbeat_seconds,
            report_seconds=settings.report_seconds,
            resend_seconds=settings.resend_seconds,
            state_dir=str(self._state_dir),
            artifacts_url=artifacts_url,
            log_bytes=settings.log_bytes,
        )
        self._links: dict[str, Link] = {}
        self._no_links = asyncio.Event()
        self._no_links.set()
        self._nudged = asyncio.Event()
        self._number = 0
        self._groups: list[QuotaGroup] = []
        self._acting = False

    # From outside, on the loop

    def submit(self, specs: Iterable[RunSpec], future: Future[None] | None = None) -> None:
        """Write runs and, when they are durable, hand them out; `future` is done between the two."""
        submitted = list(specs)

        def durable(new: dict[str, Run]) -> None:
            if future is not None:
                settle(future, lambda: None)
            self.roster.add(new[spec.id] for spec in submitted if spec.id in new)
            self._act()

        self._log.submit(submitted, durable)

    def cancel(self, run: str, reason: str, future: Future[bool]) -> None:
        """Cancel a run of the roster; `future` is done when the wish, or the end, is durable."""
        self._log.wish(run, reason)
        self.roster.cancel(run, reason)
        self._act()
        self._log.after(lambda: settle(future, lambda: True))

    def nudge(self) -> None:
        """Look into the store now."""
        self._nudged.set()

    async def lead(self) -> None:
        """Take over what is unfinished in the store, and lead until `ended`."""
        unfinished = await asyncio.to_thread(self._load)
        self.roster.share(self._groups)
        self.roster.add(unfinished)
        self._log.note("controller.leads", self._holder, {"epoch": self._epoch, "unfinished": len(unfinished)})
        self._act()
        tasks = [asyncio.create_task(work) for work in (self.ended.wait(), self._tick(), self._poll(), self._renew())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.ended.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()
        for task in done:
            task.result()  # raises what is a fault of ours, rather than lead on without a clock

    # Carrying out what the roster decided

    def _act(self) -> None:
        if self._acting or self.ended.is_set():
            return
        self._acting = True
        try:
            while decided := self.roster.drain():
                # Workers wait for messages; for what owners say to measurements, or for a process that starts, they need not wait.
                for effect in sorted(decided, key=_is_no_message):
                    self._carry_out(effect)
        finally:
            self._acting = False

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Send(worker, Assign() as message):
                try:
                    self._send(worker, message)
                except InvalidInput as unfit:
                    self.roster.unfit(worker, unfit)
            case effects.Send(worker, message):
                self._send(worker, message)
            case effects.Save(run):
                self._log.save(run)
            case effects.Measured(owner, measurement):
                self._log.measure(measurement)
                self.roster.stop(measurement, self._ask(owner, measurement))
            case effects.Ended(run, worker, clean):
                self._log.save(run)
                if run.state is RunState.CANCELED:
                    self._log.settle(run.spec.id)
                self._log.after(lambda: self._on_durable(run, worker, clean))
            case effects.Launch(worker):
                self._launch(worker)
            case effects.Kill(worker, reason):
                _logger.warning("worker %s is killed: %s", worker, reason)
                if worker in self._links:
                    self._links[worker].kill()
            case effects.Note(kind, subject, data):
                _logger.warning("%s %s: %s", kind, subject, data)
                self._log.note(kind, subject, data)

    def _send(self, worker: str, message: ToWorker) -> None:
        link = self._links.get(worker)
        if link is not None:
            link.send(message)

    def _launch(self, worker: str) -> None:
        def on_message(message: ToController) -> None:
            self.roster.hear(worker, message)
            self._act()

        try:
            link = self._engine.launch(worker, on_message, lambda reason: self._on_gone(worker, reason))
        except OSError as error:
            self.roster.gone(worker, f"it could not be started: {error}")
            return
        self._links[worker] = link
        self._no_links.clear()
        link.send(self._welcome)

    def _on_gone(self, worker: str, reason: str) -> None:
        self._links.pop(worker, None)
        job = self.roster.job_of(worker)
        try:
            output = paths.keep_log(self._state_dir, worker, *((job.id, job.run.attempt) if job else ("", 0)))
        except OSError as error:
            # A full disk must not keep anybody from hearing that the worker is gone.
            _logger.warning("what worker %s wrote is not kept: %s", worker, error)
            output = ""
        if not self._links:
            self._no_links.set()
        self.roster.gone(worker, reason, output)
        self._act()

    def _ask(self, name: str, measurement: Measurement) -> str | None:
        found = self._owners.find(name)
        if found is None:
            return None
        try:
            stop = found[1].on_measurement(measurement)
        except Exception:  # noqa: BLE001 - reported by _disown
            self._disown(found[0])
            return None
        return None if stop is None else stop.reason

    def _on_durable(self, run: Run, worker: str, clean: bool) -> None:
        self.roster.durable(run)
        if run.started is not None and run.ended is not None:
            done("run", run.started, run.ended, run=run.spec.id, owner=run.spec.owner, state=str(run.state), attempt=str(run.attempt))
        if worker:
            self._send(worker, Ack(run.spec.id, run.attempt))
        if not clean:
            self._loop.run_in_executor(None, self._remove_files, run)
        found = self._owners.find(run.spec.owner)
        if found is None:
            return
        try:
            more = found[1].on_end(run)
        except Exception:  # noqa: BLE001 - reported by _disown
            self._disown(found[0])
            return
        if more:
            self.submit(more)

    def _disown(self, prefix: str) -> None:
        """An owner that raises is a fault of ours; the runs of others go on."""
        _logger.exception("owner %s failed and hears no more", prefix)
        self._owners.detach(prefix)
        self._log.note("owner.failed", prefix, {})

    # Tasks

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.roster.tick()
            self._act()

    async def _poll(self) -> None:
        """Find what other processes wrote: runs, and wishes to cancel."""
        count = 0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), self._settings.poll_seconds)
            self._nudged.clear()
            count += 1
            try:
                found, requests, groups = await asyncio.to_thread(self._look, count % _SWEEP_EVERY == 0)
            except SystemFault as fault:
                _logger.warning("the store could not be read, trying again: %s", fault)
                continue
            self.roster.share(groups)
            self.roster.add(found)
            for run, reason in requests:
                if run in self.roster.jobs:
                    self.roster.cancel(run, reason)
            self._act()

    async def _renew(self) -> None:
        """Keep the lease. If that fails for as long as it lasts, somebody else may have it."""
        renewed = self._loop.time()
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            try:
                token = await asyncio.to_thread(self._acquire)
            except SystemFault as fault:
                _logger.warning("the lease could not be renewed: %s", fault)
                if self._loop.time() - renewed < self._settings.lease_seconds:
                    continue
                token = None
            if token != self._epoch:
                self._depose()
                return
            renewed = self._loop.time()

    def _depose(self) -> None:
        if not self.deposed:
            _logger.warning("controller %s leads no more", self._holder)
            self.deposed = True
            self._log.close()
            self.ended.set()

    async def _close(self) -> None:
        """End the workers, then write what became of their runs."""
        # First, so that an end that we bring about is not held against the runs.
        self.roster.close()
        for link in list(self._links.values()):
            link.kill()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._no_links.wait(), 10.0)
        if not self.deposed:
            for effect in self.roster.drain():
                if isinstance(effect, effects.Save | effects.Ended):
                    self._log.save(effect.run)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._log.flush(), 10.0)
        self._log.close()

    # On a thread

    def _remove_files(self, run: Run) -> None:
        # An attempt that was cut short could not clean up after itself.
        for attempt in range(1, run.attempt + 1):
            shutil.rmtree(paths.scratch_path(self._state_dir, run.spec.id, attempt), ignore_errors=True)
        if not run.spec.keep_checkpoint:
            paths.remove_checkpoint(self._state_dir, run.spec.id)

    def _load(self) -> list[Run]:
        with self._database.read() as tx:
            self._groups = tx.quota_groups.list()
            self._number = tx.runs.latest_number()
            runs: list[Run] = []
            after: str | None = None
            while page := tx.runs.list(state=_UNFINISHED, limit=_PAGE, after=after):
                runs += page
                after = page[-1].spec.id
        return runs

    def _look(self, sweep: bool) -> tuple[list[Run], list[tuple[str, str]], list[QuotaGroup]]:
        with self._database.read() as tx:
            groups = tx.quota_groups.list()
            found, self._number = tx.runs.waiting_after(self._number)
            if sweep:
                found += tx.runs.claimable(_PAGE)
            requests = tx.runs.cancel_requests()
            known = {run.spec.id for run in found}
            settled = []
            for name, _ in requests:
                if name not in self.roster.jobs and name not in known:
                    run = tx.runs.get(name)
                    if run.state.ended:
                        settled.append(name)
                    else:
                        found.append(run)
        for name in settled:
            self._loop.call_soon_threadsafe(self._log.settle, name)
        return found, requests, groups

    def _acquire(self) -> int | None:
        with self._database.transaction() as tx:
            return tx.leases.acquire(LEASE, self._holder, self._settings.lease_seconds)
