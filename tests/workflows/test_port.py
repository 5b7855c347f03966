"""What every implementation of `WorkflowPort` does."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wichtel.domain import InvalidInput, NotFound, PlanError, WorkerLost
from wichtel.domain.errors import from_json
from wichtel.store import Database
from wichtel.workflows import Graph, Handler, HandlerContext, InlineWorkflows, Step, StepContext, WorkflowPort, Workflows


class World:
    """Bodies that note what they were given, and switches that decide what they do."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.attempts: list[int] = []
        self.failing: list[Exception] = []
        self.polls = 0
        self.ready = threading.Event()

    def add(self, context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((context.key, inputs))
        return {"sum": inputs["input"]["x"] + sum(v["sum"] for k, v in inputs.items() if k != "input")}

    def fail(self, context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        self.attempts.append(context.attempt)
        if self.failing:
            raise self.failing.pop(0)
        return {"sum": 0}

    def submit(self, context: StepContext, inputs: dict[str, Any]) -> tuple[str, int]:
        self.calls.append((context.key, inputs))
        return ("ticket", 7)

    def ask(self, context: StepContext, ticket: Any) -> Any:
        assert ticket == ["ticket", 7]
        self.polls += 1
        if self.failing:
            raise self.failing.pop(0)
        return {"sum": 1} if self.ready.is_set() else None

    def handle(self, context: HandlerContext, given: dict[str, Any]) -> Any:
        self.calls.append((context.key, given))
        return given["x"]

    def bad(self, context: StepContext, inputs: dict[str, Any]) -> Any:
        return {1, 2}

    def definitions(self) -> dict[str, Any]:
        diamond = [Step("a", self.add), Step("b", self.add, after=("a",)), Step("c", self.add, after=("a",))]
        return {
            "graphs": [
                Graph("diamond", (*diamond, Step("d", self.add, after=("b", "c")))),
                Graph("fails", (Step("a", self.add), Step("b", self.fail, after=("a",), retries=2), Step("c", self.add, after=("b",)))),
                Graph("waits", (Step("a", self.submit, poll=self.ask, retries=2), Step("b", self.add, after=("a",)))),
                Graph("bad", (Step("a", self.bad),)),
            ],
            "handlers": [Handler("listener", self.handle)],
        }


class Setup:
    def __init__(self, db: Database, workflows: WorkflowPort, world: World) -> None:
        self.db = db
        self.workflows = workflows
        self.world = world

    def enqueue(self, name: str, workflow: str, x: int = 1, **more: Any) -> None:
        with self.db.transaction() as tx:
            self.workflows.enqueue(tx, name, workflow, {"x": x}, **more)

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not come about in time"
            if isinstance(self.workflows, InlineWorkflows):
                self.workflows.run_pending()
            time.sleep(0.02)

    def state(self, workflow: str) -> str | None:
        status = self.workflows.status(workflow)
        return None if status is None else str(status.state)

    def end(self, workflow: str) -> str:
        self.until(lambda: self.state(workflow) in ("SUCCEEDED", "FAILED", "CANCELED"))
        return str(self.state(workflow))

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)


@pytest.fixture(params=["inline", "sqlite", "postgresql"])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setup]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/w.db"
    db = Database.open(url, upgrade=True)
    world = World()
    workflows: WorkflowPort
    if request.param == "inline":
        workflows = InlineWorkflows(**world.definitions())
    else:
        workflows = Workflows(db, executor_id="one", backoff_seconds=0.05, poll_seconds=0.3, **world.definitions())
    workflows.start()
    yield Setup(db, workflows, world)
    workflows.stop()
    db.close()


def test_a_step_sees_the_outputs_of_all_it_comes_after(setup: Setup) -> None:
    setup.enqueue("diamond", "w1", x=1)
    assert setup.end("w1") == "SUCCEEDED"
    status = setup.workflows.status("w1")
    assert status is not None
    assert (status.id, status.name, status.error) == ("w1", "diamond", None)
    # a = 1, b = c = 1 + 1, d = 1 + 1 + 2 + 2
    assert status.output == {"d": {"sum": 6}}
    calls = dict(setup.world.calls)
    assert sorted(calls) == ["w1/a", "w1/b", "w1/c", "w1/d"]
    assert calls["w1/d"] == {"input": {"x": 1}, "a": {"sum": 1}, "b": {"sum": 2}, "c": {"sum": 2}}
    assert calls["w1/b"] == {"input": {"x": 1}, "a": {"sum": 1}}


