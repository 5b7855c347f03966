"""Process trees, from /proc. On systems without it a tree is its root alone and its memory unknown (0)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(root: int) -> list[int]:
    """All processes below `root`, without it."""
    parents: dict[int, list[int]] = {}
    if not _PROC.is_dir():
        return []
    for entry in os.listdir(_PROC):  # noqa: PTH208 - some hundred of them, several times a second
        if entry.isdigit():
            with suppress(OSError, ValueError, IndexError):
                stat = (_PROC / entry / "stat").read_text("utf-8", "replace")
                # The name, in parentheses, may hold anything; after its end come the state and the parent.
                parents.setdefault(int(stat[stat.rindex(")") + 2 :].split()[1]), []).append(int(entry))
    found: list[int] = []
    waiting = [root]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of one process; 0 if it is gone."""
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def tree_bytes(root: int) -> int:
    """Resident memory of a process and all below it."""
    return sum(resident_bytes(pid) for pid in (root, *descendants(root)))
