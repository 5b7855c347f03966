"""Models and their versions."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from wichtel.client.connection import Connection
from wichtel.domain import Model, ModelVersion
from wichtel.store import codec

if TYPE_CHECKING:
    from wichtel.experiments import Checked, Onboarding


class Models:
    """The registered models."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, name: str, folder: str | Path, *, team: str | None = None, new: bool = False) -> ModelVersion:
        """Register the plan in `folder` as a model, or as the next version of one. Returns once a worker has analysed it.

        Args:
            name: Such as ``flights/late``.
            folder: Has plan.py and job.toml.
            team: The owning team of a new model; by default your own.
            new: Refuse a name that is taken.

        Raises:
            PlanError: the folder, the job or the plan is not right.
            AlreadyExists: `new`, and the name is taken.
            NotFound: the dataset of the job is not registered.
        """
        from wichtel.plans import SourceTree

        archive = SourceTree.from_folder(folder).to_archive()
        query = {"team": team, "new": True if new else None}
        answer = self._connection.call("PUT", f"/v1/models/{quote(name)}", query=query, content=archive)
        return codec.read(answer.content, ModelVersion)

    def check(self, folder: str | Path, *, team: str | None = None) -> Checked:
        """What `add` would find in `folder`, and what each protocol still needs of it. Nothing is registered.

        Raises:
            PlanError: the folder, the job or the plan is not right.
            NotFound: the dataset of the job is not registered.
        """
        from wichtel.experiments import Checked
        from wichtel.plans import SourceTree

        archive = SourceTree.from_folder(folder).to_archive()
        return codec.read(self._connection.call("POST", "/v1/models:check", query={"team": team}, content=archive).content, Checked)

    def onboarding(self, name: str) -> builtins.list[Onboarding]:
        """What each protocol still needs of the head of a model.

        Raises:
            NotFound: there is no such model.
        """
        from wichtel.experiments import Onboarding

        return self._connection.all(Onboarding, "/v1/onboarding", model=name)

    def get(self, name: str) -> Model:
        """One model.

        Raises:
            NotFound: there is none.
        """
        return self._connection.get(Model, f"/v1/models/{quote(name)}")

    def list(
        self, *, owner: str | None = None, contains: str | None = None, archived: bool = False, limit: int | None = None
    ) -> builtins.list[Model]:
        """Models by name: of an owner, or with `contains` in the name; at most `limit`; archived ones only if `archived`."""
        return self._connection.pages(Model, "/v1/models", limit, owner=owner, contains=contains, archived=archived or None)

    def versions(self, name: str) -> builtins.list[ModelVersion]:
        """Its versions, candidates of experiments among them, oldest first."""
        return self._connection.pages(ModelVersion, "/v1/versions", None, model=name)

    def version(self, identity: str) -> ModelVersion:
        """One version.

        Raises:
            NotFound: there is none.
        """
        return self._connection.get(ModelVersion, f"/v1/versions/{quote(identity)}")

    def diff(self, base: str, version: str) -> str:
        """The unified diff from version `base` to `version`."""
        return self._connection.call("GET", f"/v1/versions/{quote(version)}/diff", query={"base": base}).text

    def source(self, version: str) -> bytes:
        """The source tree of a version as a zip archive."""
        return self._connection.call("GET", f"/v1/versions/{quote(version)}/archive").content

    def launch(self, name: str, version: str) -> Model:
        """Make `version` what the next experiments start from.

        Raises:
            NotPermitted: you are no approver of the owning team.
        """
        answer = self._connection.call("POST", f"/v1/models/{quote(name)}:launch", body={"version": version})
        return codec.read(answer.content, Model)

    def archive(self, name: str) -> Model:
        """Put a model away: lists leave it out, and nothing new is made of it; its history stays.

        Raises:
            IllegalTransition: it is archived already.
            NotPermitted: you are neither its owner nor an approver of the owning team.
        """
        return codec.read(self._connection.call("POST", f"/v1/models/{quote(name)}:archive").content, Model)

    def restore(self, name: str) -> Model:
        """Take back that a model was archived.

        Raises:
            IllegalTransition: it is not archived.
            NotPermitted: you are neither its owner nor an approver of the owning team.
        """
        return codec.read(self._connection.call("POST", f"/v1/models/{quote(name)}:restore").content, Model)
