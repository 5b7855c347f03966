"""Studies that are kept under their names, and who runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

from wichtel.domain import NotFound, did_you_mean
from wichtel.store import Database
from wichtel.tuning.home import KEPT, Home, url_in
from wichtel.tuning.result import StudyResult


def kept_studies() -> list[str]:
    """The names of the studies under ``./.wichtel``, the one that was changed last first."""
    folder = KEPT.absolute() / "studies"
    found = [place for place in folder.iterdir() if (place / "study.db").exists()] if folder.is_dir() else []
    found.sort(key=lambda place: (-_changed(place), place.name))
    return [unquote(place.name) for place in found]


def load_study(name: str, store: str | None = None) -> StudyResult:
    """A study that was given a name, as far as it has come; it may be running.

    Args:
        name: What `tune` was given.
        store: The database that `tune` was given, if it was given one.

    Raises:
        NotFound: there is no study of that name.
    """
    home = home_of(name, store)
    with opened(home) as db, db.read() as tx:
        study = tx.studies.by_name(name)
        if study is None:
            names = [s.spec.name for s in tx.studies.list()]
            raise NotFound(f"there is no study {name!r}.", where=db.url, hint=did_you_mean(name, names))
        return StudyResult(study=study, trials=tx.trials.of_study(study.spec.id), home=home)


def home_of(name: str, store: str | None = None) -> Home:
    """Where a study of that name is kept.

    Raises:
        NotFound: there is no such place.
    """
    if store is not None:
        return Home(store, KEPT.absolute())
    folder = KEPT.absolute() / "studies" / quote(name, safe="")
    if not (folder / "study.db").exists():
        raise NotFound(f"there is no study {name!r}.", where=str(folder.parent), hint=did_you_mean(name, kept_studies()))
    return Home(url_in(folder), folder)


@contextmanager
def opened(home: Home) -> Iterator[Database]:
    """The database of a home."""
    db = Database.open(home.url, upgrade=home.url.startswith("sqlite"))
    try:
        yield db
    finally:
        db.close()


def runner_of(home: Home) -> int | None:
    """The process on this machine that runs the study of this home; None if none does."""
    import fcntl

    with suppress(OSError, ValueError), (home.folder / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            process = int(lock.read().split()[0])
            return process if process != os.getpid() else None
    return None


def _changed(place: Path) -> float:
    files = [place / "study.db-wal", place / "study.db"]
    return max(file.stat().st_mtime for file in files if file.exists())
