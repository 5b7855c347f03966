"""User code in a fresh process, with limits on time and memory; it dies with its parent.

A plan is somebody's program. It may loop for ever, fill the memory, end the interpreter or print without end; none of that may reach the
worker. `child` is the other side.
"""

from __future__ import annotations

import math
import os
import re
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from wichtel.domain import PlanError, SystemFault, WichtelError
from wichtel.domain.errors import from_json
from wichtel.domain.failure import log_end
from wichtel.plans.memory import ProcessTree
from wichtel.plans.tree import SourceTree

#: What is kept of a child's output, from its end.
OUTPUT_BYTES = 64 * 2**10
#: How often time and memory are looked at.
POLL_SECONDS = 0.05

_START = "import sys; from wichtel.plans.child import main; main(*sys.argv[1:])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """How a fresh process ended."""

    #: What the entry returned, as plain JSON.
    result: Any
    #: The last 64 KiB of standard output and error.
    output: str
    seconds: float
    #: Largest sum of the resident memory of the process and its descendants that was seen, polled every 50 ms.
    peak_memory_bytes: int


def run_fresh(
    entry: str,
    payload: dict[str, Any],
    *,
    seconds: float,
    tree: SourceTree | None = None,
    memory_bytes: int | None = None,
    cpus: float = 1.0,
    on_report: Callable[[int, dict[str, float]], None] | None = None,
    scratch: Path | None = None,
    doing: str = "loading the plan",
    limit: str = "limits.load_seconds",
) -> Fresh:
    """Run ``module:function`` as ``function(payload, child)`` in a fresh interpreter; see `child.Child` for what it can do.

    Args:
        entry: A function that is installed, not one of the plan.
        payload: Plain values.
        seconds: Time limit of the first phase, that is, of everything unless the child begins another.
        tree: Written out; its folder is the working directory and comes first on the import path.
        memory_bytes: Limit on the resident memory of the process and its descendants.
        cpus: How many threads numerical libraries are told to use.
        on_report: Called for each of the child's reports, as they come. What it raises ends the child and is passed on.
        scratch: Where to put the folders of the child; the system's temporary folder if None.
        doing: The first phase in words, and
        limit: the name of its limit, for the error.

    Raises:
        PlanError: over a limit, or the child ended without a result.
        WichtelError: what the entry raised.
        SystemFault: the child was killed by somebody else, or the entry raised something that is not the plan's doing.
    """
    folder = Path(tempfile.mkdtemp(prefix="plan-", dir=scratch)).resolve()
    run = _Run(folder=folder, deadline=time.monotonic() + seconds, seconds=seconds, doing=doing, limit=limit, memory=memory_bytes)
    try:
        _write(tree, folder)
        return run.carry_out(entry, payload, _environment(cpus), on_report)
    except WichtelError as error:
        if run.output:
            error.evidence.setdefault("log", log_end(run.text()))
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(tree: SourceTree | None, folder: Path) -> None:
    try:
        for name in ("tree", "scratch"):
            (folder / name).mkdir()
        if tree is not None:
            tree.write_to(folder / "tree")
    except OSError as error:
        raise SystemFault(f"the plan's files could not be written: {error.strerror}.", where=str(folder)) from error


def _environment(cpus: float) -> dict[str, str]:
    threads = str(max(1, math.ceil(cpus)))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wichtel" / "jax"
    defaults = {
        "KERAS_BACKEND": "jax",
        # Trials compile the same functions again and again.
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "POLARS_MAX_THREADS": threads,
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
    }
    if threads == "1":
        defaults["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    # Settings of the service, passwords among them, are none of a plan's business.
    return {**defaults, **{name: value for name, value in os.environ.items() if not name.startswith("WICHTEL_")}}


@dataclass(slots=True, kw_only=True)
class _Run:
    folder: Path
    deadline: float
    seconds: float
    doing: str
    limit: str
    memory: int | None
    received: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)
    peak: int = 0

    def carry_out(
        self, entry: str, payload: dict[str, Any], environment: dict[str, str], on_report: Callable[[int, dict[str, float]], None] | None
    ) -> Fresh:
        request = {"entry": entry, "payload": payload, "folder": str(self.folder / "tree"), "scratch": str(self.folder / "scratch")}
        (self.folder / "request").write_bytes(msgspec.msgpack.encode({**request, "stack": str(self.folder / "stack")}))
        reply, reply_child = os.pipe()
        started = time.monotonic()
        try:
            # -P: no file of the plan may stand in for a module that the child itself needs.
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, str(self.folder / "request"), str(reply_child), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(reply_child,),
                env=environment,
                cwd=self.folder / "tree",
                start_new_session=True,
            )
        except OSError as error:
            os.close(reply)
            raise SystemFault(f"no process could be started: {error}.") from error
        finally:
            os.close(reply_child)
        processes = ProcessTree(process.pid)
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector, os.fdopen(reply, "rb", buffering=0) as pipe, process.stdout as output:
            selector.register(pipe, selectors.EVENT_READ, self.received)
            selector.register(output, selectors.EVENT_READ, self.output)
            try:
                while True:
                    ended = process.poll() is not None
                    quiet = self._read(selector)
                    message = self._next_message()
                    while message is not None:
                        if message[0] == "result":
                            result = message[1]
                            # What it printed before it ended is in the pipe by now.
                            self._read(selector, timeout=0)
                            elapsed = time.monotonic() - started
                            return Fresh(result=result, output=self.text(), seconds=elapsed, peak_memory_bytes=self.peak)
                        if message[0] == "error":
                            self._read(selector, timeout=0)
                            raise from_json(message[1])
                        if message[0] == "phase":
                            _, self.doing, self.seconds, self.limit = message
                            self.deadline = time.monotonic() + self.seconds
                        elif on_report is not None:
                            on_report(message[1], message[2])
                        message = self._next_message()
                    if ended and quiet:
                        raise self._died(process.returncode)
                    self._check_limits(process.pid, processes, ended)
            finally:
                processes.kill()
                process.wait()

    def _read(self, selector: selectors.BaseSelector, timeout: float = POLL_SECONDS) -> bool:
        """Take what is there; whether there was nothing."""
        events = selector.select(timeout) if selector.get_map() else []
        for key, _ in events:
            data = os.read(key.fd, 2**18)
            key.data.extend(data)
            if not data:
                selector.unregister(key.fileobj)
        if len(self.output) > 2 * OUTPUT_BYTES:
            del self.output[:-OUTPUT_BYTES]
        if not selector.get_map():
            # Both ends are closed: the process is ending.
            time.sleep(timeout)
        return not events

    def _next_message(self) -> list[Any] | None:
        if len(self.received) < 4:
            return None
        (size,) = struct.unpack_from(">I", self.received)
        if len(self.received) < 4 + size:
            return None
        message: list[Any] = msgspec.msgpack.decode(bytes(self.received[4 : 4 + size]))
        del self.received[: 4 + size]
        return message

    def _check_limits(self, pid: int, processes: ProcessTree, ended: bool) -> None:
        used = processes.resident_bytes()
        self.peak = max(self.peak, used)
        if self.memory is not None and used > self.memory:
            raise PlanError(
                f"{self.doing} used {used / 2**20:,.0f} MiB of memory; the limit is {self.memory / 2**20:,.0f} MiB.",
                where=self._stands_at(pid, ended) or "job.toml: resources.memory",
                hint="Use less, or raise resources.memory in job.toml.",
            )
        if time.monotonic() > self.deadline:
            raise PlanError(
                f"{self.doing} did not end within {self.seconds:g} seconds.",
                where=self._stands_at(pid, ended),
                hint=f"Does it loop for ever, or wait for something? The limit is {self.limit} in job.toml.{self._tail()}",
            )

    def _stands_at(self, pid: int, ended: bool) -> str | None:
        """The line of the plan that is being carried out, if the process still answers."""
        if ended:
            return None
        stack = self.folder / "stack"
        if not stack.exists():
            return None
        os.kill(pid, signal.SIGUSR1)
        frames: list[str] = []
        for _ in range(10):
            time.sleep(0.02)
            frames = re.findall(rf'File "{re.escape(str(self.folder / "tree"))}/([^"]+)", line (\d+)', stack.read_text(errors="replace"))
            if frames:
                break
        return ":".join(frames[0]) if frames else None

    def _died(self, code: int) -> PlanError | SystemFault:
        if code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP):
            return SystemFault(
                f"the process was killed (signal {-code}) while {self.doing}.", hint=f"The system may be short of memory.{self._tail()}"
            )
        how = f"crashed with {signal.Signals(-code).name}" if code < 0 else f"ended the process (exit status {code})"
        return PlanError(f"{self.doing} {how} without a result.", hint=f"A plan only builds a model.{self._tail()}")

    def text(self) -> str:
        """What the process printed, the end of it."""
        return self.output[-OUTPUT_BYTES:].decode(errors="replace")

    def _tail(self) -> str:
        last = " | ".join(line.strip() for line in self.text().splitlines()[-5:] if line.strip())
        return f" Its last output: {last[-500:]}" if last else ""
