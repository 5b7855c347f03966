"""Durable workflows on DBOS."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wichtel.domain.errors import NotFound, SystemFault, did_you_mean
from wichtel.store.database import translated
from wichtel.store.system_engine import system_engine
from wichtel.workflows.codec import JsonSerializer, check_input
from wichtel.workflows.driver import WAIT_SUFFIX, Driver
from wichtel.workflows.failure import to_json
from wichtel.workflows.graph import Graph, Handler, Step, by_name
from wichtel.workflows.port import StepStatus, WorkflowState, WorkflowStatus
from wichtel.workflows.replicas import Heartbeat

if TYPE_CHECKING:
    from dbos import DBOSClient, DBOSConfig

    from wichtel.store import Database, Transaction

log = logging.getLogger(__name__)

#: DBOS hands a workflow only to processes of the version that began it. Raise this when a change of the driver makes histories
#: unreadable; an edit of a graph does not need it.
_HISTORY_VERSION = "wichtel-1"
_APPLICATION = "wichtel"
_QUEUE = "wichtel"
_WORKFLOW = "graph"
_BOOKKEEPING_THREADS = 16
#: What has just been taken from a queue is handed on within this.
_LAST_DEQUEUE_SECONDS = 5.0

#: Held by the started one of this process.
_STARTED = threading.Lock()

#: In one query; and in one transaction that changes them.
_PAGE = 5000
_BATCH = 500

_STATES = {
    "DELAYED": WorkflowState.PENDING,
    "ENQUEUED": WorkflowState.PENDING,
    "PENDING": WorkflowState.RUNNING,
    "SUCCESS": WorkflowState.SUCCEEDED,
    "ERROR": WorkflowState.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": WorkflowState.FAILED,
    "CANCELLED": WorkflowState.CANCELED,
}

_UNDERWAY = [status for status, state in _STATES.items() if not state.ended]
_OVER = [status for status, state in _STATES.items() if state.ended]


class Workflows:
    """A `WorkflowPort` that survives the death of the process, and of the machine if the database does.

    Any number of processes may share a database; each carries out what it takes from the common queue. DBOS allows one *started*
    `Workflows` per process; any number may enqueue, cancel and tell.

    Args:
        db: Where everything is kept, beside the rooms' own rows.
        executor_id: Names this process. A restarted process that has the same name goes on with its work at once; the work of one that
            never comes back is taken over by the others after `dead_after_seconds`. Two living processes never share one.
        graphs: What can be enqueued.
        handlers: Likewise.
        roles: Noted in the replica's row.
        threads: Most step bodies at once in this process.
        queue_seconds: How often the queue is looked at.
        poll_seconds: Longest time between two polls of a waiting step.
        backoff_seconds: Pause before a step's first retry; each further one is three times longer.
        beat_seconds: How often this process says that it lives.
        version: Noted in the replica's row, like what `tell` returns.
        tell: What this process says of itself, as plain JSON; must be quick.
        dead_after_seconds: How long one must have been silent to be taken for dead. One that was only slow does no harm: it is fenced.

    Raises:
        InvalidInput: two graphs or handlers share a name.
    """

    def __init__(
        self,
        db: Database,
        *,
        executor_id: str,
        graphs: Iterable[Graph] = (),
        handlers: Iterable[Handler] = (),
        roles: Sequence[str] = ("orchestrator",),
        threads: int = 16,
        queue_seconds: float = 0.1,
        poll_seconds: float = 5.0,
        backoff_seconds: float = 1.0,
        beat_seconds: float = 3.0,
        dead_after_seconds: float = 20.0,
        version: str = "unknown",
        tell: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._db = db
        self._executor_id = executor_id
        self._graphs = by_name(graphs, handlers)
        self._threads = threads
        self._queue_seconds = queue_seconds
        self._poll_seconds = poll_seconds
        self._backoff_seconds = backoff_seconds
        self._dead_after_seconds = dead_after_seconds
        self._roles = tuple(roles)
        self._beat_seconds = beat_seconds
        self._version = version
        self._tell = tell
        self._driver: Driver | None = None
        self._dbos_instance: object = None
        self._heartbeat: Heartbeat | None = None
        # Now, and not when it is first used: that may be inside a transaction, which would wait for itself.
        self._client: DBOSClient | None = self._open()

    def start(self, roles: Sequence[str] = ()) -> None:
        """Begin to carry out workflows, those first that this `executor_id` had underway when it died.

        Args:
            roles: Noted in the replica's row instead of those that were given before.

        Raises:
            SystemFault: this process has a started `Workflows` already.
        """
        if self._driver is not None:
            return
        if not _STARTED.acquire(blocking=False):
            raise SystemFault("this process carries out workflows already.", hint="Stop the other Workflows first.")
        try:
            if self._client is None:
                self._client = self._open()
            self._driver = Driver(
                self._graphs,
                self._history,
                self._tell_failure,
                threads=self._threads,
                poll_seconds=self._poll_seconds,
                backoff_seconds=self._backoff_seconds,
            )
            self._heartbeat = Heartbeat(
                self._db,
                self._executor_id,
                roles or self._roles,
                beat_seconds=self._beat_seconds,
                reap=self.reap,
                version=self._version,
                tell=self._tell,
            )
            # Before any work, so that nobody takes it for the work of the dead.
            self._heartbeat.beat()
            # In a thread of its own: in one that has an event loop (a server's), DBOS would put the workflows on that loop.
            with ThreadPoolExecutor(1) as aside:
                aside.submit(self._launch, self._driver).result()
            self._heartbeat.start()
        except BaseException:
            if self._driver is None:
                _STARTED.release()
            self.stop()
            raise

    def _launch(self, driver: Driver) -> None:
        from dbos import DBOS

        async def graph(name: str, given: dict[str, Any]) -> Any:
            return await driver.run(DBOS, name, given)

        config: DBOSConfig = {
            "name": _APPLICATION,
            "system_database_engine": self._engine,
            "executor_id": self._executor_id,
            "application_version": _HISTORY_VERSION,
            "serializer": _serializer(),
            # We neither send nor wait for messages of DBOS's; the thread that would look for them only delays the stop.
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.2,
            "max_executor_threads": _BOOKKEEPING_THREADS,
            "log_level": "WARNING",
        }
        self._dbos_instance = DBOS(config=config)
        # There is no limit to how often it may be resumed: an experiment can outlive many restarts.
        DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=None)(graph)
        with translated(self._db.url):
            DBOS.launch()

    def stop(self) -> None:
        """Cease. What was underway goes on when this or another process starts; bodies that are underway may end within 10 seconds."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._driver is not None:
            from dbos import DBOS

            self._cease_to_dequeue()
            DBOS.destroy(destroy_registry=True)
            self._driver.close(seconds=10)
            self._driver = None
            _STARTED.release()
        if self._heartbeat is not None:
            # Only now: what is struck off has its work taken over.
            self._heartbeat.forget()
            self._heartbeat = None
        if self._client is not None:
            self._client.destroy()
            self._client = None
            self._engine.dispose()

    def _cease_to_dequeue(self) -> None:
        """Let DBOS take nothing more from its queues, of which it would find that the event loop is gone already."""
        for event in getattr(self._dbos_instance, "background_thread_stop_events", ()):
            event.set()
        for thread in threading.enumerate():
            # One that is being started looks at the event first.
            if thread.name.startswith("queue-worker-") and thread.is_alive():
                thread.join(_LAST_DEQUEUE_SECONDS)

    def enqueue(self, tx: Transaction, name: str, id: str, input: dict[str, Any], delay_seconds: float = 0.0) -> None:  # noqa: A002
        """See `WorkflowPort.enqueue`."""
        if name not in self._graphs:
            raise NotFound(f"no graph and no handler is called {name!r}.", hint=did_you_mean(name, self._graphs))
        check_input(input, id)
        options: dict[str, Any] = {"workflow_name": _WORKFLOW, "queue_name": _QUEUE, "workflow_id": id, "app_version": _HISTORY_VERSION}
        if delay_seconds > 0:
            options["delay_seconds"] = delay_seconds
        self._dbos.enqueue_in_transaction(tx.connection, options, name, input)  # type: ignore[arg-type]

    def cancel(self, id: str) -> None:  # noqa: A002
        """See `WorkflowPort.cancel`."""
        self._dbos.cancel_workflow(id)

    def status(self, id: str) -> WorkflowStatus | None:  # noqa: A002
        """See `WorkflowPort.status`."""
        found = self._dbos.list_workflows(workflow_ids=[id])
        if not found:
            return None
        state = _STATES[found[0].status]
        error = found[0].error
        name, _ = found[0].input["args"] if found[0].input else ("", {})
        return WorkflowStatus(
            id=id,
            name=name,
            state=state,
            error=to_json(error) if state is WorkflowState.FAILED and error is not None else None,
            output=found[0].output if state is WorkflowState.SUCCEEDED else None,
        )

    def states(self, ids: Sequence[str]) -> dict[str, WorkflowState]:
        """See `WorkflowPort.states`."""
        found: dict[str, WorkflowState] = {}
        for begin in range(0, len(ids), _BATCH):
            some = list(ids[begin : begin + _BATCH])
            page = self._dbos.list_workflows(workflow_ids=some, load_input=False, load_output=False)
            found |= {workflow.workflow_id: _STATES[workflow.status] for workflow in page}
        return found

    def steps(self, id: str) -> list[StepStatus]:  # noqa: A002
        """See `WorkflowPort.steps`."""
        workflow = self.status(id)
        graph = self._graphs.get(workflow.name) if workflow is not None else None
        if workflow is None or graph is None:
            return []
        kept = {record["function_name"]: record for record in self._dbos.list_workflow_steps(id)}
        found: dict[str, StepStatus] = {}
        for step in graph.steps:
            earlier = [found[name] for name in step.after]
            found[step.name] = replace(_step_status(step, kept, earlier, workflow.state), after=step.after)
        return list(found.values())

    def wake(self, id: str) -> None:  # noqa: A002
        """See `WorkflowPort.wake`. Reaches only what this process carries out."""
        if self._driver is not None:
            self._driver.wake(id)

    def reap(self) -> None:
        """See `WorkflowPort.reap`. Called after every heartbeat."""
        from dbos import DBOS

        if self._driver is None:
            return
        with self._db.read() as tx:
            dead = set(tx.replicas.dead(self._dead_after_seconds))
            living = {replica.id for replica in tx.replicas.list()} - dead
        underway = self._dbos.list_workflows(status="PENDING", load_input=False, load_output=False)
        orphaned = {w.executor_id for w in underway if w.executor_id} - living - {self._executor_id}
        if orphaned:
            log.warning("taking over from %s", ", ".join(sorted(orphaned)))
            # Not public, but the public way (resume) would also restart what another replica took over a moment ago.
            DBOS._recover_pending_workflows(sorted(orphaned))
        if dead:
            with self._db.transaction() as tx:
                for replica in dead:
                    tx.replicas.forget(replica)

    def list_underway(self, before: datetime) -> list[str]:
        """See `WorkflowPort.list_underway`."""
        found: list[str] = []
        while True:
            page = self._dbos.list_workflows(
                status=_UNDERWAY, end_time=before.isoformat(), limit=_PAGE, offset=len(found), load_input=False, load_output=False
            )
            found += [workflow.workflow_id for workflow in page]
            if len(page) < _PAGE:
                return found

    def cancel_many(self, ids: Sequence[str]) -> None:
        """See `WorkflowPort.cancel_many`."""
        for begin in range(0, len(ids), _BATCH):
            self._dbos.cancel_workflows(list(ids[begin : begin + _BATCH]))

    def forget_before(self, before: datetime, keep: Callable[[Sequence[str]], Collection[str]] = lambda _: ()) -> int:
        """See `WorkflowPort.forget_before`."""
        forgotten = kept = 0
        while True:
            page = self._dbos.list_workflows(
                status=_OVER, completed_before=before.isoformat(), limit=_BATCH, offset=kept, load_input=False, load_output=False
            )
            ids = [workflow.workflow_id for workflow in page]
            staying = set(keep(ids)) if ids else set()
            gone = [id for id in ids if id not in staying]  # noqa: A001
            if gone:
                self._dbos.delete_workflows(gone)
            forgotten, kept = forgotten + len(gone), kept + len(ids) - len(gone)
            if len(page) < _BATCH:
                return forgotten

    def _tell_failure(self, workflow: str, handler: str, given: dict[str, Any], error: dict[str, Any]) -> None:
        with self._db.transaction() as tx:
            self.enqueue(tx, handler, f"{workflow}/failed", {**given, "error": error})

    def _history(self, id: str) -> dict[int, str]:  # noqa: A002
        return {kept["function_id"]: kept["function_name"] for kept in self._dbos.list_workflow_steps(id, load_output=False)}

    def _open(self) -> DBOSClient:
        """The part of DBOS that enqueues and tells, with its tables in place."""
        from dbos import DBOSClient

        _quiet()
        self._engine = system_engine(self._db)
        client = DBOSClient(system_database_engine=self._engine, serializer=_serializer(), application_name=_APPLICATION, lazy=True)
        try:
            with translated(self._db.url):
                # Not public; the public DBOS.migrate would make an engine of its own, without our settings for SQLite.
                client._sys_db.run_migrations()
                client.register_queue(_QUEUE, polling_interval_sec=self._queue_seconds)
        except BaseException:
            client.destroy()
            self._engine.dispose()
            raise
        return client

    @property
    def _dbos(self) -> DBOSClient:
        if self._client is None:
            raise SystemFault("these workflows were stopped.")
        return self._client


