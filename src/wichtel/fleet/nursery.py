"""A nursery: a warm process of which workers are forked, in milliseconds.

An engine starts it as ``python -m wichtel.fleet.nursery --fd N``. It has imported what every worker needs and nothing of the user's, and
it starts no thread: so what is forked of it is as good as new. It keeps a worker that ended unreaped until the engine has ended its group,
so that its number means nobody else meanwhile. When the engine is gone, by whatever means, so are the nursery and all its workers; and
when the nursery is gone, so are they.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

#: A request names a directory and a search path.
MAX_BYTES = 1 << 18


class Fork(msgspec.Struct, frozen=True, tag=True):
    """Engine: start a worker on the descriptor that comes with this."""

    worker: str
    #: Where it works, and where it finds modules beside the nursery's own: names as the file system has them.
    directory: bytes
    path: list[bytes]


class Reap(msgspec.Struct, frozen=True, tag=True):
    """Engine: its group is ended, let its number go."""

    worker: str


class Forked(msgspec.Struct, frozen=True, tag=True):
    """Nursery: it was started. A descriptor of its process comes with this."""

    worker: str
    pid: int


class Unable(msgspec.Struct, frozen=True, tag=True):
    """Nursery: it could not be started."""

    worker: str
    reason: str


class Ended(msgspec.Struct, frozen=True, tag=True):
    """Nursery: it ended, with this exit code, or by the signal of which this is the negative; its number is not let go."""

    worker: str
    code: int


ToNursery = Fork | Reap
FromNursery = Forked | Unable | Ended

encode = msgspec.msgpack.Encoder().encode
read_by_nursery: msgspec.msgpack.Decoder[ToNursery] = msgspec.msgpack.Decoder(ToNursery)
read_by_engine: msgspec.msgpack.Decoder[FromNursery] = msgspec.msgpack.Decoder(FromNursery)


@dataclass(frozen=True, slots=True)
class _Child:
    worker: str
    pid: int
    #: Readable when the process has ended.
    pidfd: int


@dataclass(frozen=True, slots=True)
class _Birth:
    """What a worker begins with."""

    order: Fork
    connection: int
    #: Pipe that is closed when the nursery ends.
    life: int


class Nursery:
    """Forks workers at an engine's word."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._life, self._own_life = os.pipe()
        self._children: dict[str, _Child] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def tend(self) -> _Birth | None:
        """Serve the engine until it is gone.

        Returns:
            In each worker that is forked, what it begins with. None when the engine is gone, and all workers with it.
        """
        with suppress(ConnectionError):
            while True:
                for descriptor, _ in self._poll.poll():
                    if descriptor != self._control.fileno():
                        self._tell_end(descriptor)
                        continue
                    data, descriptors, _, _ = socket.recv_fds(self._control, MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
                    if not data:
                        self._end()
                        return None
                    message = read_by_nursery.decode(data)
                    if isinstance(message, Reap):
                        self._reap(message.worker)
                    elif not descriptors:
                        self._say(Unable(message.worker, "too many open files"))
                    elif self._fork(message, descriptors[0]):
                        return _Birth(message, descriptors[0], self._life)
        self._end()
        return None

    def _fork(self, order: Fork, connection: int) -> bool:
        """Fork a worker; True in the worker."""
        try:
            pid = os.fork()
        except OSError as error:
            os.close(connection)
            self._say(Unable(order.worker, str(error)))
            return False
        if pid == 0:
            self._leave()
            return True
        os.close(connection)
        try:
            child = _Child(order.worker, pid, os.pidfd_open(pid))
        except OSError as error:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._say(Unable(order.worker, str(error)))
            return False
        self._children[order.worker] = child
        self._poll.register(child.pidfd, select.POLLIN)
        self._say(Forked(order.worker, pid), child.pidfd)
        return False

    def _leave(self) -> None:
        """In a worker: be no part of the nursery any more."""
        os.setsid()
        self._control.close()
        os.close(self._own_life)
        for child in self._children.values():
            os.close(child.pidfd)

    def _tell_end(self, pidfd: int) -> None:
        (child,) = [child for child in self._children.values() if child.pidfd == pidfd]
        self._poll.unregister(pidfd)
        ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        self._say(Ended(child.worker, ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status))

    def _reap(self, worker: str) -> None:
        child = self._children.pop(worker)
        os.waitpid(child.pid, 0)
        os.close(child.pidfd)

    def _say(self, message: FromNursery, *descriptors: int) -> None:
        socket.send_fds(self._control, [encode(message)], descriptors)

    def _end(self) -> None:
        # Each worker has somebody in its group who waits for this, and then ends the group.
        os.close(self._own_life)
        for child in self._children.values():
            with suppress(OSError):
                os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)


def rename(name: str) -> None:
    """Have ``ps`` show this process under `name`, of which it keeps 15 bytes."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def _settle(order: Fork, home: str) -> None:
    """Be where a process would be that was started now: `home` is where the nursery was started."""
    with suppress(OSError):
        os.chdir(order.directory)
        if not sys.flags.safe_path and sys.path[0] == home:
            sys.path[0] = os.fsdecode(order.directory)
    for path in map(os.fsdecode, order.path):
        if path not in sys.path:
            sys.path.append(path)
    # Files may be there that were not when the nursery looked.
    importlib.invalidate_caches()


def main() -> None:
    """Be a nursery on the inherited descriptor; and after a fork, a worker."""
    parser = argparse.ArgumentParser(prog="wichtel.fleet.nursery")
    parser.add_argument("--fd", type=int, required=True, help="connected socket to the engine")
    parser.add_argument("--preload", action="append", default=[], help="module to import beside")
    options = parser.parse_args()
    control = socket.socket(fileno=options.fd)
    control.set_inheritable(False)
    rename("wt-nursery")
    # Not above: whoever speaks to a nursery need not load what workers need.
    from wichtel.fleet.worker import begin

    for module in options.preload:
        importlib.import_module(module)
    home = sys.path[0]
    # What is here now stays: no worker need look through it, and so copy its pages.
    gc.collect()
    gc.freeze()
    birth = Nursery(control).tend()
    if birth is None:
        os._exit(0)
    rename(f"wt-{birth.order.worker}")
    _settle(birth.order, home)
    begin(socket.socket(fileno=birth.connection), birth.order.worker, birth.life)


if __name__ == "__main__":
    main()
