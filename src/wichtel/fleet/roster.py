"""All decisions of a controller, and none of its I/O: events in, effects out, on a clock that is given.

The roster keeps every run that has not ended and every worker. What it hears changes these at once and leaves *effects*, values that
the controller carries out in their order (`Roster.drain`). So a random history can be played through it on a simulated clock.

Invariants: a run is with at most one worker; it ends once; no run is handed out with which its group would occupy more than its share;
what a worker says about an attempt that is not the current one of its own run changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from wichtel.domain import Measurement, QuotaGroup, Resources, Run, RunState, UserError, WorkerLost
from wichtel.fleet import messages
from wichtel.fleet.effects import Effect, Ended, Kill, Launch, Measured, Note, Save, Send
from wichtel.fleet.messages import Assign, Cancel, Goodbye, Heartbeat, Hello, Reply, Reported, Result, ToController
from wichtel.fleet.queue import Job, Line, Shares
from wichtel.fleet.room import Room
from wichtel.fleet.settings import FleetSettings

#: A worker that was told to die and is not reported gone within this many seconds is taken for gone.
_KILL_SECONDS = 30.0

#: A controller that slept this many seconds longer than it meant to (a stopped machine) forgives its workers the silence.
_STALL_SECONDS = 5.0

#: So long it is remembered that a run ended: longer than any read of the store takes.
_FORGET_SECONDS = 60.0

#: Deaths in a row, without a run finished between, that put a worker's seat into quarantine.
_QUARANTINE_AFTER = 3

#: A pause doubles at most this often: no number is large enough for a worker that cannot start for days.
_DOUBLINGS = 16

#: A run is given up after this many times its allowed attempts even if it was only dead controllers that cut them short.
_CUT_SHORT_FACTOR = 10


class SeatState(Enum):
    """Where a worker stands."""

    EMPTY = "empty"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    ENDING = "ending"


@dataclass(slots=True)
class Seat:
    """Room for one worker, and the one that has it."""

    number: int
    state: SeatState = SeatState.EMPTY
    worker: str = ""
    job: Job | None = None
    #: What becomes of its job when the worker is gone; None: the job is lost with it.
    verdict: tuple[RunState, dict[str, Any]] | None = None
    since: float = 0.0
    heard: float = 0.0
    launches: int = 0
    #: Deaths in a row that nobody asked for.
    deaths: int = 0
    retry_at: float = 0.0
    #: The one that had it before.
    last: str = ""


class Roster:
    """Runs, workers, and who does what.

    Args:
        seats: The most workers at once.
        capacity: What all runs at once may occupy.
        epoch: The fencing token under which this controller leads.
        clock: Seconds that never go back.
        utc: The time of day.
    """

    def __init__(
        self,
        *,
        seats: int,
        capacity: Resources,
        settings: FleetSettings,
        epoch: int,
        clock: Callable[[], float],
        utc: Callable[[], datetime],
        name: str = "w",
    ) -> None:
        self.settings = settings
        self.epoch = epoch
        self.capacity = capacity
        self.jobs: dict[str, Job] = {}
        self.seats = [Seat(n) for n in range(seats)]
        self.shares = Shares(seats, capacity)
        self.line = Line(self.shares)
        #: What no run occupies.
        self.free = Room.of(capacity)
        #: The seats that can be used, found without a look at all.
        self._idle: dict[int, Seat] = {}
        self._empty = {seat.number: seat for seat in self.seats}
        self._starting = 0
        self._name = name
        self._clock = clock
        self._utc = utc
        self._workers: dict[str, Seat] = {}
        self._effects: list[Effect] = []
        self._order = 0
        #: Ended, but not yet durably: a result that is sent again is neither new nor to be acknowledged.
        self._undurable: set[tuple[str, int]] = set()
        #: When runs ended, of the last minute: what was read of one before that is out of date.
        self._ended: dict[str, float] = {}
        self._last_tick = clock()
        self.dropped = 0

    def drain(self) -> list[Effect]:
        """What is to be done since the last call, in order."""
        effects, self._effects = self._effects, []
        return effects

    @property
    def busy(self) -> bool:
        """Whether more runs wait than there are workers: each has its next run in sight, whatever ends."""
        return len(self.line) > len(self.seats)

    def quarantine(self, seat: Seat) -> float:
        """For how many seconds more it is given no worker, since the last ones died one after the other."""
        return max(0.0, seat.retry_at - self._clock()) if seat.deaths >= _QUARANTINE_AFTER else 0.0

    # Runs

    def add(self, runs: Iterable[Run]) -> None:
        """Take on runs that have not ended. A RUNNING one lost its worker together with an earlier controller."""
        whole = Room.of(self.capacity)
        for run in runs:
            if run.spec.id in self.jobs or run.spec.id in self._ended or run.state.ended:
                continue
            job = Job(run, self._order, lost=int((run.error or {}).get("lost", 0)))
            self._order += 1
            self.jobs[job.id] = job
            need = run.spec.resources
            if not whole.holds(need):
                fault = UserError(f"it needs {need}, but all workers together have {self.capacity}.", where=f"run {job.id!r}")
                self._end(job, RunState.FAILED, error=fault.to_json())
            elif run.state is RunState.RUNNING:
                self._lose(job, "the controller that had handed it out is gone", count=False)
            else:
                self.line.put(job)
        self._place()

    def cancel(self, run: str, reason: str) -> None:
        """End a run: at once if it waits, else at its next report, or by force after the grace time. One that has ended stays as it is."""
        job = self.jobs.get(run)
        if job is None or job.cancel is not None:
            return
        job.cancel = reason
        if job.run.state is not RunState.RUNNING:
            self.line.remove(job)
            self._end(job, RunState.CANCELED, error={"message": reason})
            return
        job.kill_at = self._clock() + self.settings.cancel_grace_seconds
        self._effects.append(Send(job.run.worker, Cancel(run, job.run.attempt, reason)))

    def stop(self, measurement: Measurement, reason: str | None) -> None:
        """Pass on the owner's answer to a measurement; None: go on."""
        job = self.jobs.get(measurement.run)
        if job is None or job.run.attempt != measurement.attempt or job.run.state is not RunState.RUNNING:
            return
        if reason is not None and job.stop is None:
            job.stop = reason
        elif measurement.step != job.step:
            return  # more is on its way to the owner
        self._effects.append(Send(job.run.worker, Reply(measurement.run, measurement.attempt, measurement.step, job.stop or "")))

    def durable(self, run: Run) -> None:
        """The run's end is on disk."""
        self._undurable.discard((run.spec.id, run.attempt))

    def share(self, groups: Iterable[QuotaGroup]) -> None:
        """Let groups occupy no more than their shares from now on; runs that are at work go on."""
        if self.shares.set(groups):
            self._place()

    # Workers

    def job_of(self, worker: str) -> Job | None:
        """What the worker is at."""
        seat = self._workers.get(worker)
        return seat.job if seat else None

    def hear(self, worker: str, message: ToController) -> None:
        """Take in what a worker said."""
        seat = self._workers.get(worker)
        if seat is None:
            self._drop(worker, message)
            return
        seat.heard = self._clock()
        match message:
            case Hello():
                self._greet(seat, message)
            case Heartbeat():
                if message.run and message.measurements:
                    job = self._current(seat, message)
                    if job is not None:
                        self._measure(job, message.measurements)
            case Result():
                self._result(seat, message)
            case Goodbye():
                self._move(seat, SeatState.ENDING)

    def unfit(self, worker: str, fault: UserError) -> None:
        """The run that the worker was to carry out cannot be sent: it has failed, and the worker is idle."""
        seat = self._workers.get(worker)
        if seat is None or seat.job is None:
            return
        job = self._vacate(seat)
        self._move(seat, SeatState.IDLE)
        self._end(job, RunState.FAILED, error=fault.to_json())
        self._place()

    def gone(self, worker: str, reason: str, output: str = "") -> None:
        """No process of this worker is left.

        Args:
            output: The end of what its run wrote, for whoever has to find out why.
        """
        seat = self._workers.pop(worker, None)
        if seat is None:
            return
        asked = seat.state is SeatState.ENDING
        job, verdict = (self._vacate(seat) if seat.job else None), seat.verdict
        self._move(seat, SeatState.EMPTY)
        seat.verdict, seat.last, seat.worker = None, worker, ""
        if not asked:
            self._died(seat, worker, reason, job)
        if job is not None:
            if verdict is not None:
                self._end(job, verdict[0], error=verdict[1] | ({"output": output} if output else {}))
            else:
                self._lose(job, reason, output=output)
        self._place()

    def tick(self) -> None:
        """Let time pass: call it a few times a second."""
        now = self._clock()
        stalled = now - self._last_tick
        self._last_tick = now
        for seat in self.seats:
            if stalled > _STALL_SECONDS:
                seat.heard += stalled
                seat.since += stalled
            self._watch(seat, now)
        while self._ended:
            oldest = next(iter(self._ended))
            if now - self._ended[oldest] < _FORGET_SECONDS:
                break
            del self._ended[oldest]
        self._place()

    def close(self) -> None:
        """Stop leading on purpose: runs at work become PREEMPTED, for the next controller."""
        for seat in self.seats:
            if seat.job is not None and seat.job.run.state is RunState.RUNNING:
                job = self._vacate(seat)
                self._effects.append(Save(replace(job.run, state=RunState.PREEMPTED)))

    # Decisions

    def _move(self, seat: Seat, state: SeatState) -> None:
        """Every change of a seat's state."""
        self._starting += (state is SeatState.STARTING) - (seat.state is SeatState.STARTING)
        self._idle.pop(seat.number, None)
        self._empty.pop(seat.number, None)
        if state is SeatState.IDLE:
            self._idle[seat.number] = seat
        elif state is SeatState.EMPTY:
            self._empty[seat.number] = seat
        seat.state, seat.since = state, self._clock()

    def _vacate(self, seat: Seat) -> Job:
        """Its job is with it no more."""
        job = seat.job
        assert job is not None
        seat.job = None
        self.free.give(job.run.spec.resources, job.devices)
        self.shares.give(job.run.spec.quota_group, job.run.spec.resources)
        job.devices = ()
        return job

    def _greet(self, seat: Seat, hello: Hello) -> None:
        if hello.version != messages.VERSION:
            self._kill(seat, f"it speaks version {hello.version} of the messages, not {messages.VERSION}")
        elif seat.state is SeatState.STARTING:
            self._move(seat, SeatState.IDLE)
            self._place()

    def _current(self, seat: Seat, message: Heartbeat | Result) -> Job | None:
        """The job a message is about, if it is about the seat's own; else the message is dropped."""
        job = seat.job
        if job is not None and (job.id, job.run.attempt, self.epoch) == (message.run, message.attempt, message.epoch):
            return job
        self._drop(seat.worker, message)
        return None

    def _drop(self, worker: str, message: ToController) -> None:
        if isinstance(message, Heartbeat | Result) and message.run:
            if (message.run, message.attempt) in self._undurable:
                return
            self.dropped += 1
            data = {"run": message.run, "attempt": message.attempt, "message": type(message).__name__}
            self._effects.append(Note("worker.late", worker, data))

    def _measure(self, job: Job, reported: Iterable[Reported]) -> None:
        for step, metrics in ((r.step, r.metrics) for r in reported):
            if job.step is not None and step <= job.step:
                continue
            job.step = step
            measurement = Measurement(run=job.id, attempt=job.run.attempt, step=step, metrics=metrics)
            self._effects.append(Measured(job.run.spec.owner, measurement))

    def _result(self, seat: Seat, result: Result) -> None:
        if seat.verdict is not None:
            self._drop(seat.worker, result)
            return
        job = self._current(seat, result)
        if job is None:
            # An answer all the same, or the worker would repeat itself for ever.
            if (result.run, result.attempt) not in self._undurable:
                self._effects.append(Send(seat.worker, messages.Ack(result.run, result.attempt)))
            return
        self._measure(job, result.measurements)
        self._vacate(seat)
        seat.deaths = 0
        if result.last:
            self._move(seat, SeatState.ENDING)
        elif seat.state is SeatState.BUSY:
            self._move(seat, SeatState.IDLE)
        state = RunState(result.state)
        if job.cancel is not None:
            self._end(job, RunState.CANCELED, value=result.value, error={"message": job.cancel}, worker=seat.worker)
        elif state is RunState.PREEMPTED:
            self._effects.append(Send(seat.worker, messages.Ack(result.run, result.attempt)))
            self._lose(job, str((result.error or {}).get("message", "")), error=result.error)
        else:
            self._end(job, state, value=result.value, error=result.error, worker=seat.worker, clean=result.clean)
        self._place()

    def _end(
        self,
        job: Job,
        state: RunState,
        *,
        value: Any = None,
        error: dict[str, Any] | None = None,
        worker: str = "",
        clean: bool = False,
    ) -> None:
        run = replace(job.run, state=state, result=value, error=error, ended=self._utc())
        del self.jobs[job.id]
        self._undurable.add((job.id, run.attempt))
        self._ended[job.id] = self._clock()
        self._effects.append(Ended(run, worker, clean))

    def _lose(self, job: Job, reason: str, *, error: dict[str, Any] | None = None, output: str = "", count: bool = True) -> None:
        """An attempt came to nothing: once more, or give up."""
        job.lost += count
        told = {"output": output} if output else {}
        allowed = job.run.spec.retry.max_attempts
        if job.cancel is not None:
            self._end(job, RunState.CANCELED, error={"message": job.cancel})
            return
        if job.lost >= allowed or job.run.attempt >= allowed * _CUT_SHORT_FACTOR:
            times = f"{job.lost} attempts" if job.lost > 1 else "1 attempt"
            hint = "It may be the run itself that ends its worker: look for too much memory, a crash in native code, or os._exit."
            lost = WorkerLost(f"its worker was lost in {times}; the last time: {reason}.", where=f"run {job.id!r}", hint=hint)
            self._end(job, RunState.FAILED, error=(error or lost.to_json()) | told)
            return
        error = (error or WorkerLost(reason, where=f"run {job.id!r}").to_json()) | {"lost": job.lost} | told
        job.run = replace(job.run, state=RunState.PREEMPTED, error=error)
        job.step = job.deadline = job.kill_at = job.stop = None
        if count:
            job.not_before = self._clock() + min(30.0, self.settings.retry_seconds * 2.0 ** min(job.lost - 1, _DOUBLINGS))
        self.line.put(job)
        self._effects.append(Save(job.run))

    def _watch(self, seat: Seat, now: float) -> None:
        settings, job = self.settings, seat.job
        silent = now - seat.heard
        if seat.state is SeatState.ENDING:
            if now - seat.since > _KILL_SECONDS:
                self.gone(seat.worker, "it did not end")
        elif seat.state is SeatState.STARTING:
            if now - seat.since > settings.start_timeout_seconds:
                self._kill(seat, f"it did not start within {settings.start_timeout_seconds:g} s", asked=False)
        elif seat.state is not SeatState.EMPTY and silent > settings.heartbeat_timeout_seconds:
            self._kill(seat, f"it was silent for {silent:.0f} s", asked=False)
        elif job is not None and job.kill_at is not None and now > job.kill_at:
            self._kill(
                seat, "it did not end within the grace time after it was canceled", (RunState.CANCELED, {"message": job.cancel or ""})
            )
        elif job is not None and job.deadline is not None and now > job.deadline:
            limit = job.run.spec.timeout_seconds
            late = UserError(
                f"it took longer than its limit of {limit:g} s.", where=f"run {job.id!r}", hint="Raise timeout_seconds, or do less."
            )
            self._kill(seat, "its run took too long", (RunState.FAILED, late.to_json()))

    def _kill(self, seat: Seat, reason: str, verdict: tuple[RunState, dict[str, Any]] | None = None, *, asked: bool = True) -> None:
        """End a worker by force. What becomes of its job is settled when it is gone: never are two attempts at work at once."""
        if not asked:
            self._died(seat, seat.worker, reason, seat.job)
        self._move(seat, SeatState.ENDING)
        seat.verdict = verdict
        self._effects.append(Kill(seat.worker, reason))

    def _died(self, seat: Seat, worker: str, reason: str, job: Job | None) -> None:
        """Nobody asked for this death: note it, and wait longer with the next worker the more often it happens."""
        seat.deaths += 1
        data = {"reason": reason, "deaths": seat.deaths, "run": job.id if job else ""}
        self._effects.append(Note("worker.lost", worker, data))
        if seat.deaths > 1:
            pause = min(60.0, 0.5 * 2.0 ** min(seat.deaths - 2, _DOUBLINGS))
            seat.retry_at = self._clock() + pause
            if seat.deaths >= _QUARANTINE_AFTER:
                self._effects.append(Note("worker.quarantined", worker, data | {"seconds": pause}))

    def _place(self) -> None:
        """Hand out what can be handed out, and start workers for the rest."""
        if not len(self.line):
            return
        now = self._clock()
        while self._idle:
            job = self.line.take(self.free.copy(), now)
            if job is None:
                return
            # Who has been idle longest.
            self._assign(next(iter(self._idle.values())), job, now)
        wanted = len(self.line) - self._starting
        if wanted <= 0 or not self._empty:
            return
        for seat in [seat for seat in self._empty.values() if seat.retry_at <= now][:wanted]:
            seat.launches += 1
            seat.worker = f"{self._name}{self.epoch}.{seat.number}.{seat.launches}"
            seat.heard = now
            self._move(seat, SeatState.STARTING)
            self._workers[seat.worker] = seat
            self._effects.append(Launch(seat.worker))

    def _assign(self, seat: Seat, job: Job, now: float) -> None:
        spec = job.run.spec
        job.run = replace(
            job.run, state=RunState.RUNNING, attempt=job.run.attempt + 1, worker=seat.worker, started=job.run.started or self._utc()
        )
        job.deadline = now + spec.timeout_seconds if spec.timeout_seconds is not None else None
        job.passed = 0
        need = spec.resources
        job.devices = self.free.take(need)
        self.shares.take(spec.quota_group, need)
        seat.job = job
        self._move(seat, SeatState.BUSY)
        message = Assign(
            spec.id,
            job.run.attempt,
            self.epoch,
            spec.entry,
            spec.payload,
            spec.seed,
            need.cpus,
            need.gpus,
            need.memory_bytes,
            devices=list(job.devices),
            checkpoint_from=spec.checkpoint_from,
            keep_checkpoint=spec.keep_checkpoint,
        )
        self._effects.append(Send(seat.worker, message))
        self._effects.append(Save(job.run))