def test_steps_are_told_in_order_with_their_times(setup: Setup) -> None:
    setup.enqueue("diamond", "w1")
    setup.end("w1")
    steps = setup.workflows.steps("w1")
    assert [step.name for step in steps] == ["a", "b", "c", "d"]
    assert {step.state for step in steps} == {"SUCCEEDED"}
    assert [step.output for step in steps] == [{"sum": 1}, {"sum": 2}, {"sum": 2}, {"sum": 6}]
    for step in steps:
        assert step.started is not None
        assert step.ended is not None
        assert step.started.tzinfo is not None
        assert step.started <= step.ended


def test_a_handler_is_a_job_of_one_step(setup: Setup) -> None:
    setup.enqueue("listener", "h1", x=5)
    assert setup.end("h1") == "SUCCEEDED"
    status = setup.workflows.status("h1")
    assert status is not None
    assert status.output == 5
    assert setup.world.calls == [("h1", {"x": 5})]


def test_the_same_id_twice_is_once(setup: Setup) -> None:
    with setup.db.transaction() as tx:
        setup.workflows.enqueue(tx, "listener", "h1", {"x": 1})
        setup.workflows.enqueue(tx, "listener", "h1", {"x": 2})
    setup.end("h1")
    setup.enqueue("listener", "h1", x=3)
    setup.pause(0.3)
    assert setup.world.calls == [("h1", {"x": 1})]


def test_a_rolled_back_enqueue_never_was(setup: Setup) -> None:
    with contextlib.suppress(ZeroDivisionError), setup.db.transaction() as tx:
        setup.workflows.enqueue(tx, "listener", "h1", {"x": 1})
        1 / 0  # noqa: B018
    with setup.db.transaction() as tx:
        setup.workflows.enqueue(tx, "listener", "h3", {"x": 3})
    setup.end("h3")
    assert setup.workflows.status("h1") is None
    assert setup.workflows.steps("h1") == []
    assert setup.world.calls == [("h3", {"x": 3})]


def test_a_delayed_one_waits(setup: Setup) -> None:
    began = time.monotonic()
    setup.enqueue("listener", "soon", delay_seconds=0.6)
    setup.enqueue("listener", "in a month", delay_seconds=30 * 86400)
    assert setup.end("soon") == "SUCCEEDED"
    assert time.monotonic() - began > 0.5
    assert setup.state("in a month") == "PENDING"
    setup.workflows.cancel("in a month")
    assert setup.state("in a month") == "CANCELED"


def test_an_unknown_name_is_refused(setup: Setup) -> None:
    with pytest.raises(NotFound, match="Did you mean 'listener'"):
        setup.enqueue("listner", "x")


@pytest.mark.parametrize(("workflow", "given"), [("", {}), ("x", [1]), ("x", {"a": {1, 2}})])
def test_an_input_that_cannot_be_kept_is_refused(setup: Setup, workflow: str, given: Any) -> None:
    with pytest.raises(InvalidInput), setup.db.transaction() as tx:
        setup.workflows.enqueue(tx, "listener", workflow, given)


def test_what_the_user_caused_is_not_tried_again(setup: Setup) -> None:
    setup.world.failing = [PlanError("it defines no model.", where="plan.py", hint="Name it `model`.")]
    setup.enqueue("fails", "w1")
    assert setup.end("w1") == "FAILED"
    assert setup.world.attempts == [1]
    status = setup.workflows.status("w1")
    assert status is not None
    assert status.error == {
        "code": "plan_error",
        "message": "it defines no model.",
        "where": "plan.py",
        "hint": "Name it `model`.",
        "step": "b",
    }
    assert isinstance(from_json(status.error), PlanError)
    steps = setup.workflows.steps("w1")
    assert [step.state for step in steps] == ["SUCCEEDED", "FAILED", "CANCELED"]
    assert steps[1].error == status.error


def test_a_passing_fault_is_tried_again(setup: Setup) -> None:
    setup.world.failing = [OSError("gone"), WorkerLost("it died.")]
    setup.enqueue("fails", "w1")
    assert setup.end("w1") == "SUCCEEDED"
    assert setup.world.attempts == [1, 2, 3]


def test_a_lasting_fault_fails_with_the_end_of_its_traceback(setup: Setup) -> None:
    setup.world.failing = [OSError(f"gone {i}") for i in range(5)]
    setup.enqueue("fails", "w1")
    assert setup.end("w1") == "FAILED"
    assert setup.world.attempts == [1, 2, 3]
    status = setup.workflows.status("w1")
    assert status is not None
    assert status.error is not None
    assert status.error["code"] == "system_fault"
    assert status.error["message"] == "OSError: gone 2"
    assert status.error["step"] == "b"
    assert "in fail" in status.error["traceback"]
    assert len(setup.world.calls) == 1


