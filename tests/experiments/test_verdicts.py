"""From a registration to verdicts, with real workers, on a model that trains at once."""

from __future__ import annotations

import time

import pytest

from wichtel.domain import (
    AlreadyExists,
    Constraint,
    Expectation,
    Experiment,
    ExperimentState,
    ExperimentStatus,
    IllegalTransition,
    Intent,
    InvalidInput,
    NotFound,
    NotPermitted,
    PlanError,
    RunState,
)
from wichtel.experiments import Principal, ProtocolRequest, RegisterModels, Role
from wichtel.plans import SourceTree

ANA = Principal(name="ana", team="ads", role=Role.EDITOR)
BOB = Principal(name="bob", team="maps", role=Role.EDITOR)
EVE = Principal(name="eve", team="ads", role=Role.VIEWER)


@pytest.fixture(scope="module")
def app(service):
    app = service.app
    app.datasets.add("verdicts", [str(service.folder / "d.csv")], "t", ANA)
    job = (service.folder / "plan/job.toml").read_text().replace('name = "d"', 'name = "verdicts"')
    tree = SourceTree.from_folder(service.folder / "plan").with_files({"job.toml": job.encode()})
    app.models.add("verdicts/city", tree.to_archive(), ANA)
    neutral = Constraint(metric="auc", expectation=Expectation.LARGER, threshold=-0.001)
    app.intents.put(Intent(name="neutral", models="verdicts/*", constraints=(neutral,), primary="auc"), ANA)
    return app


def finish(app, *requests: ProtocolRequest, model: str = "verdicts/city", seconds: float = 120) -> list[Experiment]:
    registration = app.experiments.register_models(RegisterModels(models=(model,), protocols=requests), ANA)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = [app.experiments.get(e) for e in registration.experiments]
        if all(e.state is ExperimentState.FINISHED for e in found):
            return found
        time.sleep(0.1)
    raise AssertionError([(e.state, e.cause, app.experiments.steps(e.id)) for e in found])


def variant(app, service, name: str, plan: str) -> None:
    version = app.models.versions("verdicts/city").items[0]
    tree = SourceTree.from_archive(app.models.source(version.id))
    app.models.add(name, tree.with_files({"plan.py": plan.encode()}).to_archive(), ANA)


def test_every_protocol_comes_to_a_true_verdict_with_its_numbers_and_its_diff(app) -> None:
    train, better, reduce, tune = finish(
        app,
        ProtocolRequest(protocol="TrainModel", intent="neutral"),
        ProtocolRequest(protocol="SetHyperparameters", intent="improve_quality", parameters={"values": {"weight": 3}}),
        ProtocolRequest(protocol="ReduceTrainingData", intent="neutral", parameters={"share": 0.9}),
        ProtocolRequest(protocol="TuneHyperparameters", intent="improve_quality", parameters={"trials": 4, "searcher": "random"}),
    )
    # The model has no randomness and ignores its tunable: a retraining is neutral, and no value improves it.
    assert train.status is ExperimentStatus.SATISFIED
    assert "Its constraint holds." in train.cause
    assert train.result is not None
    assert train.result.diff == ""
    assert better.status is ExperimentStatus.UNSATISFIED
    assert "auc at least 0.5% larger: a change of +0%" in better.cause
    assert '+tunable.Set({\n+    "weight": 3,\n+})' in app.experiments.diff(better.id)
    assert reduce.status in (ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED)
    assert "+sample = 0.9" in app.experiments.diff(reduce.id)
    assert tune.status is ExperimentStatus.UNSATISFIED
    assert "holdout window" in tune.cause
    assert tune.result is not None
    trials = app.studies.trials(tune.result.study).items
    assert len(trials) == 4
    # One candidate, each trial that was not answered from another's score, and the baseline if this experiment came first.
    assert tune.result.models_trained - 1 - sum(t.copied_from is None for t in trials) in (0, 1)
    estimate = tune.result.verdict.findings[0].estimate
    assert estimate.window == "holdout"
    assert "paired bootstrap over 144 examples" in estimate.method


