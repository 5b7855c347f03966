"""Files under names of ours, in a folder or at any URL that fsspec knows. A file is there whole or not at all."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from wichtel.domain import InvalidInput, NotFound, StorageFailed
from wichtel.store.artifacts import _write_local


class Files:
    """Named files.

    Args:
        location: A folder, which is made when it is needed, or a URL such as ``s3://bucket/path`` or ``memory://name``.

    Raises:
        InvalidInput: there is no way to reach that URL.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = str(location)
        protocol, separator, _ = self.location.partition("://")
        self._remote: Any = None
        if separator and protocol != "file":
            import fsspec

            try:
                self._remote, root = fsspec.core.url_to_fs(self.location)
            except (ValueError, ImportError) as error:
                raise InvalidInput(f"there is no way to reach it: {error}.", where=self.location) from error
            self._root = root.rstrip("/")
        else:
            self._root = str(Path(self.location.removeprefix("file://")).absolute())

    def put(self, name: str, content: bytes) -> None:
        """Write the file, or replace it as a whole.

        Raises:
            StorageFailed: the place cannot be written; what was there before still is.
        """
        path = f"{self._root}/{name}"
        # Hidden, for programs read all that a folder shows.
        folder, _, last = path.rpartition("/")
        temporary = f"{folder}/.{last}.{uuid.uuid4().hex}.part"
        try:
            if self._remote is None:
                _write_local(content, Path(temporary), Path(path))
                return
            self._remote.makedirs(folder, exist_ok=True)
            self._remote.pipe_file(temporary, content)
            self._remote.mv(temporary, path)
        except OSError as error:
            raise StorageFailed(f"{name} was not written: {error.strerror or error}.", where=self.location) from error
        finally:
            if self._remote is None:
                Path(temporary).unlink(missing_ok=True)

    def get(self, name: str) -> bytes:
        """Its content.

        Raises:
            NotFound: there is no such file.
            StorageFailed: it cannot be read.
        """
        path = f"{self._root}/{name}"
        try:
            return Path(path).read_bytes() if self._remote is None else bytes(self._remote.cat_file(path))
        except FileNotFoundError:
            raise NotFound(f"there is no file {name}.", where=self.location) from None
        except OSError as error:
            raise StorageFailed(f"{name} cannot be read: {error.strerror or error}.", where=self.location) from error
