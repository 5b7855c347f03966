"""What the rooms above may ask of durable workflows. `Workflows` is the durable implementation, `InlineWorkflows` the one in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from wichtel.store import Transaction


class WorkflowState(StrEnum):
    """Where a workflow, or a step of it, stands."""

    #: Waits: for its delay, for a free process, or for the steps before it.
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    #: Canceled; of a step also: never to be carried out, because the workflow ended before it.
    CANCELED = "CANCELED"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self not in (WorkflowState.PENDING, WorkflowState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStatus:
    """A workflow as it stands."""

    id: str
    #: The graph's or handler's.
    name: str
    state: WorkflowState
    #: Of a failed one: a `WichtelError` as JSON, with the step's name under ``"step"``, and under ``"traceback"`` the end of the traceback
    #: if it was no `WichtelError`. `wichtel.domain.errors.from_json` rebuilds it.
    error: dict[str, Any] | None = None
    #: Of a succeeded graph: the outputs of the steps that no other comes after, under their names. Of a handler: what it returned.
    output: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    """A step as it stands. Times are aware, UTC."""

    name: str
    state: WorkflowState
    started: datetime | None = None
    ended: datetime | None = None
    #: As in `WorkflowStatus`.
    error: dict[str, Any] | None = None
    output: Any = None
    #: The steps that it comes after.
    after: tuple[str, ...] = ()


class WorkflowPort(Protocol):
    """Starts graphs and handlers, and tells how they stand."""

    def start(self) -> None:
        """Begin to carry out workflows. Enqueueing and asking need no start."""

    def stop(self) -> None:
        """Cease. What was underway goes on when this or another process starts."""

    def enqueue(self, tx: Transaction, name: str, id: str, input: dict[str, Any], delay_seconds: float = 0.0) -> None:  # noqa: A002
        """Have the graph or handler `name` carried out once, `delay_seconds` from now, if and only if `tx` commits.

        An `id` that was used before changes nothing.

        Raises:
            NotFound: no graph and no handler has that name.
            InvalidInput: the input is not plain JSON, or the id is empty.
        """

    def cancel(self, id: str) -> None:  # noqa: A002
        """End it: no further step begins, and what it waits for is no longer asked about. Unknown or ended: nothing happens."""

    def status(self, id: str) -> WorkflowStatus | None:  # noqa: A002
        """How it stands; None if there is none of that id."""

    def states(self, ids: Sequence[str]) -> dict[str, WorkflowState]:
        """Where they stand; without those that there are not."""

    def steps(self, id: str) -> list[StepStatus]:  # noqa: A002
        """How its steps stand, in topological order; empty if there is none of that id."""

    def wake(self, id: str) -> None:  # noqa: A002
        """Ask its waiting steps' `poll` now. Only a hint: losing it costs time, nothing else."""

    def reap(self) -> None:
        """Take over the work of replicas that died."""

    def list_underway(self, before: datetime) -> list[str]:
        """The ids of those that were enqueued before a time and have not ended, also of those whose delay is not over."""

    def cancel_many(self, ids: Sequence[str]) -> None:
        """`cancel` each."""

    def forget_before(self, before: datetime, keep: Callable[[Sequence[str]], Collection[str]] = lambda _: ()) -> int:
        """Delete what is kept of those that ended before a time, their steps too; return how many.

        Args:
            before: Aware.
            keep: Which of these ids are not to be forgotten yet.
        """
