"""How a step's failure is kept: as JSON, with its classification."""

from __future__ import annotations

import traceback
from concurrent.futures import thread
from types import TracebackType
from typing import Any

from wichtel.domain.errors import SystemFault, WichtelError

#: Lines kept of the traceback of an exception that nobody raised on purpose.
_TRACEBACK_LINES = 30


class StepFailed(Exception):
    """Carries a failure, as JSON, from the step through the database to the workflow's status."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.error = error


def to_json(error: BaseException, step: str | None = None) -> dict[str, Any]:
    """The failure of `step` as plain JSON: see `WorkflowStatus.error`."""
    if isinstance(error, StepFailed):
        return error.error
    if isinstance(error, WichtelError):
        return {**error.to_json(), "step": step}
    wrapped = SystemFault(f"{type(error).__name__}: {error}", where=f"step {step!r}" if step else None)
    lines = "".join(traceback.format_exception(type(error), error, _from_the_body_on(error.__traceback__))).splitlines()
    return {**wrapped.to_json(), "step": step, "traceback": "\n".join(lines[-_TRACEBACK_LINES:])}


def _from_the_body_on(frames: TracebackType | None) -> TracebackType | None:
    """Leave out how the body came to be called; that is the same every time."""
    here = frames
    while here is not None:
        if here.tb_frame.f_code.co_filename == thread.__file__:
            return here.tb_next
        here = here.tb_next
    return frames
