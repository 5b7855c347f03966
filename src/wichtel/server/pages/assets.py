"""The files that pages load: compressed, tagged, and kept by browsers for as long as they stay what they are.

Pages name them as ``/static/VERSION/…``, where the version is a digest of all of them, so that browsers need not ask again. A script that
imports another by a relative address gets it in the same version.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from wichtel.server.conditions import Conditions, tag_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_FOREVER = "public, max-age=31536000, immutable"
#: What is not worth compressing.
_PACKED = (".png", ".ico", ".woff2", ".gz")
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    packed: bytes | None
    tag: str
    media_type: str


class Assets:
    """An ASGI application that answers with the files of a folder; those that are asked for stay in memory.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._files: dict[tuple[Path, int], _File] = {}
        self.version = self._digest()

    def address(self, path: str) -> str:
        """Where browsers find a file, such as ``pages/main.css``."""
        return f"/static/{self.version}/{path}"

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return (self._folder / path).is_file()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405)
        path = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        version, _, rest = path.partition("/")
        current = version == self.version
        # What another version of the service asks for is answered, and not kept under that name.
        caching = _FOREVER if current else "no-cache"
        file = self._read(rest if current or not self.has(path) else path)
        headers = {"ETag": file.tag, "Cache-Control": caching, "Vary": "Accept-Encoding"}
        if Conditions.of(request.headers).unchanged(file.tag):
            await Response(status_code=304, headers=headers)(scope, receive, send)
            return
        data = file.data
        if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            data, headers["Content-Encoding"] = file.packed, "gzip"
        await Response(data, headers=headers, media_type=file.media_type)(scope, receive, send)

    def _read(self, path: str) -> _File:
        if "\0" in path or "\\" in path:
            raise HTTPException(404)
        try:
            found = (self._folder / path).resolve()
            if not found.is_relative_to(self._folder) or not found.is_file():
                raise HTTPException(404)
            key = (found, found.stat().st_mtime_ns)
            if key not in self._files:
                data = found.read_bytes()
                packed = None if found.suffix in _PACKED else gzip.compress(data, 9, mtime=0)
                kind = _TYPES.get(found.suffix) or mimetypes.guess_type(found.name)[0] or "text/plain"
                self._files[key] = _File(data, packed, tag_of(data), kind)
        except OSError:
            raise HTTPException(404) from None
        return self._files[key]

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(self._folder.rglob("*")):
            if path.is_file():
                digest.update(str(path.relative_to(self._folder)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:12]
