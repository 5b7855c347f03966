"""A worker process: warm, long-lived, one run at a time. It is forked by a nursery, and goes on with `begin`.

The main thread carries out runs. Three more speak for it: one reads, one sends heartbeats, one watches memory and output. So the
controller hears of the worker while user code computes, and user code waits for the controller's answer to a report only briefly.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn

import msgspec

from wichtel.domain import UserError, WichtelError
from wichtel.fleet import processes
from wichtel.fleet.carry import Carrier, Context
from wichtel.fleet.frames import Splitter, frame
from wichtel.fleet.messages import Ack, Assign, Cancel, Goodbye, Heartbeat, Hello, Message, Reply, Result, Welcome, read_by_worker
from wichtel.fleet.output import Output

_WATCH_SECONDS = 0.25


class Worker:
    """One worker, on a connected socket to its controller."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.name = name
        self._socket = connection
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._inbox: SimpleQueue[Assign | None] = SimpleQueue()
        self._context: Context | None = None
        #: Results that are not acknowledged, with the time they were last sent.
        self._unacknowledged: dict[tuple[str, int], tuple[Result, float]] = {}
        self._welcomed: SimpleQueue[Welcome] = SimpleQueue()
        self._pid = os.getpid()
        self._bare_bytes = processes.resident_bytes(self._pid)
        self._run_bytes = 0

    def work(self) -> None:
        """Carry out runs until the controller says goodbye."""
        threading.Thread(target=self._read, name="wichtel-read", daemon=True).start()
        self._send(Hello(self._pid))
        carrier = Carrier()
        welcome = self._welcomed.get()
        output = Output(Path(welcome.state_dir), self.name, welcome.log_bytes)
        threading.Thread(target=self._beat, args=(welcome,), name="wichtel-beat", daemon=True).start()
        threading.Thread(target=self._watch, args=(output,), name="wichtel-watch", daemon=True).start()
        while (assign := self._inbox.get()) is not None:
            self._run_bytes = processes.tree_bytes(self._pid) if assign.memory_bytes is not None else 0
            self._context = context = Context(assign, welcome, self._wake.set)
            result = carrier.carry(context)
            if os.getpid() != self._pid:
                os._exit(0)  # a child that the function forked and let return
            output.keep(assign.run, assign.attempt)
            self._deliver(context, result)

    def _deliver(self, context: Context, result: Result) -> None:
        """Send the result of a run; only the first one of it counts."""
        with self._sending:
            if self._context is not context:
                return
            self._context = None
            if late := context.collect():
                result = msgspec.structs.replace(result, measurements=[*result.measurements, *late])
            self._unacknowledged[result.run, result.attempt] = (result, time.monotonic())
            self._socket.sendall(frame(result))

    def _send(self, message: Message) -> None:
        with self._sending:
            self._socket.sendall(frame(message))

    def _read(self) -> None:
        """Hear the controller. When it is gone, so is the worker, with everything it started."""
        splitter = Splitter()
        try:
            while data := self._socket.recv(1 << 18):
                for body in splitter.feed(data):
                    self._hear(read_by_worker(body))
        except OSError:
            pass
        except (msgspec.DecodeError, WichtelError) as error:
            # It cannot hear any more, and would never end.
            sys.stderr.write(f"the worker ends: what came is no message: {error}\n")
        end_group()

    def _hear(self, message: object) -> None:
        context = self._context
        match message:
            case Welcome():
                self._welcomed.put(message)
            case Assign():
                self._inbox.put(message)
            case Reply(run, attempt, step, stop):
                if context is not None and (context.run_id, context.attempt) == (run, attempt):
                    context.answer(step, stop)
            case Cancel(run, attempt, reason):
                if context is not None and (context.run_id, context.attempt) == (run, attempt):
                    context.cancel(reason)
            case Ack(run, attempt):
                self._unacknowledged.pop((run, attempt), None)
            case Goodbye():
                self._inbox.put(None)

    def _beat(self, welcome: Welcome) -> None:
        """Send heartbeats: soon after a report, else every `heartbeat_seconds`."""
        while True:
            self._wake.wait(welcome.heartbeat_seconds)
            self._wake.clear()
            with self._sending:
                context = self._context
                if context is None:
                    beat = Heartbeat()
                else:
                    assign = context.assign
                    beat = Heartbeat(assign.run, assign.attempt, assign.epoch, context.collect())
                now = time.monotonic()
                # A copy, since the reading thread removes what is acknowledged.
                again = [(r, t) for r, t in list(self._unacknowledged.values()) if now - t > welcome.resend_seconds]
                try:
                    self._socket.sendall(frame(beat))
                    for result, _ in again:
                        self._unacknowledged[result.run, result.attempt] = (result, now)
                        self._socket.sendall(frame(result))
                except OSError:
                    return  # the reading thread sees it too and ends the worker
            time.sleep(welcome.report_seconds)

    def _watch(self, output: Output) -> None:
        """Keep the run within its memory and its output within bounds."""
        while True:
            time.sleep(_WATCH_SECONDS)
            output.bound()
            context = self._context
            if context is None or context.resources.memory_bytes is None:
                continue
            limit = context.resources.memory_bytes
            # What earlier runs left in this warm process is not this run's doing.
            used = processes.tree_bytes(self._pid) - max(0, self._run_bytes - self._bare_bytes)
            if used > limit:
                fault = UserError(
                    f"it used {_mebibytes(used)} of memory, more than its limit of {_mebibytes(limit)}.",
                    where=f"run {context.run_id!r}",
                    hint="Raise resources.memory_bytes, or use less at once.",
                )
                assign = context.assign
                result = Result(assign.run, assign.attempt, assign.epoch, "FAILED", None, fault.to_json(), [], last=True)
                output.keep(assign.run, assign.attempt)
                self._deliver(context, result)
                end_group()


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


def end_group() -> None:
    """Kill this process and all others of its group."""
    os.killpg(0, signal.SIGKILL)


def anchor(life: int) -> None:
    """Leave a process in this group that ends the group when the other end of the pipe `life` is closed, however that comes about.

    It does what a thread cannot while user code holds the interpreter's lock. It is no child of the worker, so that ``os.wait()`` in user
    code does not find it.
    """
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            while os.read(life, 1):
                pass
            end_group()
        os._exit(0)
    os.waitpid(child, 0)


def begin(connection: socket.socket, name: str, life: int) -> NoReturn:
    """Be a worker from now on.

    Args:
        connection: Connected to the controller.
        life: Pipe that is closed when the process ends that keeps the worker.
    """
    anchor(life)
    os.close(life)
    Worker(connection, name).work()
    os._exit(0)
