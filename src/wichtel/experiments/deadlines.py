"""A periodic job: what became of experiments that nobody has heard of for too long (heinzelmaennchen, III-C: lease and expire).

One that was started and that no workflow has taken up within its lease goes back to ENQUEUED; one whose workflow failed ends with the cause
in words, as a rule long before, by `Listeners.failed`; one that has not finished some days after it was registered is DEADLINE_EXCEEDED.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from wichtel.domain import ExperimentState
from wichtel.experiments.ending import end
from wichtel.experiments.failures import cause_of, classify, expired
from wichtel.experiments.starter import workflow_id
from wichtel.store import Database
from wichtel.workflows import WorkflowPort, WorkflowState

#: In one transaction.
_BATCH = 100


class Deadlines:
    """Looks after started experiments, and ends late ones.

    Args:
        db: Where experiments live.
        workflows: What carries them out.
        lease_seconds: How long a started experiment may be without a workflow.
        expire_days: How long after its registration an experiment must have finished.
    """

    def __init__(self, db: Database, workflows: WorkflowPort, *, lease_seconds: float, expire_days: float) -> None:
        self._db = db
        self._workflows = workflows
        self._lease = timedelta(seconds=lease_seconds)
        self._expire = timedelta(days=expire_days)

    def run(self) -> dict[str, Any]:
        """Look once; return how many were enqueued again, ended because their workflow had, and expired."""
        with self._db.read() as tx:
            now = tx.now
        requeued, failed = self._look_after(now - self._lease)
        return {"requeued": requeued, "failed": failed, "expired": self._end_late(now - self._expire)}

    def _look_after(self, before: datetime) -> tuple[int, int]:
        with self._db.read() as tx:
            started = tx.queue.started_before(before)
        states = self._workflows.states([workflow_id(identity, generation) for identity, generation, _ in started])
        requeued = failed = 0
        for identity, generation, taken in started:
            workflow = workflow_id(identity, generation)
            if states.get(workflow) in (WorkflowState.FAILED, WorkflowState.CANCELED):
                failed += self._end_failed(identity, generation, workflow)
            elif not taken:
                with self._db.transaction() as tx:
                    # Only if none has taken it up by now: one that begins now wins, and the first step of one that is late sees that it is.
                    again = tx.experiments.requeue(identity, generation)
                if again:
                    requeued += 1
                    self._workflows.cancel(workflow)
        return requeued, failed

    def _end_failed(self, identity: str, generation: int, workflow: str) -> bool:
        status = self._workflows.status(workflow)
        error = (status.error if status is not None else None) or {"message": "its workflow was canceled"}
        with self._db.transaction() as tx:
            experiment = tx.experiments.get(identity)
            if experiment.state is not ExperimentState.IN_PROGRESS or experiment.generation != generation:
                return False
            failure = classify(error, protocol=experiment.protocol)
            return end(self._workflows, tx, identity, failure.status, cause_of(failure), failure=failure)

    def _end_late(self, before: datetime) -> int:
        ended = 0
        while True:
            with self._db.transaction() as tx:
                late = tx.queue.unfinished_before(before, _BATCH)
                for identity in late:
                    failure, cause = expired(tx, identity)
                    ended += end(self._workflows, tx, identity, failure.status, cause, failure=failure)
            if len(late) < _BATCH:
                return ended
