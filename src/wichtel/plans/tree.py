"""A plan's files as one frozen value, named by its content."""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from wichtel.domain import PlanError
from wichtel.plans.diff import unified_diff

if TYPE_CHECKING:
    from wichtel.store import Artifacts

MAX_FILES = 1_000
MAX_BYTES = 20 * 2**20
#: The files without which a folder is no plan.
REQUIRED = ("plan.py", "job.toml")

#: The plan's folder comes first on the import path: files of these names would hide the packages.
_HIDING = frozenset({"jax", "keras", "numpy", "tensorflow", "torch", "wichtel"})
_BAD_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True, slots=True)
class SourceTree:
    """Path (relative, with ``/``) → content, sorted by path.

    Raises:
        PlanError: no ``plan.py`` or ``job.toml``, a path that leads out of the tree or hides a package, or more than the limits allow.
    """

    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if len(self.files) > MAX_FILES:
            raise PlanError(
                f"a plan has at most {MAX_FILES:,} files; this one has {len(self.files):,}.", hint="Keep data out of its folder."
            )
        size = sum(map(len, self.files.values()))
        if size > MAX_BYTES:
            raise PlanError(
                f"a plan has at most {MAX_BYTES // 2**20} MiB; this one has {size / 2**20:.1f}.", hint="Keep data out of its folder."
            )
        for path in self.files:
            _check_path(path)
            parent = next((str(p) for p in PurePosixPath(path).parents if str(p) in self.files), None)
            if parent is not None:
                raise PlanError(f"{parent!r} is a file and a folder.", where=path)
        for name in REQUIRED:
            if name not in self.files:
                deeper = next((p for p in self.files if p.endswith(f"/{name}")), None)
                hint = f"There is {deeper!r}: give that folder." if deeper else "A plan's folder has plan.py and job.toml."
                raise PlanError(f"there is no {name}.", where="plan", hint=hint)
        object.__setattr__(self, "files", MappingProxyType({p: bytes(self.files[p]) for p in sorted(self.files)}))

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        # The read-only mapping cannot be pickled.
        return type(self), (dict(self.files),)

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, in hex: the same for the same paths and contents."""
        return hashlib.sha256(self._manifest()).hexdigest()

    def _manifest(self) -> bytes:
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in self.files.items()}
        return json.dumps({"files": digests}, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """Read a folder; hidden files and ``__pycache__`` are passed over.

        Raises:
            PlanError: no such folder, a symbolic link, or what the class refuses.
        """
        root = Path(folder)
        if not root.is_dir():
            raise PlanError("there is no such folder.", where=str(folder), hint="Give the folder that holds plan.py and job.toml.")
        files: dict[str, bytes] = {}
        size = 0
        for path in _walk(root):
            size += path.stat().st_size
            # Before reading, so that a folder with a dataset in it does not fill the memory.
            if size > MAX_BYTES or len(files) >= MAX_FILES:
                raise PlanError(
                    f"a plan has at most {MAX_FILES:,} files and {MAX_BYTES // 2**20} MiB.",
                    where=str(folder),
                    hint="Keep data out of its folder.",
                )
            files[path.relative_to(root).as_posix()] = path.read_bytes()
        try:
            return cls(files)
        except PlanError as error:
            raise PlanError(error.message, where=str(folder) if error.where == "plan" else error.where, hint=error.hint) from None

    @classmethod
    def from_archive(cls, data: bytes) -> Self:
        """Read a ZIP archive that somebody sent; nothing is written to disk.

        Raises:
            PlanError: not an archive, an entry that is a link, encrypted, damaged, twice there, or what the class refuses.
        """
        files: dict[str, bytes] = {}
        room = MAX_BYTES
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if len(archive.infolist()) > 2 * MAX_FILES:
                    raise PlanError(f"a plan has at most {MAX_FILES:,} files; the archive has {len(archive.infolist()):,} entries.")
                for entry in archive.infolist():
                    # The type of the file, where the archive was made on Unix.
                    kind = stat.S_IFMT(entry.external_attr >> 16)
                    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                        raise PlanError("the archive holds a link or device.", where=entry.filename)
                    if entry.is_dir() or _is_passed_over(entry.filename):
                        continue
                    _check_path(entry.filename)
                    if entry.flag_bits & 1:
                        raise PlanError("the archive is encrypted.", where=entry.filename)
                    if entry.filename in files:
                        raise PlanError("the archive holds it twice.", where=entry.filename)
                    with archive.open(entry) as file:
                        # What an entry says of its size may be a lie.
                        content = file.read(room + 1)
                    room -= len(content)
                    if room < 0:
                        raise PlanError(f"a plan has at most {MAX_BYTES // 2**20} MiB; the archive unpacks to more.")
                    files[entry.filename] = content
        except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, zlib.error) as error:
            raise PlanError(f"the archive cannot be read: {error}.", hint="Send a ZIP archive of the plan's folder.") from error
        return cls(files)

    def to_archive(self) -> bytes:
        """The tree as a ZIP archive; the same bytes for the same tree."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in self.files.items():
                entry = zipfile.ZipInfo(path, date_time=(1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, content)
        return buffer.getvalue()

    def save(self, artifacts: Artifacts) -> str:
        """Store every file and, last, the manifest; returns the digest, under which `load` finds it."""
        for content in self.files.values():
            artifacts.put(content)
        return artifacts.put(self._manifest())

    @classmethod
    def load(cls, artifacts: Artifacts, digest: str) -> Self:
        """Read what `save` stored.

        Raises:
            PlanError: the artifact is no tree.
        """
        try:
            manifest: dict[str, str] = json.loads(artifacts.get(digest))["files"]
        except (ValueError, KeyError, TypeError) as error:
            raise PlanError("the artifact is no source tree.", where=digest) from error
        return cls({path: artifacts.get(content) for path, content in manifest.items()})

    def write_to(self, folder: str | Path) -> Path:
        """Write all files into `folder`, which is made if need be, and return it."""
        root = Path(folder)
        for path, content in self.files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return root

    def with_files(self, changed: Mapping[str, bytes]) -> SourceTree:
        """A tree in which `changed` replaces or adds files."""
        return SourceTree({**self.files, **changed})

    def diff(self, other: SourceTree) -> str:
        """The unified diff that ``git apply`` turns this tree into `other` with; empty if they are equal."""
        return unified_diff(self.files, other.files)


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if _is_passed_over(path.name):
            continue
        if path.is_symlink():
            raise PlanError("symbolic links are not followed.", where=str(path), hint="Put the file itself there.")
        if path.is_dir():
            yield from _walk(path)
        elif path.is_file():
            yield path
        else:
            raise PlanError("it is neither a file nor a folder.", where=str(path))


def _is_passed_over(path: str) -> bool:
    # ".." is not hidden but an attack, which the check of paths refuses.
    return any((part.startswith(".") and part not in (".", "..")) or part in ("__pycache__", "__MACOSX") for part in path.split("/"))


def _check_path(path: str) -> None:
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in parts) or _BAD_CHARACTERS.search(path):
        raise PlanError("this path leads out of the plan's folder, or has characters that no path should have.", where=repr(path))
    first = parts[0].removesuffix(".py")
    if first in _HIDING:
        raise PlanError(f"it would hide the package {first!r}.", where=path, hint="Give it another name.")
