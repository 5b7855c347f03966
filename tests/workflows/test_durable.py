"""What only the durable workflows have to show."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from wichtel.domain import InvalidInput, SystemFault
from wichtel.store import Database
from wichtel.workflows import Graph, Handler, Step, StepContext, Workflows


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path}/w.db", upgrade=True)
    yield opened
    opened.close()


@pytest.fixture
def make(db: Database) -> Iterator[Callable[..., Workflows]]:
    """Makes workflows, and stops them at the end."""
    made: list[Workflows] = []

    def one(executor_id: str, **more: Any) -> Workflows:
        made.append(Workflows(db, executor_id=executor_id, **more))
        return made[-1]

    yield one
    for workflows in made:
        workflows.stop()


def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def ended(workflows: Workflows, name: str) -> bool:
    status = workflows.status(name)
    return status is not None and status.state.ended


class Long:
    """A graph that submits, waits until it is let go, and goes on."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.asked: set[str] = set()
        self.go = threading.Event()

    def body(self, context: StepContext, inputs: dict[str, Any]) -> str:
        self.began.append(context.key)
        return context.key

    def poll(self, context: StepContext, ticket: Any) -> str | None:
        assert ticket == context.key
        self.asked.add(context.workflow)
        return "done" if self.go.is_set() else None

    def graph(self) -> Graph:
        return Graph("long", (Step("submit", self.body, poll=self.poll), Step("after", self.body, after=("submit",))))


def test_two_hundred_wait_in_one_process(db: Database, make: Callable[..., Workflows]) -> None:
    long, count = Long(), 200
    workflows = make("one", graphs=[long.graph()], poll_seconds=2.0)
    workflows.start()
    before = threading.active_count()
    with db.transaction() as tx:
        for number in range(count):
            workflows.enqueue(tx, "long", f"w{number}", {})
    until(lambda: len(long.asked) == count)

    def rows() -> list[int]:
        tables = ("operation_outputs", "workflow_status", "notifications", "workflow_events")
        with db.read() as tx:
            return [int(tx.connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() or 0) for table in tables]

    kept = rows()
    assert kept[:2] == [count, count]
    time.sleep(1.0)
    assert rows() == kept, "waiting writes nothing"
    # The bodies' threads, those that poll, those of DBOS's bookkeeping: as many for 200 as for 20.
    assert threading.active_count() - before <= 16 + 8 + 16
    long.go.set()
    for number in range(count):
        workflows.wake(f"w{number}")
    until(lambda: all(ended(workflows, f"w{number}") for number in range(count)))
    assert sorted(long.began) == sorted(f"w{number}/{step}" for number in range(count) for step in ("submit", "after"))
    workflows.stop()


def test_the_next_one_of_that_name_goes_on_where_the_last_one_stopped(db: Database, make: Callable[..., Workflows]) -> None:
    long = Long()
    for _ in range(2):
        workflows = make("one", graphs=[long.graph()])
        workflows.start()
        with db.transaction() as tx:
            workflows.enqueue(tx, "long", "w1", {})
        until(lambda: long.asked)
        long.asked.clear()
        workflows.stop()
    assert long.began == ["w1/submit"]
    long.go.set()
    workflows.start()
    until(lambda: ended(workflows, "w1"))
    assert long.began == ["w1/submit", "w1/after"]
    workflows.stop()


def test_one_of_another_name_takes_over_what_was_left(db: Database, make: Callable[..., Workflows]) -> None:
    long = Long()
    one = make("one", graphs=[long.graph()])
    one.start()
    with db.transaction() as tx:
        one.enqueue(tx, "long", "w1", {})
    until(lambda: long.asked)
    one.stop()
    long.go.set()
    two = make("two", graphs=[long.graph()], beat_seconds=3600)
    two.start()
    time.sleep(0.5)
    assert not ended(two, "w1")
    two.reap()
    until(lambda: ended(two, "w1"))
    assert long.began == ["w1/submit", "w1/after"]
    two.stop()


def test_the_reaper_leaves_the_living_alone(db: Database, make: Callable[..., Workflows]) -> None:
    long = Long()
    one = make("one", graphs=[long.graph()], beat_seconds=0.1)
    one.start()
    with db.transaction() as tx:
        one.enqueue(tx, "long", "w1", {})
        tx.replicas.beat("other")
    until(lambda: long.asked)
    time.sleep(0.5)
    with db.read() as tx:
        assert [replica.id for replica in tx.replicas.list()] == ["one", "other"]
    assert long.began == ["w1/submit"]
    one.stop()


def test_one_that_was_taken_for_dead_by_mistake_does_no_harm(db: Database, make: Callable[..., Workflows]) -> None:
    from dbos import DBOS

    long = Long()
    workflows = make("one", graphs=[long.graph()], poll_seconds=0.2)
    workflows.start()
    with db.transaction() as tx:
        workflows.enqueue(tx, "long", "w1", {})
    until(lambda: long.asked)
    # What another replica's reaper would do. The workflow is then carried out twice at once, by the old owner and by the new one.
    DBOS._recover_pending_workflows(["one"])
    long.asked.clear()
    time.sleep(1.0)
    long.go.set()
    until(lambda: ended(workflows, "w1"))
    status = workflows.status("w1")
    assert status is not None
    assert (status.state, status.output) == ("SUCCEEDED", {"after": "w1/after"})
    assert long.began == ["w1/submit", "w1/after"]


