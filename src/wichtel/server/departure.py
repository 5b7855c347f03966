"""The end of a process that was asked to stop: it comes in its time, whatever hangs.

A request that waits for a lock, a step that computes, a database that is silent: what is still under way then ends as by ``kill -9``, which
everything here survives, and which a supervisor would do next.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback

log = logging.getLogger(__name__)

#: Once requests have been answered, jobs and steps may take 10 seconds each, and workers meanwhile; the rest is for writing it down.
REST_SECONDS = 30.0
#: When all was stopped in order, threads whose results nobody waits for may end by themselves for so long.
LEFTOVERS_SECONDS = 3.0


def leave_within(seconds: float, *, code: int = 1) -> None:
    """Have the process end with `code` after `seconds` at the latest, and say in the log where its threads were."""
    timer = threading.Timer(seconds, _leave, (seconds, code))
    timer.name, timer.daemon = "wichtel-departure", True
    timer.start()


def _leave(seconds: float, code: int) -> None:
    frames = sys._current_frames()
    others = [t for t in threading.enumerate() if t.name != "wichtel-departure" and t.ident in frames]
    hung = [t for t in others if code or not t.daemon]
    stacks = "".join(f"\n{t.name}:\n{''.join(traceback.format_stack(frames[t.ident or 0]))}" for t in hung)
    log.warning("not ended after %g seconds, and left behind:%s", seconds, stacks)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
