"""A process and its descendants, as ``/proc`` shows them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
#: How often new descendants are looked for; reading every process's parent is slower than reading a few sizes.
_SCAN_SECONDS = 0.5


class ProcessTree:
    """The leader of a session, `pid`, and every process that stems from it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._members: set[int] = {pid}
        self._scanned = 0.0

    def resident_bytes(self) -> int:
        """The sum of their resident memory. Pages that several share count once for each."""
        if time.monotonic() - self._scanned > _SCAN_SECONDS:
            self._scan()
        return sum(map(_resident_bytes, self._members))

    def kill(self) -> None:
        """Kill them all, those too that have left the process group."""
        self._scan()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in self._members - {self.pid}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _scan(self) -> None:
        parents: dict[int, int] = {}
        session: set[int] = set()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError, ValueError, IndexError):
                # After the command's name, which may hold anything, even brackets: state, parent, group, session.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
                if int(fields[3]) == self.pid:
                    session.add(int(entry.name))
        members = {self.pid} | session
        grown = True
        while grown:
            found = {pid for pid, parent in parents.items() if parent in members} - members
            members |= found
            grown = bool(found)
        self._members = members
        self._scanned = time.monotonic()


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
