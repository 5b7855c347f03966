"""Onboarding and versions of models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from wichtel.domain import (
    AlreadyExists,
    Analysis,
    Dataset,
    IllegalTransition,
    InvalidInput,
    Model,
    ModelVersion,
    NotFound,
    RunSpec,
    RunState,
    SystemFault,
    check_name,
)
from wichtel.domain.errors import from_json
from wichtel.experiments.access import Principal
from wichtel.plans import SourceTree, read_job
from wichtel.protocols.submission import START_SECONDS, analysis_spec, submit_analysis
from wichtel.protocols.template import version_id
from wichtel.store import Artifacts, Database, Page, Transaction, codec
from wichtel.training import check_fits

#: Between looks at whether a worker has analysed the plan.
LOOK_SECONDS = 0.05


class Models:
    """The registered models.

    Args:
        db: Where they live.
        artifacts: Where their source trees live.
    """

    def __init__(self, db: Database, artifacts: Artifacts) -> None:
        self._db = db
        self._artifacts = artifacts

    def add(
        self,
        name: str,
        archive: bytes,
        principal: Principal,
        *,
        team: str | None = None,
        new: bool = False,
        check: Callable[[Model | None], object] | None = None,
        also: Callable[[Transaction, ModelVersion], object] | None = None,
    ) -> ModelVersion:
        """Register a model, or a new version of one, once a worker has loaded its plan. Nothing is registered if that fails.

        Args:
            name: Such as ``flights/late``.
            archive: The source tree as a zip file, with plan.py and job.toml at its root.
            principal: Who asks; becomes the owner of a new model.
            team: The owning team; the principal's own if absent.
            new: Refuse a name that is taken.
            check: Called with the model as it is; raises what is to keep the new version from becoming its head.
            also: Called in the transaction that registers the version.

        Raises:
            AlreadyExists: `new`, and the name is taken.
            InvalidInput: the tree, the job or the plan is not right.
            NotFound: the dataset of the job is not registered.
            NotPermitted: the principal is no editor of `team`, or of the team that owns the model.
        """
        principal.permit_somewhere("add_model")
        check_name(name, what="model")
        if team is not None:
            # A model spends its team's share.
            principal.permit("add_model", team=team)
        with self._db.read() as tx:
            # Before anything is unpacked for somebody who may not.
            _check_free(tx.models.find(name), principal, team=team, new=new)
        tree = SourceTree.from_archive(archive)
        job = read_job(tree)
        with self._db.read() as tx:
            known = tx.models.find(name)
            if check is not None:
                check(known)
            _check_free(known, principal, team=team, new=new)
            dataset = tx.datasets.get(job.dataset)
        spec = analysis_spec(
            tree.save(self._artifacts), quota_group=known.team if known else team or principal.team, load_seconds=job.load_seconds
        )
        analysis = self._analyse(spec, job.load_seconds)
        check_fits(analysis, dataset)
        with self._db.transaction() as tx:
            # Again: somebody else may have taken the name while the plan was analysed.
            tx.exclusive("models")
            known = tx.models.find(name)
            if check is not None:
                check(known)
            _check_free(known, principal, team=team, new=new)
            version = ModelVersion(
                id=version_id(name, tree.digest, ""),
                model=name,
                tree=tree.digest,
                analysis=analysis,
                parent=known.head if known is not None and known.head != version_id(name, tree.digest, "") else None,
                created=tx.now,
            )
            tx.versions.add(version)
            if known is None:
                tx.models.add(Model(name=name, owner=principal.name, team=team or principal.team, head=version.id, created=tx.now))
            else:
                tx.models.set_head(name, version.id)
            owning = known.team if known is not None else team or principal.team
            tx.audit.add(principal.name, "add_model", name, {"version": version.id}, team=owning)
            added = tx.versions.get(version.id)
            if also is not None:
                also(tx, added)
            return added

    def check(self, tree: SourceTree, principal: Principal, *, team: str | None = None) -> tuple[Analysis, Dataset]:
        """What a worker finds in a plan, and the dataset that it learns from, as `add` would find it; nothing is registered.

        Raises:
            InvalidInput: the job or the plan is not right, or does not fit the dataset.
            NotFound: the dataset of the job is not registered.
            NotPermitted: the principal may add no model to `team`.
        """
        principal.permit("add_model", team=team or principal.team)
        job = read_job(tree)
        with self._db.read() as tx:
            dataset = tx.datasets.get(job.dataset)
        spec = analysis_spec(tree.save(self._artifacts), quota_group=team or principal.team, load_seconds=job.load_seconds)
        analysis = self._analyse(spec, job.load_seconds)
        check_fits(analysis, dataset)
        return analysis, dataset

    def _analyse(self, spec: RunSpec, load_seconds: float) -> Analysis:
        """Have a worker load the plan, and wait. A plan that failed before is tried again: what it lacked may be there now."""
        with self._db.transaction() as tx:
            identity = submit_analysis(tx, spec, since=tx.now)
        deadline = time.monotonic() + load_seconds + 2 * START_SECONDS
        while time.monotonic() < deadline:
            with self._db.read() as tx:
                run = tx.runs.get(identity)
            if run.state is RunState.SUCCEEDED:
                return codec.from_plain(run.result, Analysis)
            if run.state.ended:
                raise from_json(run.error or {"message": "the analysis of the plan was canceled."})
            time.sleep(LOOK_SECONDS)
        raise SystemFault("no worker analysed the plan in time.", where=f"run {identity}", hint="Is a controller running? See /readyz.")

    def get(self, name: str) -> Model:
        """One model.

        Raises:
            NotFound: there is none.
        """
        with self._db.read() as tx:
            return tx.models.get(name)

    def list(
        self,
        owner: str | None = None,
        contains: str | None = None,
        limit: int = 100,
        after: str | None = None,
        *,
        team: str | None = None,
        archived: bool = False,
    ) -> list[Model]:
        """Models by name; those that are archived only if that is said. `contains` is a part of the name, or the whole with ``*`` in it."""
        with self._db.read() as tx:
            return tx.models.list(owner=owner, contains=contains, team=team, archived=archived, limit=limit, after=after)

    def many(self, names: Sequence[str]) -> dict[str, Model]:
        """The models of these names, by name; those that are not there are left out."""
        with self._db.read() as tx:
            try:
                return tx.models.many(names)
            except NotFound:
                found = {name: tx.models.find(name) for name in names}
                return {name: model for name, model in found.items() if model is not None}

    def heads(self, models: Iterable[Model]) -> dict[str, ModelVersion]:
        """Model → the version that its experiments start from."""
        with self._db.read() as tx:
            found = list(models)
            versions = tx.versions.many({model.head for model in found})
            return {model.name: versions[model.head] for model in found}

    def versions(self, name: str, limit: int = 100, cursor: str | None = None) -> Page[ModelVersion]:
        """Versions of a model, oldest first.

        Raises:
            NotFound: there is no such model.
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        with self._db.read() as tx:
            tx.models.get(name)
            return tx.versions.page(name, limit=limit, cursor=cursor)

    def newest(self, name: str, limit: int = 100, cursor: str | None = None) -> Page[ModelVersion]:
        """Versions of a model, newest first.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        with self._db.read() as tx:
            return tx.versions.newest(name, limit=limit, cursor=cursor)

    def counts(self, names: Sequence[str]) -> dict[str, int]:
        """Model → how many versions it has, of these."""
        with self._db.read() as tx:
            return tx.versions.counts(names)

    def files(self, identity: str) -> Mapping[str, bytes]:
        """Path → content, of the source tree of a version."""
        return SourceTree.load(self._artifacts, self.version(identity).tree).files

    def version(self, identity: str) -> ModelVersion:
        """One version.

        Raises:
            NotFound: there is none.
        """
        with self._db.read() as tx:
            return tx.versions.get(identity)

    def diff(self, old: str, new: str) -> str:
        """The unified diff between the source trees of two versions."""
        before, after = self.version(old), self.version(new)
        return SourceTree.load(self._artifacts, before.tree).diff(SourceTree.load(self._artifacts, after.tree))

    def source(self, identity: str) -> bytes:
        """The source tree of a version, as a zip file."""
        return SourceTree.load(self._artifacts, self.version(identity).tree).to_archive()

    def launch(self, name: str, identity: str, principal: Principal) -> Model:
        """Make a version the head of its model: what the next experiments start from.

        Raises:
            InvalidInput: it is a version of another model.
            NotPermitted: the principal is no approver of the owning team.
        """
        principal.permit_somewhere("launch")
        with self._db.transaction() as tx:
            model, version = tx.models.get(name), tx.versions.get(identity)
            principal.permit("launch", team=model.team)
            refuse_archived(model)
            if version.model != name:
                raise InvalidInput(f"version {identity} is of model {version.model!r}, not {name!r}.")
            tx.models.set_head(name, identity)
            tx.audit.add(principal.name, "launch", name, {"version": identity, "instead_of": model.head}, team=model.team)
            return tx.models.get(name)

    def archive(self, name: str, principal: Principal) -> Model:
        """Put a model away: lists leave it out, and nothing new is made of it. What was made of it stays, and goes on.

        Raises:
            NotFound: there is no such model.
            IllegalTransition: it is archived already.
            NotPermitted: the principal is neither its owner nor an approver of the owning team.
        """
        return self._set_archived(name, principal, archived=True)

    def restore(self, name: str, principal: Principal) -> Model:
        """Take back that a model was archived.

        Raises:
            NotFound: there is no such model.
            IllegalTransition: it is not archived.
            NotPermitted: the principal is neither its owner nor an approver of the owning team.
        """
        return self._set_archived(name, principal, archived=False)

    def _set_archived(self, name: str, principal: Principal, *, archived: bool) -> Model:
        with self._db.transaction() as tx:
            # Whoever adds a version at the same time comes before or after.
            tx.exclusive("models")
            model = tx.models.get(name)
            principal.permit("archive_model", team=model.team, owner=model.owner)
            if (model.archived is not None) == archived:
                raise IllegalTransition(f"it is {'archived already' if archived else 'not archived'}.", where=f"model {name}")
            tx.models.set_archived(name, tx.now if archived else None)
            tx.audit.add(principal.name, "archive_model" if archived else "restore_model", name, {}, team=model.team)
            return tx.models.get(name)


def refuse_archived(model: Model) -> None:
    """Refuse to make something new of a model that is put away.

    Raises:
        IllegalTransition: it is.
    """
    if model.archived is not None:
        raise IllegalTransition(
            f"it has been archived since {model.archived:%Y-%m-%d}.",
            where=f"model {model.name}",
            hint=f"wichtel models restore {model.name}",
        )


def _check_free(known: Model | None, principal: Principal, *, team: str | None, new: bool) -> None:
    if known is None:
        principal.permit("add_model", team=team or principal.team)
        return
    if new:
        raise AlreadyExists(f"there is a model {known.name!r} already.", hint="Without --new this adds a version of it.")
    principal.permit("add_version", team=known.team)
    refuse_archived(known)
