"""Functions for runs, each with one habit, good or bad: for tests of engines."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from wichtel.domain import InvalidInput, SystemFault
from wichtel.fleet import RunContext, Stopped


def echo(payload: dict[str, Any], context: RunContext) -> dict[str, Any]:
    """Return the payload, and what else it was called with."""
    return {"payload": payload, "run": context.run_id, "attempt": context.attempt, "seed": context.seed}


def nothing(payload: dict[str, Any], context: RunContext) -> None:
    """Return at once."""


def devices(payload: dict[str, Any], context: RunContext) -> list[int]:
    """Sleep for `seconds`, if given; return the graphics processors."""
    time.sleep(payload.get("seconds", 0.0))
    return list(context.devices)


def looks_around(payload: dict[str, Any], context: RunContext) -> dict[str, Any]:
    """Sleep for `seconds`, if given; return what the process has of its own, and of the variables `names` and the `modules`."""
    time.sleep(payload.get("seconds", 0.0))
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "directory": str(Path.cwd()),
        "path": sys.path,
        "environment": {name: os.environ.get(name) for name in payload.get("names", ())},
        "modules": [name for name in payload.get("modules", ()) if name in sys.modules],
        "descriptors": sorted(_open_files()),
        "random": random.random(),
    }


def _open_files() -> Iterator[str]:
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the folder itself
            yield str(entry.readlink())


def curve(payload: dict[str, Any], context: RunContext) -> int:
    """Report `steps` times the step as metric ``x``, with a pause of `seconds` between; return the last step."""
    for step in range(payload["steps"]):
        context.report(step, x=step)
        time.sleep(payload.get("seconds", 0.0))
    return int(payload["steps"]) - 1


def curve_caught(payload: dict[str, Any], context: RunContext) -> str:
    """Like `curve`, but return a value also when it is stopped."""
    try:
        curve(payload, context)
    except Stopped as stop:
        return f"stopped: {stop.reason}"
    return "to the end"


def odd_metrics(payload: dict[str, Any], context: RunContext) -> None:
    """Report what is no finite number."""
    context.report(1, x=float("nan"), y=float("inf"))


def backwards(payload: dict[str, Any], context: RunContext) -> None:
    """Report a step twice."""
    context.report(1, x=1.0)
    context.report(1, x=1.0)


def far(payload: dict[str, Any], context: RunContext) -> None:
    """Report a step that no database holds."""
    context.report(2**63, x=1.0)


def raises(payload: dict[str, Any], context: RunContext) -> NoReturn:
    """Divide by zero."""
    raise ZeroDivisionError("by nought")


def refuses(payload: dict[str, Any], context: RunContext) -> NoReturn:
    """Complain about the input."""
    raise InvalidInput("that is no good.", where="payload", hint="Give another.")


def faulty(payload: dict[str, Any], context: RunContext) -> int:
    """Fail for no reason of the user's, until attempt `until`; return the attempt."""
    if context.attempt < payload["until"]:
        raise SystemFault("the weather is bad.")
    return context.attempt


def interrupted(payload: dict[str, Any], context: RunContext) -> None:
    """Be interrupted as by ctrl-C, until attempt `until`."""
    if context.attempt < payload["until"]:
        raise KeyboardInterrupt


def exits(payload: dict[str, Any], context: RunContext) -> NoReturn:
    """Call ``sys.exit``."""
    sys.exit(3)


def vanishes(payload: dict[str, Any], context: RunContext) -> int:
    """Print `text`, if given, and call ``os._exit``, until attempt `until`; return the attempt."""
    if "text" in payload:
        print(payload["text"])  # noqa: T201
    if context.attempt < payload.get("until", 1_000_000):
        os._exit(7)
    return context.attempt


def killed(payload: dict[str, Any], context: RunContext) -> int:
    """Kill its own process, until attempt `until`; return the attempt."""
    if context.attempt < payload["until"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return context.attempt


def sleeps(payload: dict[str, Any], context: RunContext) -> int:
    """Sleep for `seconds` without a report; leave a file `mark`, if named, when it begins; return the attempt."""
    if payload.get("mark"):
        Path(payload["mark"]).write_text(str(os.getpid()))
    time.sleep(payload["seconds"])
    return context.attempt


def seizes(payload: dict[str, Any], context: RunContext) -> None:
    """Sleep in native code that holds the interpreter's lock."""
    Path(payload["mark"]).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(payload["seconds"])


def hogs(payload: dict[str, Any], context: RunContext) -> int:
    """Take `bytes` of memory, little by little."""
    taken = []
    for _ in range(payload["bytes"] // 2**22):
        taken.append(b"x" * 2**22)
        time.sleep(0.005)
    time.sleep(1.0)
    return len(taken)


def forks(payload: dict[str, Any], context: RunContext) -> None:
    """Leave children behind, forked and spawned, their numbers in the file `mark`; then vanish if `vanish`."""
    spawned = subprocess.Popen(["sleep", "600"])
    forked = os.fork()
    if forked == 0:
        time.sleep(600)
        os._exit(0)
    Path(payload["mark"]).write_text(f"{spawned.pid} {forked}")
    if payload.get("vanish"):
        os._exit(1)
    if payload.get("seconds"):
        time.sleep(payload["seconds"])
    return


def forks_and_returns(payload: dict[str, Any], context: RunContext) -> str:
    """Fork, and let parent and child both return."""
    return "parent" if os.fork() else "child"


def prints(payload: dict[str, Any], context: RunContext) -> None:
    """Print `bytes` bytes."""
    line = "x" * 1023
    for _ in range(payload["bytes"] // 1024):
        print(line)  # noqa: T201


def checkpoints(payload: dict[str, Any], context: RunContext) -> list[Any]:
    """Count in a file under `checkpoint_path`; vanish after counting to `vanish` in the first attempt."""
    file = context.checkpoint_path / "count"
    begun = int(file.read_text()) if context.resume else 0
    for count in range(begun, payload["to"]):
        file.write_text(str(count + 1))
        if context.attempt == 1 and count + 1 == payload.get("vanish"):
            os._exit(1)
    return [context.resume, begun, int(file.read_text())]


def scratches(payload: dict[str, Any], context: RunContext) -> str:
    """Leave a file in the scratch directory; return the directory, or with `vanish`, end the process."""
    (context.scratch / "file").write_text("x")
    if payload.get("vanish"):
        os._exit(1)
    return str(context.scratch)


def no_json(payload: dict[str, Any], context: RunContext) -> object:
    """Return what is not JSON."""
    return object()


def no_json_keys(payload: dict[str, Any], context: RunContext) -> dict[Any, int]:
    """Return a table whose keys are no strings."""
    return {(1, 2): 3}