def test_the_baseline_is_trained_once_for_all_experiments_on_a_model(app) -> None:
    finish(app, *[ProtocolRequest(protocol="TrainModel", intent="neutral")] * 3)
    baselines = {r.spec.id for r in app.runs.list(limit=1000) if r.spec.id.startswith("baseline/")}
    trees = {r.spec.payload["tree"] for r in app.runs.list(limit=1000) if r.spec.id.startswith("baseline/")}
    assert len(baselines) == len(trees)


def test_a_baseline_that_is_too_old_is_trained_again(app) -> None:
    finish(app, ProtocolRequest(protocol="TrainModel", intent="neutral"))
    before = sum(r.spec.id.startswith("baseline/") for r in app.runs.list(limit=1000))
    finish(app, ProtocolRequest(protocol="TrainModel", intent="neutral", overrides={"baseline_max_age_days": 0}))
    assert sum(r.spec.id.startswith("baseline/") for r in app.runs.list(limit=1000)) == before + 1


def test_replicates_train_both_sides_more_than_once(app) -> None:
    (found,) = finish(app, ProtocolRequest(protocol="TrainModel", intent="neutral", overrides={"replicates": 2}))
    assert found.result is not None
    assert "Welch's t over 2 + 2 trainings" in found.result.verdict.findings[0].estimate.method


def test_a_metric_of_the_plan_is_reported_and_can_be_constrained(app, service) -> None:
    plan = app.models.source(app.models.versions("verdicts/city").items[0].id)
    source = SourceTree.from_archive(plan).files["plan.py"].decode()
    own = "def hits(labels, scores):\n    return float(((scores > 0.5) == labels).mean())\nplan.metric('hits', hits, better='larger')\n"
    variant(app, service, "verdicts/own", source + own)
    constraint = Constraint(metric="hits", expectation=Expectation.LARGER, threshold=-0.01)
    app.intents.put(Intent(name="hits", models="verdicts/*", constraints=(constraint,), primary="hits"), ANA)
    (found,) = finish(app, ProtocolRequest(protocol="TrainModel", intent="hits"), model="verdicts/own")
    assert found.status is ExperimentStatus.SATISFIED
    assert found.result is not None
    assert 0 < found.result.candidate_metrics["hits"] <= 1


