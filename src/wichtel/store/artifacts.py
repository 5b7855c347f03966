"""Artifacts: bytes under the hash of their content, in a folder or at any URL that fsspec knows.

An artifact is there whole or not at all: it is written under another name and renamed when it is complete and, in a folder, on the disk.
Whoever puts the same bytes at the same time puts them twice under one name, which harms nobody.

Putting what is there makes it young again: whoever collects garbage deletes only what is old (`delete_old`), and so never what somebody
has put a moment ago and is about to refer to. In a folder that holds at any moment; elsewhere but for the time of one request, in which an
object store that keeps deleted versions is a safeguard.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from wichtel.domain import InvalidInput, NotFound, StorageFailed

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20
#: What was written elsewhere than in a folder less than this ago is young enough not to be written again.
_FRESH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Stored:
    """An artifact that is there."""

    digest: str
    bytes: int
    #: When it was last put, aware, UTC.
    put: datetime


class Artifacts:
    """A store of artifacts.

    Args:
        location: A folder, which is made when it is needed, or a URL such as ``s3://bucket/path`` or ``memory://name``.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = str(location)
        protocol, separator, _ = self.location.partition("://")
        if separator and protocol != "file":
            import fsspec

            try:
                self._remote, self._root = fsspec.core.url_to_fs(self.location)
            except (ValueError, ImportError) as error:
                raise InvalidInput(f"there is no way to reach it: {error}.", where=self.location) from error
            self._root = self._root.rstrip("/")
        else:
            self._remote = None
            self._root = str(Path(self.location.removeprefix("file://")).absolute())

    def put(self, content: bytes | Path) -> str:
        """Store bytes or the file at a path; return the digest, SHA-256 in 64 hexadecimal digits. Putting it again changes nothing.

        Raises:
            StorageFailed: the disk is full or the place cannot be written; nothing is left behind.
        """
        digest = _digest_of(content)
        with self._failures(f"artifact {digest[:12]}… was not written"):
            if not self._renew(self._path(digest)):
                self._write(content, self._path(digest))
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes.

        Raises:
            NotFound: there is no such artifact.
            StorageFailed: it cannot be read, or is not what was put there.
        """
        with self.open(digest) as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != digest:
            raise self._damaged(digest)
        return content

    @contextmanager
    def open(self, digest: str) -> Iterator[IO[bytes]]:
        """A file to read from; what is read is not compared with the digest.

        Raises:
            NotFound: there is no such artifact.
            StorageFailed: it cannot be read.
        """
        path = self._path(digest)
        with self._failures(f"artifact {digest[:12]}… cannot be read", digest=digest):
            file: IO[bytes] = Path(path).open("rb") if self._remote is None else self._remote.open(path, "rb")  # noqa: SIM115 -- closed below
        with file:
            yield file

    def fetch(self, digest: str, path: Path) -> None:
        """Copy it to `path`, which is there whole or not at all.

        Raises:
            NotFound: there is no such artifact.
            StorageFailed: it cannot be read or written, or is not what was put there; nothing is left behind.
        """
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            with self.open(digest) as source, self._failures(f"artifact {digest[:12]}… cannot be copied to {path}"):
                path.parent.mkdir(parents=True, exist_ok=True)
                with temporary.open("wb") as target:
                    copied = _copy(source, target)
                if copied != digest:
                    raise self._damaged(digest)
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def exists(self, digest: str) -> bool:
        """Whether it is there."""
        path = self._path(digest)
        if self._remote is None:
            return Path(path).exists()
        with self._failures("cannot look for artifacts"):
            return bool(self._remote.exists(path))

    def size(self, digest: str) -> int:
        """In bytes.

        Raises:
            NotFound: there is no such artifact.
        """
        path = self._path(digest)
        with self._failures(f"artifact {digest[:12]}… cannot be read", digest=digest):
            return Path(path).stat().st_size if self._remote is None else int(self._remote.size(path))

    def delete(self, digest: str) -> None:
        """Make it not be there."""
        path = self._path(digest)
        with self._failures(f"artifact {digest[:12]}… cannot be deleted"):
            if self._remote is None:
                Path(path).unlink(missing_ok=True)
            elif self._remote.exists(path):
                self._remote.rm_file(path)

    def list(self) -> Iterator[Stored]:
        """All that is there, in no order.

        Raises:
            StorageFailed: it cannot be read.
        """
        with self._failures("cannot look for artifacts"):
            for path, size, changed in self._walk():
                name = path.rpartition("/")[2]
                if _DIGEST.fullmatch(name):
                    yield Stored(name, size, changed)

    def delete_old(self, digest: str, before: datetime) -> bool:
        """Delete it if it was last put before a time; False if it is younger, or not there."""
        path = self._path(digest)
        with self._failures(f"artifact {digest[:12]}… cannot be deleted"):
            if self._remote is not None:
                changed = self._changed(path)
                if changed is None or changed >= before:
                    return False
                self._remote.rm_file(path)
                return True
            # Out of the way first: whoever puts it from now on writes it anew, and whoever did before has made it young.
            away = Path(f"{path}.{uuid.uuid4().hex}.gone")
            try:
                Path(path).rename(away)
            except FileNotFoundError:
                return False
            return self._settle(away, Path(path), before)

    def tidy(self, before: datetime) -> int:
        """Delete what killed writers left behind before a time, and finish what a killed `delete_old` began; return how many files."""
        count = 0
        with self._failures("cannot look for artifacts"):
            for path, _, changed in tuple(self._walk()):
                name = path.rpartition("/")[2]
                if name.endswith(".part") and changed < before:
                    if self._remote is None:
                        Path(path).unlink(missing_ok=True)
                    else:
                        self._remote.rm_file(path)
                    count += 1
                elif name.endswith(".gone") and self._remote is None:
                    self._settle(Path(path), Path(path).with_name(name.partition(".")[0]), before)
                    count += 1
        return count

    def _settle(self, away: Path, path: Path, before: datetime) -> bool:
        """Delete what was moved out of the way, or put it back if it is young after all."""
        if datetime.fromtimestamp(away.stat().st_mtime, UTC) >= before:
            away.replace(path)
            return False
        away.unlink(missing_ok=True)
        return True

    def _walk(self) -> Iterator[tuple[str, int, datetime]]:
        """Path, bytes and last change of every file."""
        if self._remote is None:
            for folder, _, names in os.walk(self._root):
                for name in names:
                    path = f"{folder}/{name}"
                    with suppress(FileNotFoundError):
                        found = Path(path).stat()
                        yield path, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC)
            return
        if not self._remote.exists(self._root):
            return
        for path in self._remote.find(self._root):
            changed = self._changed(path)
            if changed is not None:
                yield path, int(self._remote.size(path) or 0), changed

    def _changed(self, path: str) -> datetime | None:
        """When a remote file was last written; None if it is gone or the store does not say."""
        try:
            changed: datetime = self._remote.modified(path)
        except (FileNotFoundError, NotImplementedError):
            return None
        return changed.replace(tzinfo=UTC) if changed.tzinfo is None else changed.astimezone(UTC)

    def _renew(self, path: str) -> bool:
        """Make it young; False if it is not there, or has to be written again for that."""
        if self._remote is None:
            try:
                os.utime(path)
            except FileNotFoundError:
                return False
            return True
        if not self._remote.exists(path):
            return False
        changed = self._changed(path)
        return changed is None or datetime.now(UTC) - changed < _FRESH

    def _path(self, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise InvalidInput(f"{digest!r} is no artifact digest.", hint="It has 64 hexadecimal digits.")
        # Two levels, so that no folder holds millions of files.
        return f"{self._root}/{digest[:2]}/{digest[2:4]}/{digest}"

    def _write(self, content: bytes | Path, path: str) -> None:
        # Beside the final name, for a rename does not cross file systems; no reader takes it for an artifact.
        temporary = f"{path}.{uuid.uuid4().hex}.part"
        try:
            if self._remote is None:
                _write_local(content, Path(temporary), Path(path))
            else:
                self._remote.makedirs(path.rpartition("/")[0], exist_ok=True)
                with self._remote.open(temporary, "wb") as target:
                    _pour(content, target)
                self._remote.mv(temporary, path)
        except BaseException:
            if self._remote is None:
                Path(temporary).unlink(missing_ok=True)
            elif self._remote.exists(temporary):
                self._remote.rm_file(temporary)
            raise

    def _damaged(self, digest: str) -> StorageFailed:
        return StorageFailed(
            "its content is not what was put there.",
            where=self._path(digest),
            hint="The disk or a person changed it. Restore it from a backup, or delete it and put it again.",
        )

    @contextmanager
    def _failures(self, what: str, digest: str | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if digest is not None and isinstance(error, FileNotFoundError):
                raise NotFound(f"there is no artifact {digest}.", where=self.location) from error
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                hint = "The disk is full: free some space, or set another place for artifacts."
            elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                hint = "Make it writable for the user that Wichtel runs as, or set another place for artifacts."
            else:
                hint = "Check the place for artifacts."
            raise StorageFailed(f"{what}: {error.strerror or error}.", where=self.location, hint=hint) from error


def _digest_of(content: bytes | Path) -> str:
    if isinstance(content, bytes | bytearray | memoryview):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pour(content: bytes | Path, target: IO[Any]) -> None:
    if isinstance(content, Path):
        with content.open("rb") as source:
            shutil.copyfileobj(source, target, _CHUNK)
    else:
        target.write(content)


def _write_local(content: bytes | Path, temporary: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("xb") as target:
        _pour(content, target)
        target.flush()
        # Before the rename, or a power cut could leave the name without the bytes.
        os.fsync(target.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()
