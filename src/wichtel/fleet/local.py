"""Engine `local`: worker processes on this machine, each on a socket pair. No port is opened."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Event

import msgspec

from wichtel.domain import InvalidInput, Resources, WichtelError
from wichtel.fleet import processes
from wichtel.fleet.devices import count_gpus
from wichtel.fleet.frames import Splitter, frame
from wichtel.fleet.messages import Ack, ToController, ToWorker, read_by_controller

_log = logging.getLogger(__name__)

#: Libraries that would each start a thread per core in every worker.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "POLARS_MAX_THREADS",
)

#: An acknowledgement waits this long for a message to go with; workers repeat themselves much later.
_ACK_SECONDS = 0.05


class LocalEngine:
    """Up to `workers` processes on this machine.

    Args:
        workers: The most at once; None for one per core.
        capacity: What all runs at once may occupy; None for one core per worker, all graphics processors that the driver shows, no limit
            of memory.
        threads: What numeric libraries in a worker may use; None for an even share of the cores.
        environment: Set in each worker, over what this process has.

    Raises:
        InvalidInput: no workers.
    """

    name = "local"

    def __init__(
        self,
        workers: int | None = None,
        *,
        capacity: Resources | None = None,
        threads: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        cores = os.cpu_count() or 1
        self.workers = cores if workers is None else workers
        if self.workers < 1:
            raise InvalidInput(f"{workers} workers cannot work.", where="engine 'local'")
        self.capacity = capacity or Resources(cpus=float(self.workers), gpus=count_gpus())
        share = str(threads or max(1, cores // self.workers))
        self._environment = {name: os.environ.get(name, share) for name in _THREAD_VARIABLES} | dict(environment or {})
        #: Closed, by whatever means, when this process ends: that ends the workers.
        self._life: tuple[int, int] | None = None

    def launch(self, worker: str, on_message: Callable[[ToController], None], on_gone: Callable[[str], None]) -> LocalLink:
        """Start a worker process; see `Engine.launch`."""
        if self._life is None:
            self._life = os.pipe()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "wichtel.fleet.worker",
                        f"--fd={theirs.fileno()}",
                        f"--life={self._life[0]}",
                        f"--name={worker}",
                    ],
                    pass_fds=(theirs.fileno(), self._life[0]),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    env=os.environ | self._environment | {"WICHTEL_WORKER_PATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},  # noqa: PTH109
                )
            except OSError:
                ours.close()
                raise
        return LocalLink(process, ours, on_message, on_gone)

    def serve(self, done: Event, timeout_seconds: float | None = None) -> bool:
        """Wait; see `Engine.serve`."""
        return done.wait(timeout_seconds)

    def close(self) -> None:
        """Close the pipe that keeps workers alive."""
        if self._life is not None:
            for end in self._life:
                os.close(end)
            self._life = None


class LocalLink:
    """The controller's end of one worker process."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        connection: socket.socket,
        on_message: Callable[[ToController], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._socket = connection
        self._on_message = on_message
        self._on_gone = on_gone
        self._splitter = Splitter()
        self._unsent = bytearray()
        #: Whether the socket is full, and the rest goes out when it is not.
        self._writing = False
        self._open = True
        self._loop = asyncio.get_running_loop()
        connection.setblocking(False)
        self._loop.add_reader(connection, self._readable)
        threading.Thread(target=self._wait, name=f"wichtel-wait-{process.pid}", daemon=True).start()

    def send(self, message: ToWorker) -> None:
        """Send without waiting; what the socket does not take at once goes out later."""
        if not self._open:
            return
        data = frame(message)
        if self._writing:
            self._unsent += data
        elif isinstance(message, Ack):
            # No worker waits for it: it goes out with the next message, which is likely to hand it a run.
            if not self._unsent:
                self._loop.call_later(_ACK_SECONDS, self._flush)
            self._unsent += data
        else:
            self._unsent += data
            self._flush()

    def kill(self) -> None:
        """Kill the process, its group, and what its run put into other groups."""
        for pid in processes.descendants(self.pid):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._kill_group()

    def _kill_group(self) -> None:
        # It is not reaped yet, so that the number cannot be somebody else's.
        if self._process.returncode is None:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)

    def _try_send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def _flush(self) -> None:
        if not (self._unsent and self._open):
            return
        try:
            del self._unsent[: self._try_send(self._unsent)]
        except OSError:
            self._unsent.clear()
        if bool(self._unsent) is not self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._socket, self._flush)
            else:
                self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._socket)
            self.kill()
            return
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        try:
            for body in self._splitter.feed(data):
                self._on_message(read_by_controller(body))
        except (msgspec.DecodeError, WichtelError) as error:
            _log.error("worker process %d sent what is no message: %s", self.pid, error)
            self.kill()

    def _wait(self) -> None:
        """Wait for the process on a thread of its own, since a child that it forked may keep the socket open."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._exited)

    def _exited(self) -> None:
        # Its last words are still in the socket.
        with suppress(OSError):
            while data := self._socket.recv(1 << 18):
                self._feed(data)
        self._kill_group()
        code = self._process.wait()
        self._open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._on_gone(f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}")
