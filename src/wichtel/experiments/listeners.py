"""What happens to experiments by itself, as durable jobs enqueued in the transactions that cause them (heinzelmaennchen, III-C).

schedule
    Starts experiments while a group has work and room. Caused by a registration, a finish, a requeue, a changed share or limit, the end
    of a pause, and by the time at which a limit of starts lets the next one go on.
lease
    First ``lease_seconds`` after the start, then again and again: an experiment whose workflow never began goes back to ENQUEUED; one whose
    workflow failed ends with the cause in words.
failed
    When a workflow fails: the same, at once.
expire
    ``expire_days`` after the registration: what of it has not finished is DEADLINE_EXCEEDED.
clean up
    After an experiment ended without a verdict: cancels its workflow, study and runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import Any

from wichtel.domain import Experiment, ExperimentState, StudyState
from wichtel.experiments.ending import CLEAN_UP, EXPIRE, LEASE, SCHEDULE, end, enqueue_schedule
from wichtel.experiments.failures import cause_of, classify, expired
from wichtel.experiments.scheduler import Shared, start_next
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
        self._schedule = Shared(self._start_all)
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
        """Start what can be started. Of many that are caused at once, one looks for all that were caused before it began."""
        started, due = self._schedule()
        if due is not None:
            at = due.isoformat()
            # By whichever clock it is woken a little early, it comes again.
            number = data["number"] + 1 if data.get("at") == at else 0
            with self._db.transaction() as tx:
                delay = max(0.0, (due - tx.now).total_seconds())
                self.workflows.enqueue(tx, SCHEDULE, f"schedule/at/{at}/{number}", {"at": at, "number": number}, delay_seconds=delay)
        return {"started": started}

    def _start_all(self) -> tuple[list[str], datetime | None]:
        """What was started; and when the time alone lets somebody go on who waits now."""
        started: list[str] = []
        while True:
            with self._db.transaction() as tx:
                outcome = start_next(tx, self._random, default_share=self._default_share)
                for place, generation in outcome.started:
                    reference = {"experiment": place.id, "generation": generation}
                    self.workflows.enqueue(tx, f"protocol/{place.protocol}", f"{place.id}/run/{generation}", reference)
                    self._enqueue_lease(tx, reference, 0)
            started += [place.id for place, _ in outcome.started]
            if not outcome.more:
                return started, outcome.next

    def _enqueue_lease(self, tx: Transaction, reference: Mapping[str, Any], number: int) -> None:
        identity = f"{reference['experiment']}/lease/{reference['generation']}/{number}"
        self.workflows.enqueue(tx, LEASE, identity, {**reference, "number": number}, delay_seconds=self._lease_seconds)

    def failed(self, ctx: HandlerContext, data: Mapping[str, Any]) -> dict[str, Any]:
        """End the experiment of a workflow that failed, at once rather than when its lease is due."""
        with self._db.transaction() as tx:
            experiment = tx.experiments.get(data["experiment"])
            # ENQUEUED again, it still has the generation of the workflow that came too late.
            if experiment.state is not ExperimentState.IN_PROGRESS or experiment.generation != data["generation"]:
                return {"found": "over"}
            failure = classify(data["error"], protocol=experiment.protocol)
            return {"ended": end(self.workflows, tx, experiment.id, failure.status, cause_of(failure), failure=failure)}

    def lease(self, ctx: HandlerContext, data: Mapping[str, Any]) -> dict[str, Any]:
        """Look after a started experiment."""
        with self._db.read() as tx:
            experiment = tx.experiments.get(data["experiment"])
        if experiment.state is not ExperimentState.IN_PROGRESS or experiment.generation != data["generation"]:
            return {"found": "over"}
        status = self.workflows.status(workflow_id(experiment))
        if status is not None and status.state in ("FAILED", "CANCELED"):
            error = status.error or {"message": f"its workflow was {status.state.lower()}"}
            failure = classify(error, protocol=experiment.protocol)
            with self._db.transaction() as tx:
                end(self.workflows, tx, experiment.id, failure.status, cause_of(failure), failure=failure)
            return {"found": "failed", "cause": cause_of(failure)}
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
        """End the experiments of a registration that took too long."""
        with self._db.transaction() as tx:
            # Registrations of earlier versions have a job for each of their experiments.
            own = (data["experiment"],) if "experiment" in data else tx.registrations.get(data["registration"]).experiments
            late = list(tx.experiments.lock(own, ExperimentState.ENQUEUED, ExperimentState.IN_PROGRESS))
            for identity in late:
                failure, cause = expired(tx, identity)
                end(self.workflows, tx, identity, failure.status, cause, failure=failure)
            return {"expired": late}

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
