"""What follows from the end of a workflow or of an experiment, as durable jobs enqueued in the transactions that cause them.

failed
    When a workflow fails: its experiment ends with the cause in words.
clean up
    After an experiment ended without a verdict: cancels its workflow, study and runs.

What starts experiments is `Starter`; what nobody has heard of for too long is for `Deadlines`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wichtel.domain import ExperimentState, StudyState
from wichtel.experiments.ending import CLEAN_UP, end
from wichtel.experiments.failures import cause_of, classify
from wichtel.experiments.starter import workflow_id
from wichtel.protocols.template import FAILED
from wichtel.store import Database
from wichtel.workflows import Handler, HandlerContext, WorkflowPort


class Listeners:
    """The handlers over one database.

    Args:
        db: Where experiments live.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
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
        return [Handler(FAILED, self.failed), Handler(CLEAN_UP, self.clean_up)]

    def failed(self, ctx: HandlerContext, data: Mapping[str, Any]) -> dict[str, Any]:
        """End the experiment of a workflow that failed."""
        with self._db.transaction() as tx:
            experiment = tx.experiments.get(data["experiment"])
            # ENQUEUED again, it still has the generation of the workflow that came too late.
            if experiment.state is not ExperimentState.IN_PROGRESS or experiment.generation != data["generation"]:
                return {"found": "over"}
            failure = classify(data["error"], protocol=experiment.protocol)
            return {"ended": end(self.workflows, tx, experiment.id, failure.status, cause_of(failure), failure=failure)}

    def clean_up(self, ctx: HandlerContext, data: Mapping[str, Any]) -> dict[str, Any]:
        """Stop what an ended experiment still runs. Baselines are shared and go on."""
        with self._db.read() as tx:
            experiment = tx.experiments.get(data["experiment"])
        if experiment.generation:
            self.workflows.cancel(workflow_id(experiment.id, experiment.generation))
        with self._db.transaction() as tx:
            study = tx.studies.find(f"{experiment.id}/study")
            if study is not None and not study.state.ended:
                tx.studies.set_state(study.spec.id, StudyState.CANCELED, "its experiment ended")
            runs = [r for r in tx.runs.list(prefix=f"{experiment.id}/", limit=100_000) if not r.state.ended]
            for run in runs:
                tx.runs.request_cancel(run.spec.id, "its experiment ended")
        return {"canceled_runs": len(runs)}
