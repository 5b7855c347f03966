"""Files that a training function returned: put into the artifact store under the names that it gave them."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wichtel.domain import UserError

if TYPE_CHECKING:
    from wichtel.fleet.ports import RunContext

_HINT = 'Return {"metrics": {…}, "artifacts": {name: path}}.'


def keep(files: Any, context: RunContext) -> dict[str, str]:
    """Store each file; of a folder, an archive (tar) whose bytes depend on nothing but its files' names, contents and permissions.

    Args:
        files: Name → path, absolute or from the working directory or, if there is none, from the run's own folder for scratch.
        context: The run's.

    Returns:
        Name → digest.

    Raises:
        UserError: there is no such file, or it is no table of paths.
    """
    if not isinstance(files, Mapping):
        raise UserError(f"the artifacts that the function returned are {files!r:.200}.", hint=_HINT)
    return {str(name): _keep(str(name), path, context) for name, path in files.items()}


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of an archive that `keep` made of a folder."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


def _keep(name: str, given: Any, context: RunContext) -> str:
    where = f"artifact {name!r}"
    try:
        path = Path(given)
    except TypeError:
        raise UserError(f"{given!r:.200} is no path.", where=where, hint=_HINT) from None
    if not path.exists() and not path.is_absolute():
        path = context.scratch / path
    if not path.exists():
        raise UserError(f"the function returned the path {str(given)!r}, but there is nothing.", where=where, hint="Write it first.")
    if not path.is_dir():
        return context.artifacts.put(path)
    packed = context.scratch / f".{path.name}.tar"
    try:
        _pack(path, packed)
        return context.artifacts.put(packed)
    finally:
        packed.unlink(missing_ok=True)


def _pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path != archive:
                entry = packed.gettarinfo(path, arcname=path.relative_to(folder).as_posix())
                # The same files are the same artifact, whoever wrote them and when.
                entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
                entry.type, entry.linkname = tarfile.REGTYPE, ""
                entry.size = path.stat().st_size
                with path.open("rb") as content:
                    packed.addfile(entry, content)
