"""What a service leaves in its home: who serves it, and the first token for this machine's user."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from wichtel.domain import AlreadyExists, StorageFailed


@dataclass(frozen=True, slots=True)
class Serving:
    """The process that serves a home."""

    pid: int
    #: Where it listens; a path for a unix socket.
    url: str


class HomeLock:
    """Held by the one process that serves a home; the kernel lets go of it when the process ends, however it ends.

    Used as a context manager.

    Args:
        home: The folder; made if it is missing, readable by its owner only.
        url: Where the service will listen.

    Raises:
        AlreadyExists: on entry, if another process serves that home.
        StorageFailed: on entry, if it cannot be made or written.
    """

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.url = url
        self._file = -1

    def __enter__(self) -> Self:
        from wichtel.settings import make_home

        make_home(self.home)
        path = self.home / "serve.lock"
        try:
            # Never removed: whoever unlinks a lock file lets two processes hold it.
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageFailed(f"the home cannot be used: {error.strerror}.", where=str(path), hint="Choose another --home.") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            other = serving(self.home)
            whom = f" (process {other.pid}, {other.url})" if other else ""
            raise AlreadyExists(
                f"a service runs on this home already{whom}.",
                where=str(self.home),
                hint="Use it without --local, stop it, or choose another --home.",
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(asdict(Serving(os.getpid(), self.url))).encode(), 0)
        self._file = file
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)
        self._file = -1


def serving(home: Path) -> Serving | None:
    """What the holder of the lock wrote; None if there is none."""
    try:
        found = Serving(**json.loads((home / "serve.lock").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    try:
        # A process that was killed left its words behind. Asking for the lock would be surer, but might keep another from getting it.
        os.kill(found.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        # It lives, and is somebody else's.
        return found
    return found


def read_token(home: Path) -> str | None:
    """The token in the home, if there is one that this user may read."""
    try:
        return (home / "token").read_text().strip() or None
    except OSError:
        return None


def write_token(home: Path, token: str) -> Path:
    """Keep `token` for this machine's user; nobody else may read the file."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = home / "token"
    part = home / f"token.{os.getpid()}"
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w") as stream:
        stream.write(token + "\n")
    part.replace(path)
    return path
