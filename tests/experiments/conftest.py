from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wichtel.domain import (
    Constraint,
    Expectation,
    Experiment,
    ExperimentConfig,
    ExperimentResult,
    ExperimentState,
    ExperimentStatus,
    Intent,
    Model,
    Registration,
    UserError,
    Verdict,
    VerdictStatus,
)
from wichtel.experiments import Jobs, PeriodicJob
from wichtel.experiments.deadlines import Deadlines
from wichtel.experiments.ending import end
from wichtel.experiments.listeners import Listeners
from wichtel.experiments.starter import Starter
from wichtel.protocols.template import FAILED
from wichtel.store import Database, JobStatus
from wichtel.workflows import Graph, InlineWorkflows, Step, StepContext

INTENT = Intent(name="neutral", primary="auc", constraints=(Constraint(metric="auc", expectation=Expectation.LARGER, threshold=-0.01),))


@dataclass
class Clock:
    """A clock that only a test moves."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


@dataclass
class World:
    """Experiments over a store in memory and workflows that do nothing but what a test asks."""

    db: Database
    clock: Clock
    workflows: InlineWorkflows
    starter: Starter
    deadlines: Deadlines
    #: Experiments whose workflow may go on; those not among them hang.
    free: set[str] = field(default_factory=set)
    broken: dict[str, Exception] = field(default_factory=dict)

    def add(self, *names: str, group: str = "ads") -> None:
        with self.db.transaction() as tx:
            if tx.models.find("m") is None:
                tx.models.add(Model(name="m", owner="ana", team=group, head="v-1", created=tx.now))
            registration = f"r-{names[0]}"
            tx.registrations.add(
                Registration(id=registration, owner="ana", models=("m",), protocols=("P",), experiments=names, created=tx.now)
            )
            for i, name in enumerate(names):
                experiment = Experiment(
                    id=name,
                    registration=registration,
                    model="m",
                    target="v-1",
                    protocol="P",
                    config=ExperimentConfig(intent=INTENT),
                    owner="ana",
                    quota_group=group,
                    created=self.clock.now() + timedelta(microseconds=i),
                )
                tx.experiments.add(experiment)

    def run(self, seconds: float = 0.0) -> None:
        """What the threads of an orchestrator do by and by, after so many seconds."""
        self.clock.seconds += seconds
        self.deadlines.run()
        self.starter.look()
        self.workflows.run_pending()
        # What ended or failed made room.
        while self.starter.look():
            self.workflows.run_pending()

    def get(self, name: str) -> Experiment:
        with self.db.read() as tx:
            return tx.experiments.get(name)


@pytest.fixture
def world() -> Iterator[World]:
    clock = Clock()
    db = Database.open("sqlite://", upgrade=True, clock=clock.now)
    listeners = Listeners(db)
    made: list[World] = []

    def begin(ctx: StepContext, inputs: dict[str, object]) -> str:
        given = inputs["input"]
        assert isinstance(given, dict)
        name = given["experiment"]
        if name in made[0].broken:
            raise made[0].broken[name]
        with db.transaction() as tx:
            if not tx.experiments.set_workflow(name, given["generation"], ctx.workflow):
                raise UserError("stale")
        return str(name)

    def go_on(ctx: StepContext, name: str) -> str | None:
        if name not in made[0].free:
            return None
        with db.transaction() as tx:
            end(made[0].workflows, tx, name, ExperimentStatus.UNSATISFIED, "no gain")
        return "done"

    graph = Graph("protocol/P", (Step("work", begin, poll=go_on, retries=0),), on_failure=FAILED)
    workflows = InlineWorkflows(graphs=[graph], handlers=listeners.handlers(), clock=lambda: clock.seconds)
    listeners.bind(workflows)
    starter = Starter(db, workflows, default_share=2)
    made.append(World(db, clock, workflows, starter, Deadlines(db, workflows, lease_seconds=300, expire_days=30)))
    workflows.start()
    yield made[0]
    db.close()


NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def _result(models: int = 2, diff: str = "") -> ExperimentResult:
    return ExperimentResult(
        baseline="v-1",
        candidate="v-2",
        verdict=Verdict(status=VerdictStatus.SATISFIED, intent="neutral", findings=(), reason="fine"),
        diff=diff,
        models_trained=models,
        baseline_metrics={"auc": 0.5, "bytes": 10.0},
        candidate_metrics={"auc": 0.75},
    )


def _finished(name: str, status: ExperimentStatus = ExperimentStatus.CANCELED, **more: Any) -> Experiment:
    """One that ended at `NOON` unless said otherwise, after a second in the queue, two of scheduling and an hour of work."""
    end = more.pop("finished", NOON)
    values: dict[str, Any] = {
        "registration": "r-1",
        "model": "m",
        "target": "v-1",
        "protocol": "P",
        "config": ExperimentConfig(intent=INTENT, parameters={"width": 3}),
        "owner": "ana",
        "quota_group": "ads",
        "state": ExperimentState.FINISHED,
        "status": status,
        "cause": "because",
        "generation": 1,
        "began": end - timedelta(hours=1),
        "started": end - timedelta(hours=1, seconds=2),
        "created": end - timedelta(hours=1, seconds=3),
        "finished": end,
        "result": _result() if status in (ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED) else None,
    }
    return Experiment(id=name, **(values | more))


def _add(database: Database, *experiments: Experiment) -> None:
    with database.transaction() as tx:
        if tx.models.find("m") is None:
            tx.models.add(Model(name="m", owner="ana", team="ads", head="v-1", created=tx.now))
            tx.registrations.add(Registration(id="r-1", owner="ana", models=("m",), protocols=("P",), experiments=(), created=tx.now))
        for experiment in experiments:
            tx.experiments.add(experiment)


@pytest.fixture
def finished() -> Callable[..., Experiment]:
    """Makes experiments that have finished, without the work."""
    return _finished


@pytest.fixture
def add() -> Callable[..., None]:
    """Adds experiments to a database."""
    return _add


_VICTIM = """
import os, sys, threading
from wichtel.experiments import Jobs, PeriodicJob
from wichtel.store import Database
db, how, left = Database.open(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
def strike():
    # Called wherever this process may be struck.
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), how)
{work}
over = threading.Event()
def run():
    try:
        return work(db, *sys.argv[4:])
    finally:
        over.set()
