"""Where a run's files are on the machine that carries it out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote


def safe(run: str) -> str:
    """A run's id as a file name: readable, and different for different ids."""
    name = quote(run, safe="").replace(".", "%2E")
    return name if len(name) <= 150 else f"{name[:100]}-{hashlib.sha256(run.encode()).hexdigest()[:32]}"


def checkpoint_path(state_dir: Path, run: str) -> Path:
    """The directory for checkpoints of a run: one for all its attempts."""
    return state_dir / "checkpoints" / safe(run)


def scratch_path(state_dir: Path, run: str, attempt: int) -> Path:
    """The directory for an attempt's temporary files."""
    return state_dir / "scratch" / f"{safe(run)}.{attempt}"


def log_path(state_dir: Path, run: str, attempt: int) -> Path:
    """The file with an attempt's standard output and error. There is none if it wrote nothing."""
    return state_dir / "logs" / f"{safe(run)}.{attempt}.log"


def worker_log_path(state_dir: Path, worker: str) -> Path:
    """The file that a worker writes to now; it is given the attempt's name when that ends."""
    return state_dir / "workers" / f"{safe(worker)}.log"


def keep_log(state_dir: Path, worker: str, run: str, attempt: int) -> None:
    """A worker is gone: what it wrote last is the log of the attempt it was at, if any (`run` not empty)."""
    path = worker_log_path(state_dir, worker)
    if not path.exists():
        return
    if run and path.stat().st_size:
        log = log_path(state_dir, run, attempt)
        log.parent.mkdir(parents=True, exist_ok=True)
        path.rename(log)
    else:
        path.unlink()
