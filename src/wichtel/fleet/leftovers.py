"""Files of runs that nobody needs any more, on the machine of a controller."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from wichtel.fleet.paths import safe

#: What is no run's, such as half a copy, is left for so long: somebody may be at it.
_ODD_SECONDS = 86_400.0


def sweep(state_dir: Path, living: Collection[str], *, log_seconds: float, checkpoint_seconds: float, dry: bool = False) -> dict[str, int]:
    """Delete old logs, the checkpoints of runs that are over, and the scratch files of attempts that died with their machine.

    Args:
        state_dir: Of the fleet.
        living: Ids of the runs that have not ended, or whose checkpoint another may still begin with.
        log_seconds: Logs are kept so long after they were last written.
        checkpoint_seconds: Checkpoints likewise.
        dry: Delete nothing, only count.

    Returns:
        How many ``logs``, ``checkpoints`` and ``scratch`` folders went, and their ``bytes``.
    """
    names = {safe(run) for run in living}
    counts = {"logs": 0, "checkpoints": 0, "scratch": 0, "bytes": 0}
    for path in _old(state_dir / "logs", log_seconds):
        _count(counts, "logs", path, dry)
    for path in _old(state_dir / "checkpoints", min(checkpoint_seconds, _ODD_SECONDS)):
        # Runs' names have no dots; what has one was being copied or removed when its process died.
        age = _ODD_SECONDS if "." in path.name else checkpoint_seconds
        if path.name not in names and _idle(path) >= age:
            _count(counts, "checkpoints", path, dry)
    for path in _old(state_dir / "scratch", _ODD_SECONDS):
        if path.name.rpartition(".")[0] not in names:
            _count(counts, "scratch", path, dry)
    return counts


def _old(folder: Path, seconds: float) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if _idle(path) >= seconds] if folder.is_dir() else []


def _idle(path: Path) -> float:
    """Seconds since it was last written; 0 if it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _count(counts: dict[str, int], kind: str, path: Path, dry: bool) -> None:
    with suppress(FileNotFoundError):
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
        counts["bytes"] += sum(file.stat().st_size for file in files)
    counts[kind] += 1
    if dry:
        return
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
