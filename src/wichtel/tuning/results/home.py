"""Where a study lives: its database, and the folder of its artifacts and checkpoints."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from wichtel.domain import InvalidInput, Measurement, StorageFailed
from wichtel.tuning.study.log import owner_of, place_of

if TYPE_CHECKING:
    from wichtel.store import Artifacts

#: Where studies with a name are kept, unless a store is given.
KEPT = Path(".wichtel")

#: How often the lock of a study is asked for.
_TRIES = 3

#: Bytes of a file's name, most of whose special characters take three.
_LONGEST = 255


class Home:
    """A study's database and folder. Of a study without a name they are temporary, and removed with the last reference to this.

    Args:
        url: The database.
        folder: Holds artifacts and checkpoints.
        temporary: Remove `folder` when nobody refers to this any more, and at the latest when the process ends.
    """

    def __init__(self, url: str, folder: Path, *, temporary: bool = False) -> None:
        self.url = url
        self.folder = folder
        if temporary:
            weakref.finalize(self, _remove, folder, os.getpid())

    def __repr__(self) -> str:
        return f"Home({self.url!r}, {str(self.folder)!r})"

    @classmethod
    def temporary(cls) -> Home:
        """One for a study that nobody comes back to."""
        folder = Path(tempfile.mkdtemp(prefix="wichtel-"))
        return cls(url_in(folder), folder, temporary=True)

    @classmethod
    def of(cls, name: str) -> Home:
        """That of the study with this name: a database of its own, so that it runs whatever else is served or tuned beside it."""
        folder = folder_of(name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            hint = "Call it from another directory, or give a store."
            raise StorageFailed(f"the study {name!r} cannot be kept: {error.strerror}.", where=str(folder), hint=hint) from error
        return cls(url_in(folder), folder)

    @property
    def state_dir(self) -> Path:
        """Where the fleet keeps checkpoints and logs. Stores that share a folder have one each: their fleets and studies are not one."""
        if self.url == url_in(self.folder):
            return self.folder / "fleet"
        parts = urlsplit(self.url)
        # Without the password, which may change.
        place = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
        return self.folder / "fleets" / hashlib.sha256(place.encode()).hexdigest()[:16]

    @property
    def artifacts_url(self) -> str:
        """Where artifacts are."""
        return str(self.folder / "artifacts")

    @property
    def artifacts(self) -> Artifacts:
        """The artifacts that trials returned: ``home.artifacts.fetch(trial.artifacts["model"], path)``."""
        from wichtel.store import Artifacts

        return Artifacts(self.artifacts_url)

    def measurements(self, study_id: str) -> dict[int, list[Measurement]]:
        """What the trials of a study reported: trial's number → its measurements, run by run, each run's in the order of steps."""
        from wichtel.store import Database

        found: dict[int, list[Measurement]] = {}
        db = Database.open(self.url)
        try:
            with db.read() as tx:
                for measurement in tx.measurements.curves(owner_of(study_id)):
                    place = place_of(study_id, measurement.run)
                    if place is not None:
                        found.setdefault(place[0], []).append(measurement)
        finally:
            db.close()
        return found

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keep other processes from running the study meanwhile.

        Raises:
            InvalidInput: one does.
        """
        with (self.folder / "lock").open("a+") as lock:
            for left in reversed(range(_TRIES)):
                try:
                    # The system gives it back however the process ends.
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if left:
                        # Whoever only looks has it for a moment.
                        time.sleep(0.05)
                        continue
                    hint = "Wait for it, or choose another name."
                    raise InvalidInput(f"another process is running the study {name!r}.", where=str(self.folder), hint=hint) from error
            # For whoever wants to stop it. Not before the lock is held: another's number would be lost.
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield


def check_name(name: str | None) -> None:
    """Raise `InvalidInput` unless a study may be called that; None for a study without a name."""
    if name is None:
        return
    try:
        length = len(quote(name, safe=""))
    except (TypeError, UnicodeEncodeError):
        length = 0
    if not 0 < length <= _LONGEST:
        hint = f"Choose one that does as the name of a file, of at most {_LONGEST} bytes."
        raise InvalidInput(f"{name!r:.100} is no name of a study.", where="name", hint=hint)


def id_of(name: str) -> str:
    """The id of the study of this name: without a slash, so that none of its trials has the id of another study's."""
    return name.replace("%", "%25").replace("/", "%2F")


def folder_of(name: str) -> Path:
    """The folder of the study that is kept under this name, whether there is one or not."""
    check_name(name)
    safe = quote(name, safe="")
    # These two are places, not names.
    return KEPT.absolute() / "studies" / (safe.replace(".", "%2E") if safe in (".", "..") else safe)


def url_in(folder: Path) -> str:
    """The database of the study that lives in a folder."""
    # What looks like an escape in a URL is read as one; a name with a slash has some.
    return f"sqlite:///{str(folder / 'study.db').replace('%', '%25')}"


def _remove(folder: Path, process: int) -> None:
    # A child that was forked has the reference, but not the right.
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
