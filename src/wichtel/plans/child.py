"""The inside of a fresh process; `fresh.run_fresh` is the outside.

Messages to the parent are msgpack, each after its length in 4 bytes, big-endian: ``["report", step, metrics]``,
``["phase", doing, seconds, limit]``, and at the end ``["result", value]`` or ``["error", json]``.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import os
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, cast

import msgspec

from wichtel.domain import InvalidInput, SystemFault, WichtelError
from wichtel.plans.blame import blame

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(slots=True)
class Child:
    """What an entry gets as its second argument."""

    #: The plan's files, which are also the working directory. An empty folder if no plan was given.
    folder: Path
    #: For files of its own; removed at the end.
    scratch: Path
    _reply: int
    _lock: Lock = field(default_factory=Lock)

    def report(self, step: int, **metrics: float) -> None:
        """Send measurements to the parent. It does not wait: a parent that wants to stop kills this process."""
        self._send(["report", int(step), {name: float(value) for name, value in metrics.items()}])

    def phase(self, doing: str, *, seconds: float, limit: str) -> None:
        """Begin a new phase with a time limit of its own, from now.

        Args:
            doing: For the error, such as ``"training"``.
            seconds: Its limit.
            limit: The limit's name in ``job.toml``, such as ``"limits.train_seconds"``.
        """
        self._send(["phase", doing, float(seconds), limit])

    def _send(self, message: list[Any]) -> None:
        packed = msgspec.msgpack.encode(message, enc_hook=_plain)
        data = memoryview(struct.pack(">I", len(packed)) + packed)
        with self._lock:
            while data:
                data = data[os.write(self._reply, data) :]


def main(request_file: str, reply: str, parent: str) -> None:
    """Carry out the request that `request_file` holds, answer on the file descriptor `reply`. The parent ends the process."""
    # The kernel kills this process when the thread that started it ends; a parent that is gone already sends no signal.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        os._exit(1)
    os.set_inheritable(int(reply), False)
    # Daemons that user code starts stay below this process, where the parent finds and kills them.
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # Under memory pressure the kernel should take this process rather than the service that started it.
    Path("/proc/self/oom_score_adj").write_text("500")
    request = msgspec.msgpack.decode(Path(request_file).read_bytes())
    child = Child(folder=Path(request["folder"]), scratch=Path(request["scratch"]), _reply=int(reply))
    # The parent asks with this signal where a process stands that has used up its time.
    with Path(request["stack"]).open("w") as stack:
        faulthandler.register(signal.SIGUSR1, file=stack, all_threads=True)
        os.chdir(child.folder)
        sys.path.insert(0, str(child.folder))
        try:
            result = _load(request["entry"])(request["payload"], child)
            with contextlib.suppress(OSError, ValueError, AttributeError):
                sys.stdout.flush()
                sys.stderr.flush()
            child._send(["result", result])
        except WichtelError as error:
            if error.__cause__ is not None:
                _show(error.__cause__, child.folder)
            child._send(["error", error.to_json()])
        except BaseException as error:  # noqa: BLE001 - it is the parent's to judge
            _show(error, child.folder)
            child._send(["error", _describe(error, child.folder).to_json()])
    # Not sys.exit(): threads and exit handlers of user code have no say any more, and the parent kills all that stems from here.
    while True:
        signal.pause()


def _load(entry: str) -> Callable[[dict[str, Any], Child], Any]:
    module, _, name = entry.partition(":")
    try:
        return cast("Callable[[dict[str, Any], Child], Any]", getattr(importlib.import_module(module), name))
    except (ImportError, AttributeError) as error:
        raise InvalidInput(f"there is no {entry!r}: {error}.", hint="An entry is 'module:function'.") from error


def _show(error: BaseException, folder: Path) -> None:
    """Print the traceback, from the plan's code on if it has a part in it: what is printed is the end of the run's log."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        told = traceback.TracebackException.from_exception(error)
        first = next((i for i, frame in enumerate(told.stack) if Path(frame.filename).is_relative_to(folder)), 0)
        told.stack = traceback.StackSummary.from_list(told.stack[first:])
        sys.stdout.flush()
        sys.stderr.write("".join(told.format()).replace(f"{folder}/", ""))
        sys.stderr.flush()


def _describe(error: BaseException, folder: Path) -> WichtelError:
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SystemExit | MemoryError) or any(Path(f.filename).is_relative_to(folder) for f in frames):
        return blame(error, folder, doing="the plan")
    last = frames[-1] if frames else None
    tail = "".join(traceback.format_exception(error))[-2000:]
    return SystemFault(
        f"{type(error).__name__}: {error}", where=f"{last.filename}:{last.lineno}" if last else None, hint=f"Traceback: {tail}"
    )


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 1) == 1:
        return item()
    raise TypeError(f"an entry's result is plain JSON; it has a {type(value).__name__}")
