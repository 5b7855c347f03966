"""The states of the things that have a life, and the moves between them. Every other move is refused."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from wichtel.domain.errors import IllegalTransition


class ExperimentState(StrEnum):
    """Where an experiment stands."""

    ENQUEUED = "ENQUEUED"
    IN_PROGRESS = "IN_PROGRESS"
    FINISHED = "FINISHED"


class ExperimentStatus(StrEnum):
    """How a finished experiment ended."""

    SATISFIED = "SATISFIED"
    UNSATISFIED = "UNSATISFIED"
    USER_ERROR = "USER_ERROR"
    SYSTEM_ERROR = "SYSTEM_ERROR"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELED = "CANCELED"


class RunState(StrEnum):
    """Where a run stands. A PREEMPTED run waits for its next attempt."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PREEMPTED = "PREEMPTED"
    SUCCEEDED = "SUCCEEDED"
    STOPPED = "STOPPED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self in _ENDED_RUNS


class StudyState(StrEnum):
    """Where a study stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it, unless somebody extends it."""
        return self in (StudyState.FINISHED, StudyState.FAILED, StudyState.CANCELED)


_ENDED_RUNS = frozenset({RunState.SUCCEEDED, RunState.STOPPED, RunState.FAILED, RunState.CANCELED})

# By life first: states of different lives share words, and a `StrEnum` equals its word.
_MOVES: dict[type[StrEnum], Mapping[StrEnum, frozenset[StrEnum]]] = {
    ExperimentState: {
        ExperimentState.ENQUEUED: frozenset({ExperimentState.IN_PROGRESS, ExperimentState.FINISHED}),
        # Back to ENQUEUED when no workflow took it up within the lease.
        ExperimentState.IN_PROGRESS: frozenset({ExperimentState.ENQUEUED, ExperimentState.FINISHED}),
    },
    RunState: {
        RunState.PENDING: frozenset({RunState.RUNNING, RunState.CANCELED, RunState.FAILED}),
        RunState.RUNNING: frozenset(_ENDED_RUNS | {RunState.PREEMPTED}),
        RunState.PREEMPTED: frozenset({RunState.RUNNING, RunState.CANCELED, RunState.FAILED}),
    },
    StudyState: {
        StudyState.PENDING: frozenset({StudyState.RUNNING, StudyState.CANCELED, StudyState.FAILED}),
        StudyState.RUNNING: frozenset({StudyState.FINISHED, StudyState.FAILED, StudyState.CANCELED}),
        # Back to PENDING when it is given more trials or more time.
        StudyState.FINISHED: frozenset({StudyState.PENDING}),
        StudyState.FAILED: frozenset({StudyState.PENDING}),
        StudyState.CANCELED: frozenset({StudyState.PENDING}),
    },
}

S = TypeVar("S", bound=StrEnum)


def _onward(old: StrEnum) -> frozenset[StrEnum]:
    return _MOVES[type(old)].get(old, frozenset())


def may_move(old: S, new: S) -> bool:
    """Whether the move from `old` to `new` is legal; staying is not a move."""
    return type(new) is type(old) and new in _onward(old)


def move(old: S, new: S, *, what: str) -> S:
    """Return `new`, or refuse.

    Args:
        what: Names the thing in the error, such as ``"experiment e-1"``.

    Raises:
        IllegalTransition: there is no such move.

    >>> move(RunState.PENDING, RunState.RUNNING, what="run r-1")
    <RunState.RUNNING: 'RUNNING'>
    """
    if not may_move(old, new):
        hint = "It has ended." if getattr(old, "ended", not _onward(old)) else None
        raise IllegalTransition(f"cannot go from {old} to {new}.", where=what, hint=hint)
    return new
