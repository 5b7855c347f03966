"""What is told of experiments before they are registered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wichtel.domain import (
    Analysis,
    Dataset,
    Estimate,
    Expectation,
    ExperimentResult,
    ExperimentStatus,
    InvalidInput,
    Job,
    Metadata,
    Model,
    ModelVersion,
    NotPermitted,
    Tunable,
    Verdict,
    Window,
)
from wichtel.experiments import Experiments, Forecasts, Principal, ProtocolRequest, RegisterModels, Role
from wichtel.experiments.preview import preview
from wichtel.plans import SourceTree
from wichtel.store import Artifacts, Database
from wichtel.workflows import InlineWorkflows

ANA = Principal(name="ana", team="ads", role=Role.EDITOR)
PLAN = b'from wichtel import tunable\n\nwidth = tunable.Int("width", default=3, min=1, max=9)\nmodel = object()\n'


def window(day: int) -> Window:
    return Window(start=datetime(2026, 1, day, tzinfo=UTC), end=datetime(2026, 1, day + 1, tzinfo=UTC))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    """Two models of team ads, the second without a holdout window, and one of team maps."""
    db = Database.open(f"sqlite:///{tmp_path}/w.db", upgrade=True)
    artifacts = Artifacts(str(tmp_path / "artifacts"))
    tree = SourceTree({"plan.py": PLAN, "job.toml": b""}).save(artifacts)
    with db.transaction() as tx:
        day = window(1)
        tx.datasets.add(
            Dataset(name="d", digest="0" * 64, time_column="t", columns={}, rows=1, start=day.start, end=day.end, created=tx.now)
        )
        for name, team, holdout in (("ads/a", "ads", window(3)), ("ads/b", "ads", None), ("maps/c", "maps", window(3))):
            job = Job(dataset="d", label="y", train=window(1), evaluation=window(2), holdout=holdout)
            analysis = Analysis(
                trainer="sklearn",
                features=(),
                tunables=(Tunable(name="width", kind="int", default=3, min=1, max=9),),
                metadata=Metadata(primary_metric="auc", better=Expectation.LARGER),
                job=job,
            )
            tx.models.add(Model(name=name, owner="ana", team=team, head=f"v-{name}", created=tx.now))
            tx.versions.add(ModelVersion(id=f"v-{name}", model=name, tree=tree, analysis=analysis, created=tx.now))
    yield SimpleNamespace(
        db=db,
        experiments=Experiments(db, artifacts, InlineWorkflows(graphs=[], handlers=[])),
        forecasts=Forecasts(db, artifacts),
    )
    db.close()


def wants(*protocols: str, models: tuple[str, ...], skip: bool = True, **parameters: Any) -> RegisterModels:
    requests = tuple(ProtocolRequest(protocol=name, parameters=parameters) for name in protocols)
    return RegisterModels(models=models, protocols=requests, skip_unfit=skip)


def test_pairs_that_do_not_fit_are_told_and_left_out_if_that_is_wanted(world: Any) -> None:
    every = wants("TrainModel", "TuneHyperparameters", models=("ads/a", "ads/b", "maps/c"))
    found = world.experiments.survey(every, ANA)
    assert [(e.protocol, e.model) for e in found.experiments] == [
        ("TrainModel", "ads/a"),
        ("TuneHyperparameters", "ads/a"),
        ("TrainModel", "ads/b"),
    ]
    assert [(r.protocol, r.model, type(r.error)) for r in found.refused] == [
        ("TuneHyperparameters", "ads/b", InvalidInput),
        ("TrainModel", "maps/c", NotPermitted),
        ("TuneHyperparameters", "maps/c", NotPermitted),
    ]
    told = preview(world.experiments, world.forecasts, every, ANA, "together")
    assert [(e.protocol, e.model) for e in told.items] == [(e.protocol, e.model) for e in found.experiments]
    assert told.together is not None
    assert told.together.trainings == 2 + 22 + 2
    assert [(r.protocol, r.model, r.code) for r in told.refused][:2] == [
        ("TuneHyperparameters", "ads/b", "invalid_input"),
        ("TrainModel", "maps/c", "not_permitted"),
    ]
    assert "holdout" in str(told.refused[0].hint)
    # Where nothing fits, that is told too.
    assert not preview(world.experiments, world.forecasts, wants("TrainModel", models=("maps/c",)), ANA, "each").items
    assert len(world.experiments.register_models(every, ANA).experiments) == 3
    with pytest.raises(InvalidInput, match="holdout") as refused:
        world.experiments.register_models(wants("TrainModel", "TuneHyperparameters", models=("ads/a", "ads/b"), skip=False), ANA)
    assert str(refused.value.where).startswith("TuneHyperparameters on ads/b")
    # Nothing is left.
    with pytest.raises(NotPermitted):
        world.experiments.register_models(wants("TrainModel", models=("maps/c",)), ANA)


def test_before_the_first_experiment_only_the_change_and_the_number_of_trainings_are_known(world: Any) -> None:
    (e,) = world.experiments.survey(wants("SetHyperparameters", models=("ads/a",), values={"width": 5}), ANA).experiments
    told = world.forecasts.of(e)
    assert '+    "width": 5,' in told.change.diff
    assert (told.cost.trainings, told.cost.known, told.cost.computing_seconds, told.cost.seconds) == (2, 0, None, None)
    assert all(need.reach is None for need in told.needs)
    (e,) = world.experiments.survey(wants("TuneHyperparameters", models=("ads/a",), trials=7), ANA).experiments
    told = world.forecasts.of(e)
    assert (told.change.example, [*told.space], told.cost.trainings) == (True, ["width"], 9)
    # A value that the plan has already.
    (e,) = world.experiments.survey(wants("ReduceTrainingData", models=("ads/a",)), ANA).experiments
    assert world.forecasts.of(e).problem is not None or world.forecasts.of(e).change is not None


def test_what_others_came_to_tells_how_long_it_takes_and_how_wide_intervals_are(world: Any) -> None:
    wanted = wants("SetHyperparameters", models=("ads/a",), values={"width": 5})
    identity = world.experiments.register_models(wanted, ANA).experiments[0]
    (e,) = world.experiments.survey(wanted, ANA).experiments
    estimates = {
        c.metric: Estimate(
            metric=c.metric,
            baseline=0.5,
            candidate=0.5,
            low=-0.01,
            high=0.01,
            relative_low=-0.02,
            relative_high=0.02,
            confidence=0.95,
            method="",
            window="",
            replicates=1,
        )
        for c in e.config.intent.constraints
    }
    with world.db.transaction() as tx:
        tx.experiments.start(identity)
        result = ExperimentResult(baseline="v-ads/a", candidate="v-ads/a", verdict=Verdict.of(e.config.intent, estimates), models_trained=2)
        assert tx.experiments.finish(identity, ExperimentStatus.UNSATISFIED, "no gain", result)
    told = world.forecasts.of(e)
    primary = next(need for need in told.needs if need.constraint.metric == "auc")
    assert (primary.reach, primary.seen) == (pytest.approx(0.02), 1)
    assert primary.gain == pytest.approx(0.025)
    assert told.cost.seen == 1
    assert told.cost.same_model
    assert told.cost.seconds is not None
    # The same for programs; what a model has in common is read once.
    outlooks = world.forecasts.each([e, e])
    assert [(outlook.cost, outlook.needs) for outlook in outlooks] == [(told.cost, told.needs)] * 2
    with pytest.raises(InvalidInput, match="101 experiments; at most 100"):
        world.forecasts.each([e] * 101)
    together = world.forecasts.together([e, e])
    assert together.trainings == 4
    assert together.seconds is not None