def test_a_system_fault_keeps_its_kind(setup: Setup) -> None:
    setup.world.failing = [WorkerLost("it died.", hint="More memory.") for _ in range(5)]
    setup.enqueue("fails", "w1")
    assert setup.end("w1") == "FAILED"
    status = setup.workflows.status("w1")
    assert status is not None
    assert status.error == {"code": "worker_lost", "message": "it died.", "where": None, "hint": "More memory.", "step": "b"}


def test_an_output_must_be_plain_json(setup: Setup) -> None:
    setup.enqueue("bad", "w1")
    assert setup.end("w1") == "FAILED"
    status = setup.workflows.status("w1")
    assert status is not None
    assert status.error is not None
    assert "not plain JSON" in status.error["message"]


def test_long_work_is_submitted_once_and_asked_about(setup: Setup) -> None:
    setup.enqueue("waits", "w1")
    setup.until(lambda: setup.world.polls >= 2)
    assert setup.state("w1") == "RUNNING"
    assert [step.state for step in setup.workflows.steps("w1")] == ["RUNNING", "PENDING"]
    setup.world.ready.set()
    setup.workflows.wake("w1")
    assert setup.end("w1") == "SUCCEEDED"
    assert [key for key, _ in setup.world.calls] == ["w1/a", "w1/b"]
    assert [step.output for step in setup.workflows.steps("w1")] == [{"sum": 1}, {"sum": 2}]


def test_a_poll_may_say_that_the_user_caused_a_failure(setup: Setup) -> None:
    setup.enqueue("waits", "w1")
    setup.until(lambda: setup.world.polls >= 1)
    setup.world.failing = [PlanError("it loops for ever.")]
    assert setup.end("w1") == "FAILED"
    status = setup.workflows.status("w1")
    assert status is not None
    assert status.error is not None
    assert (status.error["code"], status.error["step"]) == ("plan_error", "a")
    assert [step.state for step in setup.workflows.steps("w1")] == ["FAILED", "CANCELED"]


def test_a_poll_may_fail_for_a_while(setup: Setup) -> None:
    setup.enqueue("waits", "w1")
    setup.until(lambda: setup.world.polls >= 1)
    setup.world.failing = [OSError("the database is away")]
    setup.until(lambda: not setup.world.failing)
    setup.world.ready.set()
    assert setup.end("w1") == "SUCCEEDED"


def test_cancel_ends_what_waits(setup: Setup) -> None:
    setup.enqueue("waits", "w1")
    setup.until(lambda: setup.world.polls >= 1)
    setup.workflows.cancel("w1")
    assert setup.state("w1") == "CANCELED"
    setup.pause(1.3)
    polls = setup.world.polls
    setup.world.ready.set()
    setup.workflows.wake("w1")
    setup.pause(0.7)
    assert setup.world.polls == polls
    assert setup.state("w1") == "CANCELED"
    assert [step.state for step in setup.workflows.steps("w1")] == ["CANCELED", "CANCELED"]
    assert [key for key, _ in setup.world.calls] == ["w1/a"]


def test_cancel_of_what_has_ended_or_never_was_does_nothing(setup: Setup) -> None:
    setup.enqueue("listener", "h1")
    setup.end("h1")
    setup.workflows.cancel("h1")
    setup.workflows.cancel("nobody")
    assert setup.state("h1") == "SUCCEEDED"
    assert setup.state("nobody") is None


def test_what_is_under_way_is_listed_and_canceled_at_once_and_what_ended_is_forgotten(setup: Setup) -> None:
    setup.enqueue("waits", "w1")
    setup.enqueue("listener", "in a month", delay_seconds=30 * 86_400)
    setup.enqueue("listener", "h1")
    setup.end("h1")
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert setup.workflows.list_underway(soon - timedelta(hours=1)) == []
    assert set(setup.workflows.list_underway(soon)) == {"w1", "in a month"}
    setup.workflows.cancel_many(["w1", "in a month", "h1", "nobody"])
    assert [setup.state(w) for w in ("w1", "in a month", "h1")] == ["CANCELED", "CANCELED", "SUCCEEDED"]
    assert setup.workflows.list_underway(soon) == []
    assert setup.workflows.forget_before(soon - timedelta(hours=1)) == 0
    assert setup.workflows.forget_before(soon, lambda ids: {"w1"} & set(ids)) == 2
    assert [setup.state(w) for w in ("w1", "in a month", "h1")] == ["CANCELED", None, None]
    assert setup.workflows.steps("h1") == []
    # A forgotten one may be enqueued again.
    setup.enqueue("listener", "h1")
    assert setup.end("h1") == "SUCCEEDED"
