"""What steps find again, and what they do not take over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wichtel.domain import (
    Analysis,
    Constraint,
    Dataset,
    Expectation,
    Experiment,
    ExperimentConfig,
    ExperimentStatus,
    IllegalTransition,
    Intent,
    Job,
    Metadata,
    Model,
    ModelVersion,
    Registration,
    RunState,
    Window,
)
from wichtel.protocols import Services
from wichtel.protocols.submission import submit_baseline
from wichtel.protocols.template import Steps
from wichtel.protocols.train_model import TrainModel
from wichtel.store import Artifacts, Database
from wichtel.workflows import StepContext

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOWS = [Window(start=START + timedelta(days=d), end=START + timedelta(days=d + 1)) for d in (-3, -2)]
ANALYSIS = Analysis(
    trainer="sklearn",
    features=(),
    tunables=(),
    metadata=Metadata(primary_metric="auc", better=Expectation.LARGER),
    job=Job(dataset="d", label="y", train=WINDOWS[0], evaluation=WINDOWS[1], load_seconds=900.0),
)
INTENT = Intent(name="neutral", primary="auc", constraints=(Constraint(metric="auc", expectation=Expectation.LARGER, threshold=-0.01),))


@dataclass
class World:
    """One model, and experiments on it that their workflows have begun."""

    db: Database
    steps: Steps
    now: datetime = START

    def later(self) -> None:
        self.now += timedelta(minutes=1)

    def begin(self, name: str, **config: Any) -> dict[str, Any]:
        self.later()
        with self.db.transaction() as tx:
            tx.registrations.add(Registration(id=name, owner="ana", models=("m",), protocols=("P",), experiments=(name,), created=tx.now))
            tx.experiments.add(
                Experiment(
                    id=name,
                    registration=name,
                    model="m",
                    target="v-1",
                    protocol="TrainModel",
                    config=ExperimentConfig(intent=INTENT, **config),
                    owner="ana",
                    quota_group="ads",
                    created=tx.now,
                )
            )
            assert tx.experiments.start(name) is not None
        return {"input": {"experiment": name, "generation": 1}}

    def analyse(self, inputs: dict[str, Any]) -> str:
        context = StepContext(workflow=f"{inputs['input']['experiment']}/run/1", step="analyse_base", attempt=1)
        return str(self.steps.submit_analysis(context, inputs, "t" * 64)["run"])

    def baseline(self, name: str) -> str:
        with self.db.transaction() as tx:
            return submit_baseline(tx, tx.experiments.get(name), "t" * 64, ANALYSIS, 0)

    def end(self, run: str, state: RunState) -> None:
        self.later()
        with self.db.transaction() as tx:
            assert tx.runs.update_many([replace(tx.runs.get(run), state=state, attempt=1, ended=tx.now)]) == 1


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    made: list[World] = []
    db = Database.open("sqlite://", upgrade=True, clock=lambda: made[0].now if made else START)
    services = Services(db=db, artifacts=Artifacts(str(tmp_path)), finish=lambda *_: True)
    made.append(World(db, Steps(TrainModel(), services)))
    with db.transaction() as tx:
        tx.datasets.add(
            Dataset(name="d", digest="d", time_column="t", columns={}, rows=1, start=START, end=START, owner="ana", created=tx.now)
        )
        tx.models.add(Model(name="m", owner="ana", team="ads", head="v-1", created=tx.now))
        tx.versions.add(ModelVersion(id="v-1", model="m", tree="t" * 64, analysis=ANALYSIS, created=tx.now))
    yield made[0]
    db.close()


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELED])
def test_an_analysis_that_came_to_nothing_is_tried_again_by_the_next_experiment(world, state) -> None:
    first = world.begin("e1")
    run = world.analyse(first)
    world.end(run, state)
    again = world.analyse(world.begin("e2"))
    assert again != run
    world.end(again, RunState.SUCCEEDED)
    assert world.analyse(world.begin("e3")) == again


def test_a_step_that_is_carried_out_again_reports_its_own_failure(world) -> None:
    inputs = world.begin("e1")
    run = world.analyse(inputs)
    world.end(run, RunState.FAILED)
    assert world.analyse(inputs) == run


def test_a_plan_may_take_as_long_to_load_as_its_job_says(world) -> None:
    run = world.analyse(world.begin("e1"))
    with world.db.read() as tx:
        assert tx.runs.get(run).spec.timeout_seconds > 900


def test_an_experiment_that_has_ended_submits_nothing_more(world) -> None:
    inputs = world.begin("e1")
    with world.db.transaction() as tx:
        tx.experiments.finish("e1", ExperimentStatus.CANCELED, "enough")
    with pytest.raises(IllegalTransition, match="no longer this workflow's"):
        world.analyse(inputs)
    with world.db.read() as tx:
        assert tx.runs.list() == []


def test_a_baseline_of_no_age_is_trained_once_for_its_experiment_and_again_for_the_next(world) -> None:
    world.begin("e1", baseline_max_age_days=0.0)
    run = world.baseline("e1")
    world.end(run, RunState.SUCCEEDED)
    world.later()
    assert world.baseline("e1") == run
    world.begin("e2", baseline_max_age_days=0.0)
    assert world.baseline("e2") != run


def test_a_baseline_may_be_as_old_as_you_like(world) -> None:
    world.begin("e1")
    run = world.baseline("e1")
    world.end(run, RunState.SUCCEEDED)
    world.begin("e2", baseline_max_age_days=1e300)
    assert world.baseline("e2") == run