jobs = Jobs(db, [PeriodicJob(name="it", every_seconds=3600, run=run)], "victim", poll_seconds=0.02, claim_seconds=1.0)
jobs.start()
over.wait(60)
jobs.stop()
db.close()
"""


@pytest.fixture(params=[signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def taken_over(request: pytest.FixtureRequest, database: Database, database_url: str) -> Callable[..., JobStatus]:
    """Has the holder of a job struck in the middle, and two others there to take it over; returns how the job stands when one has.

    A holder that is frozen wakes up when the others have done the work, and goes on where it was. Not on SQLite, which it may keep locked:
    there, the service is one process.
    """
    if database.is_sqlite and request.param is signal.SIGSTOP:
        pytest.skip("a frozen process may keep SQLite locked; there, the service is one process")

    def take_over(work: str, arguments: list[str], run: Callable[[], dict[str, Any]], *, at: int) -> JobStatus:
        """`work` defines ``work(db, *arguments)`` for the process of the victim, which calls ``strike()``; the `at`-th call is its end."""
        with database.transaction() as tx:
            tx.jobs.ensure("it", 3600.0, tx.now)
        command = [sys.executable, "-c", _VICTIM.replace("{work}", work), database_url, str(int(request.param)), str(at), *arguments]
        with subprocess.Popen(command) as victim:
            try:
                while Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZ":
                    time.sleep(0.01)
                with database.read() as tx:
                    assert tx.jobs.get("it").holder == "victim", "it was not struck in the middle"
                others = [
                    Jobs(database, [PeriodicJob(name="it", every_seconds=3600, run=run)], who, poll_seconds=0.02) for who in ("a", "b")
                ]
                for other in others:
                    other.start()
                deadline = time.monotonic() + 60
                while True:
                    with database.read() as tx:
                        found = tx.jobs.get("it")
                    if found.ended:
                        break
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                for other in others:
                    other.stop()
            finally:
                victim.send_signal(signal.SIGCONT)
            assert victim.wait(60) == (-signal.SIGKILL if request.param is signal.SIGKILL else 0)
        with database.read() as tx:
            # What the victim said later was not heard.
            assert tx.jobs.get("it") == found
        assert (found.token, found.error) == (2, "")
        return found

    return take_over
