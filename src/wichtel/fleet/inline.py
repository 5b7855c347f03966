"""Engine `inline`: runs are carried out in the calling thread, one at a time, so that a debugger and prints work as usual.

What only a process can do is missing: a run that neither reports nor ends cannot be canceled, timed out or held to its memory limit.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event

import msgspec

from wichtel.domain import Resources
from wichtel.fleet.carry import Carrier, Context
from wichtel.fleet.devices import count_gpus
from wichtel.fleet.messages import Assign, Cancel, Goodbye, Heartbeat, Hello, Reply, ToController, ToWorker, Welcome

_TURN_SECONDS = 0.05


class InlineEngine:
    """One worker, which is whoever calls `serve`."""

    name = "inline"
    workers = 1

    def __init__(self, *, capacity: Resources | None = None) -> None:
        self.capacity = capacity or Resources(cpus=float(os.cpu_count() or 1), gpus=count_gpus())
        self._inbox: SimpleQueue[tuple[InlineLink, Assign]] = SimpleQueue()
        self._carrier = Carrier(interruptible=True)

    def launch(self, worker: str, on_message: Callable[[ToController], None], on_gone: Callable[[str], None]) -> InlineLink:
        """Pretend to start a worker; see `Engine.launch`."""
        return InlineLink(self._inbox, on_message, on_gone)

    def serve(self, done: Event, timeout_seconds: float | None = None) -> bool:
        """Carry out runs in the calling thread until `done`; see `Engine.serve`."""
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not done.is_set():
            if end is not None and time.monotonic() > end:
                return False
            try:
                link, assign = self._inbox.get(timeout=_TURN_SECONDS)
            except Empty:
                continue
            link.work(self._carrier, assign)
        return True

    def close(self) -> None:
        """Nothing is held."""


class InlineLink:
    """The controller's end of the calling thread."""

    def __init__(
        self,
        inbox: SimpleQueue[tuple[InlineLink, Assign]],
        on_message: Callable[[ToController], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self._inbox = inbox
        self._on_message = on_message
        self._on_gone = on_gone
        self._welcome: Welcome | None = None
        self._context: Context | None = None
        self._ending = False
        self._gone = False
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._hear, Hello(os.getpid()))

    def send(self, message: ToWorker) -> None:
        """Hand the message over."""
        context = self._context
        match message:
            case Welcome():
                self._welcome = message
                self._loop.call_later(message.heartbeat_seconds, self._beat, message.heartbeat_seconds)
            case Assign():
                self._inbox.put((self, message))
            case Reply(run, attempt, step, stop):
                if context is not None and (context.run_id, context.attempt) == (run, attempt):
                    context.answer(step, stop)
            case Cancel(run, attempt, reason):
                if context is not None and (context.run_id, context.attempt) == (run, attempt):
                    context.cancel(reason)
            case Goodbye():
                self.kill()

    def kill(self) -> None:
        """End the run at its next report: a thread cannot be killed."""
        self._ending = True
        context = self._context
        if context is not None:
            context.cancel("its worker is to end")
        self._loop.call_soon(self._end)

    def work(self, carrier: Carrier, assign: Assign) -> None:
        """Carry out a run; called in the thread that lends itself."""
        welcome = self._welcome
        if self._ending or welcome is None:
            return
        self._context = context = Context(assign, welcome, lambda: self._report(context))
        try:
            result = carrier.carry(context)
        finally:
            self._context = None
        with suppress(RuntimeError):  # the controller ended meanwhile
            self._loop.call_soon_threadsafe(self._finish, msgspec.structs.replace(result, last=self._ending))

    def _report(self, context: Context) -> None:
        """Pass measurements on and wait for the answer, which in one process comes at once: so a stop comes at the same step every time."""
        assign = context.assign
        answered = threading.Event()

        def speak() -> None:
            self._hear(Heartbeat(assign.run, assign.attempt, assign.epoch, context.collect()))
            answered.set()

        try:
            self._loop.call_soon_threadsafe(speak)
        except RuntimeError:
            context.cancel("the controller has ended")
            return
        answered.wait(10.0)

    def _hear(self, message: ToController) -> None:
        self._on_message(message)

    def _finish(self, message: ToController) -> None:
        self._hear(message)
        if self._ending:
            self._end()

    def _beat(self, seconds: float) -> None:
        """The calling thread may be in a debugger: that is no silence."""
        if not self._gone:
            self._hear(Heartbeat())
            self._loop.call_later(seconds, self._beat, seconds)

    def _end(self) -> None:
        if not self._gone and self._context is None:
            self._gone = True
            self._on_gone("it was ended")
