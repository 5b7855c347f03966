from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from wichtel.domain import (
    Constraint,
    Expectation,
    Experiment,
    ExperimentConfig,
    ExperimentStatus,
    Intent,
    Model,
    Registration,
    UserError,
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
