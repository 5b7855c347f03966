"""An engine's end of a nursery."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from wichtel.fleet.nursery import MAX_BYTES, Ended, Fork, Forked, Reap, ToNursery, Unable, encode, read_by_engine

#: How long an orderly end may take: the workers are gone by then, or go with it.
_END_SECONDS = 5.0


class Ward(Protocol):
    """Who hears of a worker. After `unable` or `orphaned` it hears no more."""

    def forked(self, pid: int, pidfd: int) -> None:
        """It is there; `pidfd`, a descriptor of its process, is the hearer's from now on; -1 if none was left for it."""

    def unable(self, reason: str) -> None:
        """It could not be started."""

    def ended(self, code: int) -> None:
        """It ended; its number stays its own until `NurseryLink.reap`."""

    def orphaned(self, reason: str) -> None:
        """The nursery died; if it was there, it dies too, and whoever inherits it lets its number go."""


class NurseryLink:
    """Starts a nursery, and speaks to it. All methods but `close` are called on the event loop that it was made in.

    Args:
        environment: The nursery's and its workers'.
        preload: Modules that it imports beside what every worker needs.

    Raises:
        OSError: it could not be started.
    """

    def __init__(self, environment: Mapping[str, str], preload: Iterable[str] = ()) -> None:
        self._environment = dict(environment)
        self._loop = asyncio.get_running_loop()
        self._wards: dict[str, Ward] = {}
        self._unsent: deque[tuple[str, bytes, socket.socket | None]] = deque()
        #: Whether it was heard, and so answers soon.
        self._heard = False
        self._retired = False
        #: Whether workers may be there still.
        self.open = True
        # Messages keep their bounds, and a descriptor stays with its message.
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "wichtel.fleet.nursery", f"--fd={theirs.fileno()}", *(f"--preload={m}" for m in preload)],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    env=self._environment,
                )
            except OSError:
                self._control.close()
                raise
        self._control.setblocking(False)
        self._loop.add_reader(self._control, self._readable)

    @property
    def pid(self) -> int:
        """The nursery's process."""
        return self._process.pid

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether workers with this environment can be had of it, by whoever calls."""
        return self.open and self._environment == environment and self._loop is asyncio.get_running_loop()

    def fork(self, worker: str, connection: socket.socket, ward: Ward) -> None:
        """Have a worker started on `connection`, which is given away, where this process is now."""
        self._wards[worker] = ward
        try:
            directory = os.getcwd()  # noqa: PTH109
        except OSError:  # removed under our feet
            directory = ""
        path = [os.fsencode(p or directory) for p in sys.path if p or directory]
        self._send(worker, Fork(worker, os.fsencode(directory), path), connection)

    def give_up(self) -> None:
        """A worker that is not there yet is wanted no more. If the nursery was never heard, do not wait for it."""
        if not self._heard:
            self._process.kill()

    def reap(self, worker: str) -> None:
        """Let a worker's number go."""
        self._send(worker, Reap(worker))
        self._forget(worker)

    def retire(self) -> None:
        """Close it when its last worker is gone."""
        self._retired = True
        if not self._wards:
            self.close()

    def close(self) -> None:
        """End it and its workers. May be called when the loop has ended."""
        if not self.open:
            return
        self._release()
        if not self._heard:
            self._process.kill()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _release(self) -> None:
        self.open = False
        self._loop.remove_reader(self._control)
        self._loop.remove_writer(self._control)
        self._control.close()
        while self._unsent:
            _, _, connection = self._unsent.popleft()
            if connection is not None:
                connection.close()

    def _forget(self, worker: str) -> None:
        del self._wards[worker]
        if self._retired and not self._wards:
            self.close()

    def _send(self, worker: str, message: ToNursery, connection: socket.socket | None = None) -> None:
        self._unsent.append((worker, encode(message), connection))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            worker, data, connection = self._unsent[0]
            try:
                socket.send_fds(self._control, [data], [] if connection is None else [connection.fileno()])
            except BlockingIOError:
                self._loop.add_writer(self._control, self._flush)
                return
            except ConnectionError:
                pass  # it died, of which we hear at once
            except OSError as error:
                self._loop.call_soon(self._hear, Unable(worker, str(error)))
            self._unsent.popleft()
            if connection is not None:
                connection.close()
        self._loop.remove_writer(self._control)

    def _readable(self) -> None:
        # Whoever hears of an end may close it.
        while self.open:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._control, MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except ConnectionError:
                data, descriptors = b"", []
            if not data:
                self._die()
                return
            self._heard = True
            self._hear(read_by_engine.decode(data), *descriptors)

    def _hear(self, message: Forked | Unable | Ended, pidfd: int = -1) -> None:
        ward = self._wards.get(message.worker)
        if ward is None:
            return
        match message:
            case Forked(_, pid):
                ward.forked(pid, pidfd)
            case Unable(_, reason):
                self._forget(message.worker)
                ward.unable(reason)
            case Ended(_, code):
                ward.ended(code)

    def _die(self) -> None:
        self._release()
        code = self._process.wait()
        reason = f"the process that starts workers {how_it_ended(code)}"
        wards, self._wards = self._wards, {}
        for ward in wards.values():
            ward.orphaned(reason)


def how_it_ended(code: int) -> str:
    """What a process did, of which this is the exit code or the negative of its signal."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # one without a name
        return f"was killed by signal {-code}"
