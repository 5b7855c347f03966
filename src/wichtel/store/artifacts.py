"""Artifacts: bytes under the hash of their content, in a folder or at any URL that fsspec knows.

An artifact is there whole or not at all: it is written under another name and renamed when it is complete and, in a folder, on the disk.
Whoever puts the same bytes at the same time puts them twice under one name, which harms nobody.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from wichtel.domain import InvalidInput, NotFound, StorageFailed

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


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
        if not self.exists(digest):
            with self._failures(f"artifact {digest[:12]}… was not written"):
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