def test_a_canceled_graph_begins_no_further_step(db: Database, make: Callable[..., Workflows]) -> None:
    began, go = [], threading.Event()

    def first(context: StepContext, inputs: dict[str, Any]) -> int:
        began.append(context.step)
        go.wait(10)
        return 1

    def second(context: StepContext, inputs: dict[str, Any]) -> int:
        began.append(context.step)
        return 2

    graph = Graph("g", (Step("first", first), Step("second", second, after=("first",))))
    workflows = make("one", graphs=[graph])
    workflows.start()
    with db.transaction() as tx:
        workflows.enqueue(tx, "g", "w1", {})
        workflows.enqueue(tx, "g", "w2", {}, delay_seconds=1.0)
    until(lambda: began)
    workflows.cancel("w1")
    workflows.cancel("w2")
    go.set()
    time.sleep(2.5)
    assert began == ["first"]
    assert [step.state for step in workflows.steps("w1")] == ["CANCELED", "CANCELED"]
    workflows.stop()


def test_nothing_kept_is_a_pickle(db: Database, make: Callable[..., Workflows]) -> None:
    def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        raise OSError("gone")

    graph = Graph("g", (Step("a", lambda c, i: {"x": [1.5, None, "ü"]}), Step("b", fail, after=("a",), retries=0)))
    workflows = make("one", graphs=[graph])
    workflows.start()
    with db.transaction() as tx:
        workflows.enqueue(tx, "g", "w1", {"x": 1})
    until(lambda: ended(workflows, "w1"))
    workflows.stop()
    columns = {"workflow_input": ("inputs",), "workflow_output": ("output", "error"), "operation_outputs": ("output", "error")}
    found = 0
    with db.read() as tx:
        for table, names in columns.items():
            for name in names:
                for value in tx.connection.execute(text(f"SELECT {name} FROM {table} WHERE {name} IS NOT NULL")).scalars():
                    json.loads(value)
                    found += 1
        for table in ("workflow_status", "operation_outputs"):
            assert set(tx.connection.execute(text(f"SELECT serialization FROM {table}")).scalars()) == {"wichtel_json"}
    assert found == 4


def test_a_graph_may_be_edited_while_it_is_underway(db: Database, make: Callable[..., Workflows]) -> None:
    long = Long()
    one = make("one", graphs=[long.graph()])
    one.start()
    with db.transaction() as tx:
        one.enqueue(tx, "long", "w1", {})
    until(lambda: long.asked)
    one.stop()
    long.go.set()
    edited = Graph(
        "long",
        (
            Step("new", long.body),
            Step("submit", long.body, after=("new",), poll=long.poll),
            Step("newer", long.body, after=("submit",)),
            Step("after", long.body, after=("newer",)),
        ),
    )
    two = make("one", graphs=[edited])
    two.start()
    until(lambda: ended(two, "w1"))
    assert [step.state for step in two.steps("w1")] == ["SUCCEEDED"] * 4
    assert long.began == ["w1/submit", "w1/new", "w1/newer", "w1/after"]
    two.stop()


def test_a_graph_that_this_process_does_not_know_fails_with_the_reason(db: Database, make: Callable[..., Workflows]) -> None:
    other = make("other", handlers=[Handler("listener", lambda c, i: None)])
    with db.transaction() as tx:
        other.enqueue(tx, "listener", "w1", {})
    other.stop()
    workflows = make("one", handlers=[Handler("listeners", lambda c, i: None)])
    workflows.start()
    until(lambda: ended(workflows, "w1"))
    status = workflows.status("w1")
    assert status is not None
    assert status.error is not None
    assert "no graph and no handler is called 'listener' here" in status.error["message"]
    assert status.error["code"] == "system_fault"
    workflows.stop()


def test_one_process_starts_one(db: Database, make: Callable[..., Workflows]) -> None:
    one = make("one")
    two = make("two")
    one.start()
    one.start()
    with pytest.raises(SystemFault, match="already"):
        two.start()
    one.stop()
    two.start()
    two.stop()
    two.stop()
    with pytest.raises(SystemFault, match="stopped"):
        two.status("w1")


def test_a_start_that_fails_leaves_room_for_the_next(db: Database, make: Callable[..., Workflows], monkeypatch: pytest.MonkeyPatch) -> None:
    workflows = make("one")

    def refuse() -> None:
        raise SystemFault("the database is away.")

    with monkeypatch.context() as patched:
        patched.setattr(db, "transaction", refuse)
        with pytest.raises(SystemFault, match="away"):
            workflows.start()
    workflows.start()
    workflows.stop()


def test_a_server_may_start_it_from_its_event_loop(db: Database, make: Callable[..., Workflows]) -> None:
    workflows = make("one", handlers=[Handler("listener", lambda c, i: i["x"])])

    async def serve() -> None:
        workflows.start()
        with db.transaction() as tx:
            workflows.enqueue(tx, "listener", "w1", {"x": 1})
        # The loop is blocked: if the workflow ran on it, it would not end.
        until(lambda: ended(workflows, "w1"), 10)
        workflows.stop()

    asyncio.run(serve())


def test_a_database_in_memory_is_refused() -> None:
    db = Database.open("sqlite://", upgrade=True)
    with pytest.raises(InvalidInput, match="InlineWorkflows"):
        Workflows(db, executor_id="one")
    db.close()


def test_defining_graphs_loads_no_database() -> None:
    code = "import sys, wichtel.workflows; sys.exit(bool({'dbos', 'sqlalchemy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
