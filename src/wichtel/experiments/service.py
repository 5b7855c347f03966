"""Registrations and experiments, as the API offers them: every call of heinzelmaennchen, section III-A."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Raw

from wichtel.domain import (
    AlreadyExists,
    Experiment,
    ExperimentResult,
    ExperimentStatus,
    IllegalTransition,
    InvalidInput,
    Outline,
    Query,
    Registration,
    Sort,
    Tally,
)
from wichtel.experiments.access import Principal
from wichtel.experiments.ending import CLEAN_UP, end, end_many
from wichtel.experiments.ids import new_id
from wichtel.experiments.registration import RegisterModels, Survey, expand, registration_id, survey
from wichtel.experiments.rerun import Rerun, once_more
from wichtel.store import Artifacts, Database, Page, Transaction
from wichtel.workflows import StepStatus, WorkflowPort


class Experiments:
    """RegisterModels, GetRegistration, CancelRegistration, SearchExperiments, GetExperiment, CancelExperiment, FinishExperiment.

    Args:
        db: Where they live.
        artifacts: Where diffs live.
        workflows: What carries them out.
        baseline_max_age_days: A baseline that was trained longer ago is trained again.
    """

    def __init__(self, db: Database, artifacts: Artifacts, workflows: WorkflowPort, *, baseline_max_age_days: float = 30.0) -> None:
        self._db = db
        self._artifacts = artifacts
        self._workflows = workflows
        self._baseline_max_age_days = baseline_max_age_days

    def preview(self, request: RegisterModels, principal: Principal) -> list[Experiment]:
        """What `register_models` would make; nothing is stored."""
        with self._db.read() as tx:
            return self._expand(tx, request, "preview", principal)

    def survey(self, request: RegisterModels, principal: Principal) -> Survey:
        """What `register_models` would make of each pair, or why it could not; nothing is stored.

        Raises:
            NotFound: an unknown model or protocol.
        """
        with self._db.read() as tx:
            return survey(tx, request, "preview", principal, baseline_max_age_days=self._baseline_max_age_days)

    def register_models(self, request: RegisterModels, principal: Principal) -> Registration:
        """Store the cross product of models and protocols as ENQUEUED experiments, all or none; unless what does not fit may be skipped.

        Raises:
            NotFound: an unknown model or protocol.
            InvalidInput: a configuration that does not fit.
            NotPermitted: the principal is no editor of the team that owns a model.
        """
        principal.permit_somewhere("register_models")
        identity = registration_id(request, principal)
        try:
            return self._register(request, identity, principal)
        except AlreadyExists:
            # The same key, at the same time: the other was first.
            return _same(self.get_registration(identity), request)

    def _register(self, request: RegisterModels, identity: str, principal: Principal) -> Registration:
        with self._db.transaction() as tx:
            if request.idempotency_key is not None and (known := tx.registrations.find(identity)) is not None:
                return _same(known, request)
            if not request.skip_unfit:
                for team in sorted({model.team for model in tx.models.many(request.models).values()}):
                    principal.permit("register_models", team=team)
            experiments = self._expand(tx, request, identity, principal)
            teams = {e.quota_group for e in experiments}
            registration = Registration(
                id=identity,
                owner=principal.name,
                models=request.models,
                protocols=tuple(p.protocol for p in request.protocols),
                experiments=tuple(e.id for e in experiments),
                created=tx.now,
            )
            self._store(tx, registration, experiments)
            detail = {"experiments": len(experiments), "teams": sorted(teams)}
            tx.audit.add(principal.name, "register_models", identity, detail, team=teams.pop() if len(teams) == 1 else None)
        return registration

    def _store(self, tx: Transaction, registration: Registration, experiments: Sequence[Experiment]) -> None:
        tx.registrations.add(registration)
        tx.experiments.add_many(experiments)

    def rerun(self, identity: str, how: Rerun, principal: Principal) -> Experiment:
        """Register an experiment again with the same configuration, as a registration of its own.

        Raises:
            NotFound: there is no such experiment, or its protocol is gone.
            InvalidInput: the configuration does not fit the model's head.
        """
        with self._db.transaction() as tx:
            repeated = tx.experiments.get(identity)
            principal.permit("register_models", team=tx.models.get(repeated.model).team)
            made = once_more(tx, repeated, how, registration=new_id("r"), owner=principal.name)
            registration = Registration(
                id=made.registration,
                owner=principal.name,
                models=(made.model,),
                protocols=(made.protocol,),
                experiments=(made.id,),
                created=tx.now,
            )
            self._store(tx, registration, [made])
            detail = {"rerun_of": identity, "on": how.on, "seed": how.seed}
            tx.audit.add(principal.name, "rerun_experiment", made.id, detail, team=made.quota_group)
        return made

    def _expand(self, tx: Transaction, request: RegisterModels, identity: str, principal: Principal) -> list[Experiment]:
        return expand(tx, request, identity, principal, baseline_max_age_days=self._baseline_max_age_days)

    def get_registration(self, identity: str) -> Registration:
        """One registration.

        Raises:
            NotFound: there is none.
        """
        with self._db.read() as tx:
            return tx.registrations.get(identity)

    def registrations(self, owner: str | None = None, limit: int = 100, cursor: str | None = None) -> Page[Registration]:
        """Registrations, the newest first: all, or an owner's.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        with self._db.read() as tx:
            return tx.registrations.page(owner=owner, limit=limit, cursor=cursor)

    def tallies(self, registrations: Sequence[str]) -> dict[str, Tally]:
        """Registration → how its experiments stand."""
        with self._db.read() as tx:
            return tx.experiments.tallies(registrations)

    def outlines(self, identities: Sequence[str]) -> dict[str, Outline]:
        """How the experiments of these ids stand, by id; those that are not there are left out."""
        with self._db.read() as tx:
            return tx.experiments.outlines(identities)

    def cancel_registration(self, identity: str, principal: Principal) -> Registration:
        """Cancel it with all its experiments that have not finished.

        Raises:
            NotFound: there is none.
            IllegalTransition: it is canceled already, or all its experiments have finished.
        """
        with self._db.transaction() as tx:
            registration = tx.registrations.get(identity)
            teams = tx.experiments.groups_of(identity)
            for team in teams:
                principal.permit("cancel_experiment", team=team, owner=registration.owner)
            if not tx.registrations.cancel(identity):
                raise IllegalTransition("it is canceled already.", where=f"registration {identity}")
            cause = f"Its registration was canceled by {principal.name}."
            ended = end_many(self._workflows, tx, registration.experiments, ExperimentStatus.CANCELED, cause)
            if not ended:
                raise IllegalTransition("all its experiments have finished.", where=f"registration {identity}")
            detail = {"experiments": len(ended), "teams": teams}
            tx.audit.add(principal.name, "cancel_registration", identity, detail, team=teams[0] if len(teams) == 1 else None)
            return tx.registrations.get(identity)

    def search(
        self, query: Query | str, *, sort: str = "-created", limit: int = 50, cursor: str | None = None, total: bool = False
    ) -> Page[Experiment]:
        """Experiments that fit `query`, in the order of `sort`, such as ``-delta.auc``; with `total`, how many there are.

        Raises:
            InvalidInput: text that says no query, or what is no order, limit or cursor.
        """
        with self._db.read() as tx:
            return tx.experiments.search(query, sort=Sort.read(sort), limit=limit, cursor=cursor, total=total)

    def search_written(
        self, query: Query | str, *, sort: str = "-created", limit: int = 50, cursor: str | None = None, total: bool = False
    ) -> Page[Raw]:
        """As `search`, but each as it is written in JSON: for whoever hands it on, a fraction of the work.

        Raises:
            InvalidInput: as `search`.
        """
        with self._db.read() as tx:
            return tx.experiments.search_written(query, sort=Sort.read(sort), limit=limit, cursor=cursor, total=total)

    def get(self, identity: str) -> Experiment:
        """One experiment.

        Raises:
            NotFound: there is none.
        """
        with self._db.read() as tx:
            return tx.experiments.get(identity)

    def many(self, identities: Sequence[str]) -> dict[str, Experiment]:
        """The experiments of these ids, by id; those that are not there are left out."""
        with self._db.read() as tx:
            return {experiment.id: experiment for experiment in tx.experiments.many(identities)}

    def steps(self, identity: str) -> list[StepStatus]:
        """The steps of its workflow so far."""
        workflow = self.get(identity).workflow
        return self._workflows.steps(workflow) if workflow else []

    def descendants(self, experiment: Experiment) -> tuple[list[Experiment], list[Experiment]]:
        """Those that repeat it, and those that start from its candidate: the first few of each."""
        with self._db.read() as tx:
            return tx.experiments.descendants(experiment)

    def run_times(self, experiment: Experiment) -> list[tuple[str, datetime, datetime | None]]:
        """Of the runs that it asked for, its study's too: id, and when the latest attempt began and ended."""
        owners = [f"experiment/{experiment.id}/run/{number}" for number in range(1, experiment.generation + 1)]
        with self._db.read() as tx:
            return tx.runs.times([*owners, f"study/{experiment.id}/study"])

    def diff(self, identity: str) -> str:
        """The unified diff from target to candidate; empty if there is no candidate or its source is the target's."""
        result = self.get(identity).result
        return self._artifacts.get(result.diff).decode() if result is not None and result.diff else ""

    def latest_of(self, models: Sequence[str], *, judged: bool = False) -> dict[str, Outline]:
        """Model → how the newest of its experiments stands, or of those with a verdict; models that have none are left out."""
        with self._db.read() as tx:
            return tx.experiments.latest_of(models, judged=judged)

    def cancel(self, identity: str, principal: Principal) -> Experiment:
        """End it as CANCELED; what it runs is stopped.

        Raises:
            NotFound: there is none.
            IllegalTransition: it has finished.
        """
        with self._db.transaction() as tx:
            experiment = tx.experiments.get(identity)
            principal.permit("cancel_experiment", team=experiment.quota_group, owner=experiment.owner)
            ended = end(self._workflows, tx, identity, ExperimentStatus.CANCELED, f"Canceled by {principal.name}.")
            experiment = tx.experiments.get(identity)
            if not ended:
                raise IllegalTransition(f"it has finished as {experiment.status}.", where=f"experiment {identity}")
            tx.audit.add(principal.name, "cancel_experiment", identity, {}, team=experiment.quota_group)
            return experiment

    def finish(self, identity: str, status: ExperimentStatus, cause: str, result: ExperimentResult | None, principal: Principal) -> bool:
        """FinishExperiment: store the result and end it, unless it has ended already; what it still runs is stopped.

        Return whether this call did.

        Raises:
            NotPermitted: the principal is no admin.
        """
        principal.permit("finish_experiment")
        with self._db.transaction() as tx:
            if not end(self._workflows, tx, identity, status, cause, result):
                return False
            # Whatever the verdict: it did not come from the workflow, which may be under way.
            self._workflows.enqueue(tx, CLEAN_UP, f"{identity}/clean-up", {"experiment": identity})
            team = tx.experiments.get(identity).quota_group
            tx.audit.add(principal.name, "finish_experiment", identity, {"status": status, "cause": cause}, team=team)
            return True


def _same(known: Registration, request: RegisterModels) -> Registration:
    """`known`, which was made with the key of `request`, if it is what that asks for."""
    if (known.models, known.protocols) != (request.models, tuple(p.protocol for p in request.protocols)):
        raise InvalidInput(
            f"this key was used for another registration, {known.id}.",
            where="idempotency_key",
            hint="Make a new key for each registration.",
        )
    return known
