"""What a run prints: kept in a file of bounded size."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from wichtel.fleet import paths


class Output:
    """Standard output and error of a worker, as files: one that is written to, renamed after each run that wrote something.

    Args:
        limit: Bytes of a run's output that are kept; the beginning counts, since a failure's end is in its error.
    """

    def __init__(self, state_dir: Path, worker: str, limit: int) -> None:
        self._state_dir = state_dir
        self._path = paths.worker_log_path(state_dir, worker)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._limit = limit
        self._lock = threading.Lock()
        self._full = False
        self._file = -1
        self._open()
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]

    def _open(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        os.dup2(self._file, 1)
        os.dup2(self._file, 2)
        self._full = False

    def bound(self) -> None:
        """Let the rest go nowhere once there is enough; call it now and then."""
        with self._lock:
            if not self._full and os.fstat(self._file).st_size > self._limit:
                self._full = True
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                os.dup2(nowhere, 2)
                os.close(nowhere)
                self._cut()

    def keep(self, run: str, attempt: int) -> None:
        """The run ended: give its output its name, and begin anew."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with self._lock:
            size = os.fstat(self._file).st_size
            if size == 0:
                return
            if size > self._limit:
                self._cut()
            path = paths.log_path(self._state_dir, run, attempt)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._path.rename(path)
            self._open()

    def _cut(self) -> None:
        if os.fstat(self._file).st_size > self._limit + 100:
            os.ftruncate(self._file, self._limit)
            os.write(self._file, f"\n… cut off here: more than {self._limit:,} bytes.\n".encode())
