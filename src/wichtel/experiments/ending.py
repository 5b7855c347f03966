"""How an experiment ends, and what that causes; the names of the durable jobs."""

from __future__ import annotations

from wichtel.domain import ExperimentResult, ExperimentStatus, Failure
from wichtel.experiments import failures
from wichtel.store import Transaction
from wichtel.workflows import WorkflowPort

SCHEDULE = "schedule"
LEASE = "lease"
EXPIRE = "expire"
CLEAN_UP = "clean-up"


def enqueue_schedule(workflows: WorkflowPort, tx: Transaction, because: str) -> None:
    """Have the scheduler run after `tx`; `because` names the cause, once."""
    workflows.enqueue(tx, SCHEDULE, f"schedule/{because}", {})


def end(
    workflows: WorkflowPort,
    tx: Transaction,
    identity: str,
    status: ExperimentStatus,
    cause: str,
    result: ExperimentResult | None = None,
    *,
    failure: Failure | None = None,
) -> bool:
    """End an experiment, in `tx`, if it has not ended; then its place is given to the next, and what it left is cleaned up."""
    if not tx.experiments.finish(identity, status, cause, result, failure=failure):
        return False
    if failure is not None:
        failures.note(tx, failure, identity)
    tx.outbox.add(tx.experiments.get(identity))
    if status not in (ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED):
        workflows.enqueue(tx, CLEAN_UP, f"{identity}/clean-up", {"experiment": identity})
    enqueue_schedule(workflows, tx, f"finished/{identity}")
    return True
