"""Engine `local`: worker processes on this machine, forked of a warm one, each on a socket pair. No port is opened."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Event

import msgspec

from wichtel.domain import InvalidInput, Resources, WichtelError
from wichtel.fleet import processes
from wichtel.fleet.devices import count_gpus
from wichtel.fleet.frames import Splitter, frame
from wichtel.fleet.messages import Ack, ToController, ToWorker, read_by_controller
from wichtel.fleet.nursery_link import NurseryLink, how_it_ended

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
        preload: Modules that each worker has from its beginning. They are imported once, by a process of which workers are forked, and so
            must start no thread.

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
        preload: Iterable[str] = (),
    ) -> None:
        cores = os.cpu_count() or 1
        self.workers = cores if workers is None else workers
        if self.workers < 1:
            raise InvalidInput(f"{workers} workers cannot work.", where="engine 'local'")
        self.capacity = capacity or Resources(cpus=float(self.workers), gpus=count_gpus())
        share = str(threads or max(1, cores // self.workers))
        self._environment = {name: os.environ.get(name, share) for name in _THREAD_VARIABLES} | dict(environment or {})
        self._preload = tuple(preload)
        #: The last one is that of new workers.
        self._nurseries: list[NurseryLink] = []

    def launch(self, worker: str, on_message: Callable[[ToController], None], on_gone: Callable[[str], None]) -> LocalLink:
        """Start a worker process; see `Engine.launch`."""
        nursery = self._nursery()
        ours, theirs = socket.socketpair()
        link = LocalLink(worker, nursery, ours, on_message, on_gone)
        nursery.fork(worker, theirs, link)
        return link

    def _nursery(self) -> NurseryLink:
        """One whose workers have the environment that this process has now."""
        environment = os.environ | self._environment
        self._nurseries = [nursery for nursery in self._nurseries if nursery.open]
        if self._nurseries and self._nurseries[-1].fits(environment):
            return self._nurseries[-1]
        nursery = NurseryLink(environment, self._preload)
        if self._nurseries:
            self._nurseries[-1].retire()
        self._nurseries.append(nursery)
        return nursery

    def serve(self, done: Event, timeout_seconds: float | None = None) -> bool:
        """Wait; see `Engine.serve`."""
        return done.wait(timeout_seconds)

    def close(self) -> None:
        """End the nursery, and with it workers that are there still."""
        while self._nurseries:
            self._nurseries.pop().close()


class LocalLink:
    """The controller's end of one worker process."""

    def __init__(
        self,
        worker: str,
        nursery: NurseryLink,
        connection: socket.socket,
        on_message: Callable[[ToController], None],
        on_gone: Callable[[str], None],
    ) -> None:
        #: Its process; 0 if it is not there yet.
        self.pid = 0
        self._pidfd = -1
        #: It is to be killed, though it is not there yet.
        self._doomed = False
        self._worker = worker
        self._nursery = nursery
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
        if not self.pid:
            self._doomed = True
            self._nursery.give_up()
            return
        # The nursery does not reap it before we say so: while that lives, the number cannot be somebody else's. If that died, so does it.
        if not (self._open and self._nursery.open):
            return
        for pid in processes.descendants(self.pid):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._kill_group()

    def _kill_group(self) -> None:
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        # It may have no group of its own yet.
        with suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)

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

    # What the nursery says of it

    def forked(self, pid: int, pidfd: int) -> None:
        """It is there; see `Ward.forked`."""
        self.pid, self._pidfd = pid, pidfd
        self._loop.add_reader(self._socket, self._readable)
        if self._doomed:
            self.kill()

    def unable(self, reason: str) -> None:
        """It could not be started; see `Ward.unable`."""
        self._end(f"it could not be started: {reason}")

    def ended(self, code: int) -> None:
        """It ended, though a child that it forked may keep the socket open; see `Ward.ended`."""
        self._hear_out()
        self._kill_group()
        self._nursery.reap(self._worker)
        self._end(f"it {how_it_ended(code)}")

    def orphaned(self, reason: str) -> None:
        """The nursery died; see `Ward.orphaned`."""
        if self._pidfd < 0:
            self.unable(reason)
            return

        def dead() -> None:
            self._hear_out()
            self._end(f"it was lost: {reason}")

        with suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._loop.add_reader(self._pidfd, dead)

    def _hear_out(self) -> None:
        """Hear its last words, which are still in the socket."""
        with suppress(OSError):
            while data := self._socket.recv(1 << 18):
                self._feed(data)

    def _end(self, reason: str) -> None:
        self._open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        self._on_gone(reason)
