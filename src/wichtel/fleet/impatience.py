"""How long the threads of this process keep the interpreter's lock from one another."""

from __future__ import annotations

import sys
import threading

#: Python's own is 5 ms, which is as long as many a trial.
_SECONDS = 0.0005


class Impatience:
    """Lets threads have the interpreter soon while anybody is inside: workers wait for the one of the controller.

    It concerns the whole process, which is as it was before when the last one has left.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(self._before, _SECONDS))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                sys.setswitchinterval(self._before)


#: Of this process.
impatience = Impatience()