def test_a_plan_that_fails_in_training_is_the_users_error_with_its_place(app, service) -> None:
    source = SourceTree.from_archive(app.models.source(app.models.versions("verdicts/city").items[0].id)).files["plan.py"].decode()
    variant(
        app,
        service,
        "verdicts/broken",
        source.replace("return p", "x").replace("def fit(self, x, y):", "def fit(self, x, y):\n        1 / 0"),
    )
    (found,) = finish(app, ProtocolRequest(protocol="TrainModel", intent="neutral"), model="verdicts/broken")
    assert found.status is ExperimentStatus.USER_ERROR
    assert "ZeroDivisionError" in found.cause
    assert "plan.py:7" in found.cause


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ProtocolRequest(protocol="TrainModle"), "Did you mean 'TrainModel'"),
        (ProtocolRequest(protocol="TrainModel", parameters={"speed": 1}), "TrainModel has no parameter 'speed'"),
        (ProtocolRequest(protocol="SetHyperparameters"), "needs a value for 'values'"),
        (ProtocolRequest(protocol="SetHyperparameters", parameters={"values": {"wieght": 3}}), "Did you mean 'weight'"),
        (ProtocolRequest(protocol="SetHyperparameters", parameters={"values": {"weight": 99}}), r"outside \[1"),
        (ProtocolRequest(protocol="SetHyperparameters", parameters={"values": {"weight": "3"}}), "is not an int"),
        (ProtocolRequest(protocol="TuneHyperparameters", parameters={"tunables": ["wieght"]}), "Did you mean 'weight'"),
        (ProtocolRequest(protocol="TuneHyperparameters", parameters={"tunables": [["weight"]]}), "has no tunable"),
        (ProtocolRequest(protocol="TuneHyperparameters", parameters={"searcher": "tpo"}), "Did you mean 'tpe'"),
        (ProtocolRequest(protocol="TrainModel", intent="improve_qualty"), "Did you mean 'improve_quality'"),
        (ProtocolRequest(protocol="TrainModel", overrides={"replicats": 2}), "Did you mean 'replicates'"),
        (ProtocolRequest(protocol="TrainModel", overrides={"replicates": 0}), "replicates is between 1 and 100"),
        (ProtocolRequest(protocol="TrainModel", overrides={"replicates": "two"}), "expected `int`"),
        (
            ProtocolRequest(
                protocol="TrainModel",
                overrides={"intent": {"name": "x", "primary": "ua", "constraints": [{"metric": "ua", "expectation": "larger"}]}},
            ),
            "no model reports metric 'ua'.*Known: accuracy, auc",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_registration_and_nothing_is_stored(app, request_: ProtocolRequest, words: str) -> None:
    def stored() -> int:
        with app.db.read() as tx:
            return tx.events.latest()

    before = stored()
    good = ProtocolRequest(protocol="TrainModel", intent="neutral")
    with pytest.raises((InvalidInput, NotFound), match=words):
        app.experiments.register_models(RegisterModels(models=("verdicts/city",), protocols=(good, request_)), ANA)
    assert stored() == before


def test_an_unknown_model_is_not_found(app) -> None:
    request = RegisterModels(models=("verdicts/ctiy",), protocols=(ProtocolRequest(protocol="TrainModel"),))
    with pytest.raises(NotFound, match="Did you mean 'verdicts/city'"):
        app.experiments.register_models(request, ANA)


def test_the_same_key_is_the_same_registration(app) -> None:
    request = RegisterModels(
        models=("verdicts/city",), protocols=(ProtocolRequest(protocol="TrainModel", intent="neutral"),), idempotency_key="k-1"
    )
    assert app.experiments.register_models(request, ANA) == app.experiments.register_models(request, ANA)


def test_a_canceled_registration_ends_its_experiments_and_stops_their_runs(app, service) -> None:
    source = SourceTree.from_archive(app.models.source(app.models.versions("verdicts/city").items[0].id)).files["plan.py"].decode()
    slow = source.replace("def fit(self, x, y):", "def fit(self, x, y):\n        import time; time.sleep(600)")
    variant(app, service, "verdicts/slow", slow)
    request = RegisterModels(models=("verdicts/slow",), protocols=(ProtocolRequest(protocol="TrainModel", intent="neutral"),) * 2)
    registration = app.experiments.register_models(request, ANA)

    def training() -> list[str]:
        with app.db.read() as tx:
            runs = tx.runs.list(state=[RunState.RUNNING, RunState.PENDING], limit=1000)
        return [r.spec.id for r in runs if r.spec.id.startswith(registration.experiments)]

    deadline = time.monotonic() + 60
    while not training() and time.monotonic() < deadline:
        time.sleep(0.1)
    with pytest.raises(NotPermitted):
        app.experiments.cancel_registration(registration.id, BOB)
    assert app.experiments.cancel_registration(registration.id, ANA).canceled is not None
    assert {app.experiments.get(e).status for e in registration.experiments} == {ExperimentStatus.CANCELED}
    while training() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert training() == []
    with pytest.raises(IllegalTransition, match="canceled already"):
        app.experiments.cancel_registration(registration.id, ANA)
    with pytest.raises(IllegalTransition, match="finished as CANCELED"):
        app.experiments.cancel(registration.experiments[0], ANA)
    # The baseline, which others may wait for, goes on until somebody cancels it.
    for run in app.runs.list(limit=1000):
        if run.spec.id.startswith("baseline/") and not run.state.ended:
            app.runs.cancel(run.spec.id, ANA)


def test_a_viewer_may_look_but_not_touch(app) -> None:
    request = RegisterModels(models=("verdicts/city",), protocols=(ProtocolRequest(protocol="TrainModel", intent="neutral"),))
    assert len(app.experiments.preview(request, EVE)) == 1
    with pytest.raises(NotPermitted, match="takes the role editor"):
        app.experiments.register_models(request, EVE)


def test_a_preview_says_where_each_value_comes_from(app) -> None:
    request = RegisterModels(
        models=("verdicts/city",),
        protocols=(ProtocolRequest(protocol="TuneHyperparameters", parameters={"trials": 7}, overrides={"seed": 5}),),
    )
    (found,) = app.experiments.preview(request, ANA)
    assert found.config.parameters["trials"] == 7
    assert found.config.origin["parameters.trials"] == "user"
    assert found.config.origin["parameters.searcher"] == "protocol"
    assert (found.config.seed, found.config.origin["seed"]) == (5, "user")
    assert found.config.intent.primary == "auc"


def test_a_plan_that_does_not_load_registers_nothing(app, service) -> None:
    version = app.models.versions("verdicts/city").items[0]
    tree = SourceTree.from_archive(app.models.source(version.id)).with_files({"plan.py": b"import wichtl\n"})
    with pytest.raises(PlanError, match="wichtl"):
        app.models.add("verdicts/none", tree.to_archive(), ANA)
    with pytest.raises(NotFound):
        app.models.get("verdicts/none")


def test_a_taken_name_is_refused_where_a_new_one_was_asked_for(app) -> None:
    archive = app.models.source(app.models.versions("verdicts/city").items[0].id)
    with pytest.raises(AlreadyExists):
        app.models.add("verdicts/city", archive, ANA, new=True)
    with pytest.raises(NotPermitted):
        app.models.add("verdicts/city", archive, BOB)


def test_a_model_that_does_not_fit_its_dataset_is_refused_before_anything_is_trained(app) -> None:
    tree = SourceTree.from_archive(app.models.source(app.models.versions("verdicts/city").items[0].id))
    plan, job = tree.files["plan.py"].decode(), tree.files["job.toml"].decode()
    for files, words in (
        ({"plan.py": plan.replace('"size"', '"siez"')}, "Did you mean 'size'"),
        ({"plan.py": plan.replace('plan.Categorical("city", buckets=8)', 'plan.Numeric("city")')}, "takes a number"),
        ({"job.toml": job.replace('label = "late"', 'label = "lat"')}, "Did you mean 'late'"),
        ({"job.toml": job.replace("2020-01-0", "2031-01-0")}, "window is empty"),
        ({"job.toml": job.replace('"verdicts"', '"verdict"')}, "Did you mean 'verdicts'"),
    ):
        changed = tree.with_files({name: text.encode() for name, text in files.items()})
        with pytest.raises((InvalidInput, NotFound), match=words):
            app.models.add("verdicts/unfit", changed.to_archive(), ANA)


def test_a_launched_candidate_is_what_the_next_experiments_start_from(app) -> None:
    (found,) = finish(app, ProtocolRequest(protocol="SetHyperparameters", intent="neutral", parameters={"values": {"weight": 5}}))
    assert found.status is ExperimentStatus.SATISFIED
    assert found.result is not None
    with pytest.raises(NotPermitted, match="takes the role approver"):
        app.models.launch("verdicts/city", found.result.candidate, ANA)
    boss = Principal(name="boss", team="ads", role=Role.APPROVER)
    assert app.models.launch("verdicts/city", found.result.candidate, boss).head == found.result.candidate
    request = RegisterModels(models=("verdicts/city",), protocols=(ProtocolRequest(protocol="TrainModel", intent="neutral"),))
    assert app.experiments.preview(request, ANA)[0].target == found.result.candidate