def _step_status(step: Step, kept: dict[str, Any], earlier: list[StepStatus], workflow: WorkflowState) -> StepStatus:
    body, last = kept.get(step.name), kept.get(step.name if step.poll is None else step.name + WAIT_SUFFIX)
    final = last or (body if body is not None and body["error"] is not None else None)
    started = _time(body["started_at_epoch_ms"]) if body is not None else None
    if final is not None:
        error = final["error"]
        return StepStatus(
            name=step.name,
            state=WorkflowState.SUCCEEDED if error is None else WorkflowState.FAILED,
            started=started,
            ended=_time(final["completed_at_epoch_ms"]),
            error=None if error is None else to_json(error, step.name),
            output=final["output"],
        )
    if workflow.ended:
        return StepStatus(name=step.name, state=WorkflowState.CANCELED, started=started)
    if workflow is WorkflowState.RUNNING and all(s.state is WorkflowState.SUCCEEDED for s in earlier):
        # Only the end of a step is kept; it began when the last step before it ended.
        return StepStatus(
            name=step.name, state=WorkflowState.RUNNING, started=started or max((s.ended for s in earlier if s.ended), default=None)
        )
    return StepStatus(name=step.name, state=WorkflowState.PENDING, started=started)


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _serializer() -> Any:
    from dbos._serialization import Serializer

    class Json(JsonSerializer, Serializer):
        pass

    return Json()


def _quiet() -> None:
    """Send DBOS's log where ours goes, without what we tell ourselves (that a workflow failed, was canceled or stopped)."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.WARNING)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.addFilter(_worth_telling)


def _worth_telling(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not any(known in message for known in _KNOWN)


_KNOWN = ("Exception encountered in asynchronous workflow", "Asyncio task cancelled for workflow or step", "was cancelled during execution")
