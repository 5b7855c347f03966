"""What happens to experiments by itself, as durable jobs enqueued in the transactions that cause them (heinzelmaennchen, III-C).

schedule
    Starts experiments while a group has work and room. Caused by a registration, a finish, a requeue, a changed share.
lease
    First ``lease_seconds`` after the start, then again and again: an experiment whose workflow never began goes back to ENQUEUED; one whose
    workflow failed ends with the cause in words.
failed
    When a workflow fails: the same, at once.
expire
    ``expire_days`` after the registration: DEADLINE_EXCEEDED.
clean up
    After an experiment ended without a verdict: cancels its workflow, study and runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from wichtel.domain import Experiment, ExperimentState, ExperimentStatus, StudyState, UserError, WichtelError
from wichtel.domain.errors import from_json
from wichtel.experiments.ending import CLEAN_UP, EXPIRE, LEASE, SCHEDULE, end, enqueue_schedule
from wichtel.experiments.scheduler import assign_next
from wichtel.protocols.template import FAILED
from wichtel.store import Database, Transaction
from wichtel.workflows import Handler, HandlerContext, WorkflowPort


class Listeners:
    """The handlers over one database.

    Args:
        db: Where experiments live.
        lease_seconds: How long a started experiment may be without a workflow, and between looks at a running one.
        default_share: Most experiments IN_PROGRESS of a group that nobody set a share for.
    """

    def __init__(self, db: Database, *, lease_seconds: float, default_share: int) -> None:
        self._db = db
        self._lease_seconds = lease_seconds
        self._default_share = default_share
        self._random = Random()
        self._workflows: WorkflowPort | None = None

    def bind(self, workflows: WorkflowPort) -> None:
        """Tell whom to enqueue with; the workflows need the handlers first."""
        self._workflows = workflows

    @property
    def workflows(self) -> WorkflowPort:
        """What `bind` was given."""
        assert self._workflows is not None, "bind() comes before any handler runs"
        return self._workflows

    def handlers(self) -> list[Handler]:
        """All of them."""
        return [
            Handler(SCHEDULE, self.schedule),
            Handler(LEASE, self.lease),
            Handler(FAILED, self.failed),
            Handler(EXPIRE, self.expire),
            Handler(CLEAN_UP, self.clean_up),
        ]

    def schedule(self, ctx: HandlerContext, data: Mapping[str, Any]) -> dict[str, Any]:
        """Start what can be started."""
        started: list[str] = []
        while True:
            with self._db.transaction() as tx:
                experiment = assign_next(tx, self._random, default_share=self._default_share)
                if experiment is None:
                    return {"started": started}
                reference = {"experiment": experiment.id, "generation": experiment.generation}
                self.workflows.enqueue(tx, f"protocol/{experiment.protocol}", workflow_id(experiment), reference)
                self._enqueue_lease(tx, reference, 0)
            started.append(experiment.id)

    def _enqueue_lease(self, tx: Transaction, reference: Mapping[str, Any], number: int) -> None:
        identity = f"{reference['experiment']}/lease/{reference['generation']}/{number}"
        self.workflows.enqueue(tx, LEASE, identity, {**reference, "number": number}, delay_seconds=self._lease_seconds)

    def failed(self, ctx: HandlerContext, data: Mapping[str, Any]) -> dict[str, Any]:
        """End the experiment of a workflow that failed, at once rather than when its lease is due."""
        kind, cause = explain(data["error"])
        with self._db.transaction() as tx:
            experiment = tx.experiments.get(data["experiment"])
            # ENQUEUED again, it still has the generation of the workflow that came too late.
            if experiment.state is not ExperimentState.IN_PROGRESS or experiment.generation != data["generation"]:
                return {"found": "over"}
            return {"ended": end(self.workflows, tx, experiment.id, kind, cause)}

    def lease(self, ctx: HandlerContext, data: Mapping[str, Any]) -> dict[str, Any]:
        """Look after a started experiment."""
        with self._db.read() as tx:
            experiment = tx.experiments.get(data["experiment"])
        if experiment.state is not ExperimentState.IN_PROGRESS or experiment.generation != data["generation"]:
            return {"found": "over"}
        status = self.workflows.status(workflow_id(experiment))
        if status is not None and status.state in ("FAILED", "CANCELED"):
            kind, cause = explain(status.error or {"message": f"its workflow was {status.state.lower()}"})
            with self._db.transaction() as tx:
                end(self.workflows, tx, experiment.id, kind, cause)
            return {"found": "failed", "cause": cause}
        if not experiment.workflow:
            with self._db.transaction() as tx:
                # Conditional on the generation: a workflow that begins now wins, and its first step sees whether it did.
                requeued = tx.experiments.requeue(experiment.id, experiment.generation)
                if requeued:
                    enqueue_schedule(self.workflows, tx, f"requeued/{experiment.id}/{experiment.generation}")
            if requeued:
                self.workflows.cancel(workflow_id(experiment))
                return {"found": "no workflow", "requeued": True}
        with self._db.transaction() as tx:
            self._enqueue_lease(tx, data, data["number"] + 1)
        return {"found": "running"}

    def expire(self, ctx: HandlerContext, data: Mapping[str, Any]) -> dict[str, Any]:
        """End an experiment that took too long."""
        with self._db.transaction() as tx:
            cause = "It did not finish in time; most often a sign that it was never given enough resources."
            return {"expired": end(self.workflows, tx, data["experiment"], ExperimentStatus.DEADLINE_EXCEEDED, cause)}

    def clean_up(self, ctx: HandlerContext, data: Mapping[str, Any]) -> dict[str, Any]:
        """Stop what an ended experiment still runs. Baselines are shared and go on."""
        with self._db.read() as tx:
            experiment = tx.experiments.get(data["experiment"])
        if experiment.generation:
            self.workflows.cancel(workflow_id(experiment))
        with self._db.transaction() as tx:
            study = tx.studies.find(f"{experiment.id}/study")
            if study is not None and not study.state.ended:
                tx.studies.set_state(study.spec.id, StudyState.CANCELED, "its experiment ended")
            runs = [r for r in tx.runs.list(prefix=f"{experiment.id}/", limit=100_000) if not r.state.ended]
            for run in runs:
                tx.runs.request_cancel(run.spec.id, "its experiment ended")
        return {"canceled_runs": len(runs)}


def workflow_id(experiment: Experiment) -> str:
    """The id of the workflow of the experiment's present generation."""
    return f"{experiment.id}/run/{experiment.generation}"


def explain(error: Mapping[str, Any]) -> tuple[ExperimentStatus, str]:
    """The status and the cause in words for a workflow's error: what the user's input, code, data or metrics caused is a USER_ERROR."""
    found: WichtelError = from_json(error)
    kind = ExperimentStatus.USER_ERROR if isinstance(found, UserError) else ExperimentStatus.SYSTEM_ERROR
    step = f" (step {error['step']})" if error.get("step") else ""
    return kind, f"{found}{step}"
