"""Workflows in the memory of the calling process, for tests and for a look with the debugger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wichtel.domain.errors import NotFound, SystemFault, UserError, did_you_mean
from wichtel.workflows.codec import check_input, through_json
from wichtel.workflows.failure import to_json
from wichtel.workflows.graph import INPUT, Graph, Handler, Step, StepContext, by_name
from wichtel.workflows.port import StepStatus, WorkflowState, WorkflowStatus

if TYPE_CHECKING:
    from wichtel.store import Transaction


@dataclass
class _Job:
    id: str
    graph: Graph
    given: dict[str, Any]
    due: float
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    state: WorkflowState = WorkflowState.PENDING
    error: dict[str, Any] | None = None
    steps: dict[str, StepStatus] = field(default_factory=dict)
    tickets: dict[str, Any] = field(default_factory=dict)
    #: Polls of a step that failed in a row.
    faults: Counter[str] = field(default_factory=Counter)

    def outputs(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: self.steps[name].output for name in names}


class InlineWorkflows:
    """A `WorkflowPort` that forgets everything with the process, and does nothing but when it is told to by `run_pending`.

    Args:
        clock: Seconds, for delays. For tests.

    Raises:
        InvalidInput: two graphs or handlers share a name.
    """

    def __init__(
        self, *, graphs: Iterable[Graph] = (), handlers: Iterable[Handler] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._graphs = by_name(graphs, handlers)
        self._clock = clock
        self._jobs: dict[str, _Job] = {}
        self._started = False

    def start(self) -> None:
        """Let `run_pending` carry out workflows."""
        self._started = True

    def stop(self) -> None:
        """Let it no longer."""
        self._started = False

    def enqueue(self, tx: Transaction, name: str, id: str, input: dict[str, Any], delay_seconds: float = 0.0) -> None:  # noqa: A002
        """See `WorkflowPort.enqueue`."""
        graph = self._graphs.get(name)
        if graph is None:
            raise NotFound(f"no graph and no handler is called {name!r}.", hint=did_you_mean(name, self._graphs))
        check_input(input, id)
        job = _Job(id, graph, through_json(input, name), self._clock() + delay_seconds)
        job.steps = {step.name: StepStatus(name=step.name, state=WorkflowState.PENDING) for step in graph.steps}
        tx.after_commit(lambda: self._jobs.setdefault(id, job))

    def run_pending(self) -> bool:
        """Carry out all that can be carried out now, and ask each waiting step's `poll` once. Says whether something is left."""
        polled: set[str] = set()
        progress = self._started
        while progress:
            # A body may enqueue more.
            progress = any([self._advance(job, polled) for job in list(self._jobs.values())])  # noqa: C419 - each of them
        return any(not job.state.ended for job in self._jobs.values())

    def _advance(self, job: _Job, polled: set[str]) -> bool:
        if job.state.ended or job.due > self._clock():
            return False
        job.state = WorkflowState.RUNNING
        progress = False
        for step in job.graph.steps:
            known = job.steps[step.name]
            ready = all(job.steps[name].state is WorkflowState.SUCCEEDED for name in step.after)
            if job.state is WorkflowState.RUNNING and known.state is WorkflowState.PENDING and ready:
                self._begin(job, step)
                progress = True
            elif job.state is WorkflowState.RUNNING and known.state is WorkflowState.RUNNING and f"{job.id}/{step.name}" not in polled:
                polled.add(f"{job.id}/{step.name}")
                progress |= self._poll(job, step)
        if job.state is WorkflowState.RUNNING and all(s.state is WorkflowState.SUCCEEDED for s in job.steps.values()):
            job.state = WorkflowState.SUCCEEDED
            job.ended = datetime.now(UTC)
        return progress

    def _begin(self, job: _Job, step: Step) -> None:
        job.steps[step.name] = StepStatus(name=step.name, state=WorkflowState.RUNNING, started=datetime.now(UTC))
        inputs = {INPUT: job.given, **job.outputs(job.graph.before[step.name])}
        for attempt in range(1, step.retries + 2):
            try:
                output = step.run(StepContext(workflow=job.id, step=step.name, attempt=attempt), inputs)
                break
            except Exception as error:  # noqa: BLE001 - whatever the body raises is the step's failure
                if isinstance(error, UserError) or attempt > step.retries:
                    self._fail(job, step, error)
                    return
        try:
            output = through_json(output, step.name)
        except SystemFault as error:
            self._fail(job, step, error)
            return
        if step.poll is None:
            self._succeed(job, step, output)
        else:
            job.tickets[step.name] = output

    def _poll(self, job: _Job, step: Step) -> bool:
        assert step.poll is not None
        try:
            output = through_json(step.poll(StepContext(workflow=job.id, step=step.name), job.tickets[step.name]), step.name)
        except Exception as error:  # noqa: BLE001 - as above
            job.faults[step.name] += 1
            if isinstance(error, UserError) or job.faults[step.name] > step.retries:
                self._fail(job, step, error)
            return job.state.ended
        job.faults[step.name] = 0
        if output is None:
            return False
        self._succeed(job, step, output)
        return True

    def _succeed(self, job: _Job, step: Step, output: Any) -> None:
        # A body may have canceled its own workflow.
        if job.state is WorkflowState.RUNNING:
            known = job.steps[step.name]
            job.steps[step.name] = replace(known, state=WorkflowState.SUCCEEDED, ended=datetime.now(UTC), output=output)

    def _fail(self, job: _Job, step: Step, error: Exception) -> None:
        if job.state is WorkflowState.RUNNING:
            job.error = to_json(error, step.name)
            known = job.steps[step.name]
            job.steps[step.name] = replace(known, state=WorkflowState.FAILED, ended=datetime.now(UTC), error=job.error)
            self._end(job, WorkflowState.FAILED)
            if job.graph.on_failure:
                graph = self._graphs[job.graph.on_failure]
                told = _Job(f"{job.id}/failed", graph, {**job.given, "error": job.error}, self._clock())
                told.steps = {s.name: StepStatus(name=s.name, state=WorkflowState.PENDING) for s in graph.steps}
                self._jobs.setdefault(told.id, told)

    def _end(self, job: _Job, state: WorkflowState) -> None:
        job.state = state
        job.ended = datetime.now(UTC)
        for name, known in job.steps.items():
            if not known.state.ended:
                job.steps[name] = replace(known, state=WorkflowState.CANCELED)

    def cancel(self, id: str) -> None:  # noqa: A002
        """See `WorkflowPort.cancel`."""
        job = self._jobs.get(id)
        if job is not None and not job.state.ended:
            self._end(job, WorkflowState.CANCELED)

    def status(self, id: str) -> WorkflowStatus | None:  # noqa: A002
        """See `WorkflowPort.status`."""
        job = self._jobs.get(id)
        if job is None:
            return None
        output = job.graph.result(job.outputs(job.steps)) if job.state is WorkflowState.SUCCEEDED else None
        return WorkflowStatus(id=id, name=job.graph.name, state=job.state, error=job.error, output=output)

    def states(self, ids: Sequence[str]) -> dict[str, WorkflowState]:
        """See `WorkflowPort.states`."""
        return {one: self._jobs[one].state for one in ids if one in self._jobs}

    def steps(self, id: str) -> list[StepStatus]:  # noqa: A002
        """See `WorkflowPort.steps`."""
        job = self._jobs.get(id)
        return [replace(job.steps[step.name], after=step.after) for step in job.graph.steps] if job is not None else []

    def wake(self, id: str) -> None:  # noqa: A002
        """See `WorkflowPort.wake`. `run_pending` asks anyway."""

    def list_underway(self, before: datetime) -> list[str]:
        """See `WorkflowPort.list_underway`."""
        return [job.id for job in self._jobs.values() if not job.state.ended and job.created <= before]

    def cancel_many(self, ids: Sequence[str]) -> None:
        """See `WorkflowPort.cancel_many`."""
        for one in ids:
            self.cancel(one)

    def forget_before(self, before: datetime, keep: Callable[[Sequence[str]], Collection[str]] = lambda _: ()) -> int:
        """See `WorkflowPort.forget_before`."""
        over = [job.id for job in self._jobs.values() if job.ended is not None and job.ended <= before]
        staying = set(keep(over))
        for one in over:
            if one not in staying:
                del self._jobs[one]
        return len(over) - len(staying.intersection(over))

    def reap(self) -> None:
        """See `WorkflowPort.reap`. There are no others."""
