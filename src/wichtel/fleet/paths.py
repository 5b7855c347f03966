"""Where a run's files are on the machine that carries it out."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from wichtel.domain import NotFound, StorageFailed

#: So much of a lost attempt's output stands in its run's error.
_TAIL_BYTES = 4 * 1024


def safe(run: str) -> str:
    """A run's id as a file name: readable, and different for different ids."""
    name = quote(run, safe="").replace(".", "%2E")
    return name if len(name) <= 150 else f"{name[:100]}-{hashlib.sha256(run.encode()).hexdigest()[:32]}"


def checkpoint_path(state_dir: Path, run: str) -> Path:
    """The directory for checkpoints of a run: one for all its attempts."""
    return state_dir / "checkpoints" / safe(run)


def copy_checkpoint(state_dir: Path, source: str, run: str) -> None:
    """Begin `run` with the kept checkpoint of `source`; does nothing if it has a checkpoint already.

    The copy appears as a whole or not at all, whenever the process is killed.

    Raises:
        NotFound: none is kept.
        StorageFailed: it cannot be copied.
    """
    target, kept = checkpoint_path(state_dir, run), checkpoint_path(state_dir, source)
    if target.exists():
        return
    if not kept.is_dir():
        hint = "A run's checkpoint is kept if its spec says keep_checkpoint, until it is forgotten."
        raise NotFound(f"there is no checkpoint of run {source!r} to begin with.", where=f"run {run!r}", hint=hint)
    # No run's name: those have no dots.
    copy = target.with_name(target.name + ".copy")
    try:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(kept, copy, symlinks=True)
        copy.rename(target)
    except OSError as error:  # also what copytree raises for several files at once
        raise StorageFailed(f"the checkpoint of run {source!r} cannot be copied: {error}.", where=f"run {run!r}") from error


def remove_checkpoint(state_dir: Path, run: str) -> None:
    """Remove a run's checkpoint, if there is one; what remains after a kill in the middle is no checkpoint."""
    path = checkpoint_path(state_dir, run)
    gone = path.with_name(path.name + ".gone")
    with suppress(OSError):
        shutil.rmtree(gone, ignore_errors=True)
        path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def scratch_path(state_dir: Path, run: str, attempt: int) -> Path:
    """The directory for an attempt's temporary files."""
    return state_dir / "scratch" / f"{safe(run)}.{attempt}"


def log_path(state_dir: Path, run: str, attempt: int) -> Path:
    """The file with an attempt's standard output and error. There is none if it wrote nothing."""
    return state_dir / "logs" / f"{safe(run)}.{attempt}.log"


def worker_log_path(state_dir: Path, worker: str) -> Path:
    """The file that a worker writes to now; it is given the attempt's name when that ends."""
    return state_dir / "workers" / f"{safe(worker)}.log"


def keep_log(state_dir: Path, worker: str, run: str, attempt: int) -> str:
    """A worker is gone: what it wrote last is the log of the attempt it was at, if any (`run` not empty). Return the log's end."""
    path = worker_log_path(state_dir, worker)
    if not path.exists():
        return ""
    if not (run and path.stat().st_size):
        path.unlink()
        return ""
    log = log_path(state_dir, run, attempt)
    log.parent.mkdir(parents=True, exist_ok=True)
    path.rename(log)
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return file.read().decode("utf-8", "replace")
