from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
from wichtel.experiments.ending import EXPIRE, end, enqueue_schedule
from wichtel.experiments.listeners import Listeners
from wichtel.protocols.template import FAILED
from wichtel.store import Database
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
                self.workflows.enqueue(tx, EXPIRE, f"{name}/expire", {"experiment": name}, delay_seconds=30 * 86_400)
            enqueue_schedule(self.workflows, tx, f"added/{names}")

    def run(self, seconds: float = 0.0) -> None:
        self.clock.seconds += seconds
        self.workflows.run_pending()

    def get(self, name: str) -> Experiment:
        with self.db.read() as tx:
            return tx.experiments.get(name)


@pytest.fixture
def world() -> Iterator[World]:
    clock = Clock()
    db = Database.open("sqlite://", upgrade=True, clock=clock.now)
    listeners = Listeners(db, lease_seconds=300, default_share=2)
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
    made.append(World(db, clock, workflows))
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
