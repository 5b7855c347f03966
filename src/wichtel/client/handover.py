"""Candidates of experiments for the repositories that their models come from."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from wichtel.client.connection import Connection
from wichtel.domain import AlreadyExists, Experiment
from wichtel.store import codec

if TYPE_CHECKING:
    from wichtel.client.repository import Branch


def get_patch(connection: Connection, experiment: str, prefix: str) -> bytes:
    """The change as a mail that ``git apply`` and ``git am`` take."""
    return _export(connection, experiment, "patch", prefix)


def save_folder(connection: Connection, experiment: str, folder: Path, prefix: str) -> Path:
    """Unpack the folder form into `folder`.

    Raises:
        AlreadyExists: it holds something already.
    """
    archive = _archive(connection, experiment, prefix)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AlreadyExists("there is something already.", where=str(folder), hint="Name a folder that is not there or empty.")
    folder.mkdir(parents=True, exist_ok=True)
    # Whatever the service says: it does not write outside the folder.
    archive.extractall(folder)
    return folder


def save_branch(connection: Connection, experiment: str, repository: Path, name: str | None, path: str) -> Branch:
    """Make a branch of `repository` with the candidate as its one commit; see `wichtel.client.repository.make_branch`."""
    from wichtel.client.repository import make_branch
    from wichtel.plans import SourceTree

    archive = _archive(connection, experiment, "")
    found = codec.read(archive.read("experiment.json"), Experiment)
    versions = (found.target, found.result.candidate if found.result is not None else "")
    old, new = (SourceTree.from_archive(connection.call("GET", f"/v1/versions/{quote(v)}/archive").content) for v in versions)
    return make_branch(
        repository,
        name or f"wichtel/{found.id}",
        path=path,
        old=old.files,
        new=new.files,
        message=archive.read("message.txt").decode(),
        author=("Wichtel", "wichtel@noreply.invalid"),
        date=found.finished or found.created,
    )


def _archive(connection: Connection, experiment: str, prefix: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(_export(connection, experiment, "folder", prefix)))


def _export(connection: Connection, experiment: str, form: str, prefix: str) -> bytes:
    query = {"form": form, "prefix": prefix or None}
    return connection.call("GET", f"/v1/experiments/{quote(experiment)}/export", query=query).content
