"""How an experiment ends, and what that causes. The scheduler sees the event."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wichtel.domain import Experiment, ExperimentResult, ExperimentStatus, Failure
from wichtel.experiments import failures
from wichtel.store import Transaction
from wichtel.workflows import WorkflowPort

CLEAN_UP = "clean-up"


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
    """End an experiment, in `tx`, if it has not ended; then what it left is cleaned up."""
    if not tx.experiments.finish(identity, status, cause, result, failure=failure):
        return False
    if failure is not None:
        failures.note(tx, failure, identity)
    _follow(workflows, tx, [tx.experiments.get(identity)])
    return True


def end_many(workflows: WorkflowPort, tx: Transaction, identities: Collection[str], status: ExperimentStatus, cause: str) -> list[str]:
    """End all of them that have not ended, in `tx`, as `end` does one, in a few statements; return which those were."""
    ended = tx.experiments.finish_many(identities, status, cause)
    if ended:
        _follow(workflows, tx, ended)
    return [experiment.id for experiment in ended]


def _follow(workflows: WorkflowPort, tx: Transaction, ended: Sequence[Experiment]) -> None:
    tx.outbox.add(ended)
    for experiment in ended:
        # One that was never started has left nothing.
        if experiment.generation and experiment.status not in (ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED):
            workflows.enqueue(tx, CLEAN_UP, f"{experiment.id}/clean-up", {"experiment": experiment.id})
