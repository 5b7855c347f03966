"""Carries out graphs on the event loop of DBOS.

One graph is one DBOS workflow, and each of its steps one or two DBOS steps (the body; the wait for a polled step's output), whose numbers
are drawn before anything runs. The order in which steps then happen to end does not matter to a replay, so the
driver is plain data flow: a task per step, which waits for the tasks before it. A step costs one row, and the next one begins without
asking the database. (A DBOS child workflow per step was the alternative: four writes instead of one, a poll of the database per waiting
parent, and a cancel that has to cascade.)

All of it is asyncio. Something that waits (for a run of three hours, for a retry) is a timer and holds no thread, so that hundreds of
graphs can wait in one process. Bodies and polls are plain functions and run on two small thread pools of their own: a long body delays
neither polls nor handlers nor DBOS's bookkeeping.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any

from wichtel.domain.doing import doing, naming
from wichtel.domain.errors import SystemFault, UserError, did_you_mean
from wichtel.workflows.codec import through_json
from wichtel.workflows.failure import StepFailed, to_json
from wichtel.workflows.graph import INPUT, Graph, Step, StepContext

if TYPE_CHECKING:
    from dbos import DBOS
    from dbos._dbos import StepReservation

log = logging.getLogger(__name__)

#: Appended to a polled step's name, names the DBOS step that waits for its output.
WAIT_SUFFIX = "/wait"
#: A poll only reads, so nothing is lost by being patient with it: it may fail for this long before its step does.
_POLL_PATIENCE_SECONDS = 30.0
_FIRST_POLL_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 60.0


class Driver:
    """Carries out the graphs it was given.

    Args:
        graphs: By name.
        history: Tells what is kept of a workflow: number → name of the DBOS step.
        on_failure: Told of a workflow that failed: its id, its graph's `Graph.on_failure`, its input and the failure.
        threads: Most step bodies at once.
        poll_seconds: Longest time between two polls of a waiting step. The first come sooner.
        backoff_seconds: Pause before the first retry; each further one is three times longer.
    """

    def __init__(
        self,
        graphs: Mapping[str, Graph],
        history: Callable[[str], Mapping[int, str]],
        on_failure: Callable[[str, str, dict[str, Any], dict[str, Any]], None],
        *,
        threads: int,
        poll_seconds: float,
        backoff_seconds: float,
    ) -> None:
        self._graphs = graphs
        self._history = history
        self._on_failure = on_failure
        self._poll_seconds = poll_seconds
        self._backoff_seconds = backoff_seconds
        self._bodies = ThreadPoolExecutor(threads, thread_name_prefix="wichtel-step")
        self._quick = ThreadPoolExecutor(8, thread_name_prefix="wichtel-poll")
        #: Workflow → events that its waiting steps wait for. Only touched on the event loop.
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._underway: set[Future[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def close(self, *, seconds: float) -> None:
        """Begin no more bodies, and wait for those underway, at most so long. Nobody hears what they return."""
        for pool in (self._bodies, self._quick):
            pool.shutdown(wait=False, cancel_futures=True)
        wait(self._underway.copy(), timeout=seconds)

    def wake(self, workflow: str) -> None:
        """Poll the waiting steps of `workflow` now. From any thread."""
        if self._loop is not None:
            # A loop that has just been closed has nobody to wake.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake, workflow)

    def _wake(self, workflow: str) -> None:
        for event in self._waiting.get(workflow, ()):
            event.set()

    async def run(self, dbos: type[DBOS], name: str, given: dict[str, Any]) -> Any:
        """The body of the DBOS workflow: all of graph `name`.

        Raises:
            StepFailed: of the step that failed first.
            SystemFault: this process knows no graph of that name.
        """
        self._loop = asyncio.get_running_loop()
        workflow = dbos.workflow_id
        assert workflow is not None
        graph = self._graphs.get(name)
        if graph is None:
            raise SystemFault(f"no graph and no handler is called {name!r} here.", hint=did_you_mean(name, self._graphs))
        # The one step of a handler has the first number, whether it is kept already or not.
        history = {} if graph.single else await self._call(self._quick, self._history, workflow)
        reserved = self._reserve(dbos, graph, history)
        outputs: dict[str, Any] = {}
        tasks: dict[str, asyncio.Task[None]] = {}

        async def carry_out(step: Step) -> None:
            for earlier in step.after:
                # Not awaited itself: to cancel this task is not to cancel that one.
                await asyncio.wait([tasks[earlier]])
                if tasks[earlier].cancelled() or tasks[earlier].exception() is not None:
                    return
            inputs = {INPUT: given, **{earlier: outputs[earlier] for earlier in graph.before[step.name]}}
            pool = self._quick if graph.single else self._bodies
            name = step.name
            output = await reserved[name].run_async({"name": name, "preemptible": True}, self._body, workflow, step, inputs, pool)
            if step.poll is not None:
                name += WAIT_SUFFIX
                output = await reserved[name].run_async({"name": name, "preemptible": True}, self._poll, workflow, step, output)
            outputs[step.name] = output

        for step in graph.steps:
            tasks[step.name] = asyncio.create_task(carry_out(step))
        try:
            done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        failures = [error for task in done if not task.cancelled() and (error := task.exception()) is not None]
        # DBOS tells of a cancel or of a take-over by a BaseException: that outranks what a step says.
        for error in sorted(failures, key=lambda e: isinstance(e, Exception)):
            if graph.on_failure and isinstance(error, Exception):
                await self._call(self._quick, self._on_failure, workflow, graph.on_failure, given, to_json(error))
            raise error
        return graph.result(outputs)

    @staticmethod
    def _reserve(dbos: type[DBOS], graph: Graph, history: Mapping[int, str]) -> dict[str, StepReservation]:
        """Draw a number for each DBOS step: the one under which it is kept already, or a new one.

        So a graph may have been edited (by an upgrade, say) since the workflow began: what was kept counts, by name; new steps are
        carried out; what is no longer there is passed over.
        """
        names = [name for s in graph.steps for name in ((s.name,) if s.poll is None else (s.name, s.name + WAIT_SUFFIX))]
        fresh = [name for name in names if name not in history.values()]
        reserved: dict[str, StepReservation] = {}
        number = 0
        while fresh or number < max(history, default=0):
            reservation = dbos.reserve_step()
            number = reservation.step_id
            if number in history:
                reserved[history[number]] = reservation
            elif fresh:
                reserved[fresh.pop(0)] = reservation
        return reserved

    async def _body(self, workflow: str, step: Step, inputs: dict[str, Any], pool: ThreadPoolExecutor) -> Any:
        async def attempt(number: int) -> Any:
            context = StepContext(workflow=workflow, step=step.name, attempt=number)
            return await self._call(pool, _said, step, context, inputs)

        return await self._kept(step, partial(self._with_retries, step, workflow, attempt))

    async def _poll(self, workflow: str, step: Step, ticket: Any) -> Any:
        return await self._kept(step, partial(self._wait, workflow, step, ticket))

    async def _kept(self, step: Step, work: Callable[[], Awaitable[Any]]) -> Any:
        """What DBOS then keeps: plain JSON or a `StepFailed`."""
        try:
            return through_json(await work(), step.name)
        except Exception as error:
            raise StepFailed(to_json(error, step.name)) from error

    async def _with_retries(self, step: Step, workflow: str, attempt: Callable[[int], Awaitable[Any]]) -> Any:
        number = 1
        while True:
            try:
                return await attempt(number)
            except UserError:
                raise
            except Exception as error:
                if number > step.retries:
                    raise
                log.warning("step %s of %s failed and is tried again: %s: %s", step.name, workflow, type(error).__name__, error)
            await asyncio.sleep(self._pause(number))
            number += 1

    async def _wait(self, workflow: str, step: Step, ticket: Any) -> Any:
        context = StepContext(workflow=workflow, step=step.name)
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        self._waiting[workflow].add(woken)
        pause = min(_FIRST_POLL_SECONDS, self._poll_seconds)
        failures, failing_since = 0, 0.0
        try:
            while True:
                woken.clear()
                try:
                    output = await self._call(self._quick, _polled, step, context, ticket)
                except UserError:
                    raise
                except Exception as error:
                    failures += 1
                    failing_since = failing_since or loop.time()
                    if failures > step.retries and loop.time() - failing_since >= _POLL_PATIENCE_SECONDS:
                        raise
                    log.warning("poll of step %s of %s failed: %s: %s", step.name, workflow, type(error).__name__, error)
                else:
                    if output is not None:
                        return output
                    failures, failing_since = 0, 0.0
                # Many that began together shall not ask together for ever.
                await _first_of(woken, pause * random.uniform(0.9, 1.1))
                pause = min(pause * 1.5, self._poll_seconds)
        finally:
            self._waiting[workflow].discard(woken)
            if not self._waiting[workflow]:
                del self._waiting[workflow]

    async def _call(self, pool: ThreadPoolExecutor, fn: Callable[..., Any], *args: Any) -> Any:
        # Unlike asyncio.to_thread this carries no context variables over: a body that used DBOS by itself would break replays.
        future = pool.submit(fn, *args)
        self._underway.add(future)
        future.add_done_callback(self._underway.discard)
        return await asyncio.wrap_future(future)

    def _pause(self, number: int) -> float:
        return float(min(self._backoff_seconds * 3 ** (number - 1), _LONGEST_PAUSE_SECONDS) * random.uniform(0.8, 1.2))


def _said(step: Step, context: StepContext, inputs: dict[str, Any]) -> Any:
    with doing(f"step {step.name}", workflow=context.workflow, step=step.name):
        return step.run(context, inputs)


def _polled(step: Step, context: StepContext, ticket: Any) -> Any:
    assert step.poll is not None
    with naming(workflow=context.workflow, step=step.name):
        return step.poll(context, ticket)


async def _first_of(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
