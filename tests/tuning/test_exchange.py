"""Studies to Optuna and back."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wichtel as wt
from wichtel.domain import (
    AlreadyExists,
    InvalidInput,
    MetricBound,
    Objective,
    RunState,
    Space,
    Study,
    StudySpec,
    StudyState,
    Trial,
)
from wichtel.tuning import StudyResult
from wichtel.tuning.results.exchange import import_optuna, to_optuna
from wichtel.tuning.results.kept import load_study

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


SPACES = [
    Space({"x": wt.Float(0, 1, step=0.1), "n": wt.Int(1, 9, step=3), "lr": wt.Float(1e-6, 0.3, log=True)}),
    Space(
        {
            "a": wt.Choice([1, True, "1", None, 2.5]),
            "b": wt.Bool(),
            "deep": wt.Int(1, 100, log=True, when={"b": [True]}),
            "c": wt.Fixed("c"),
        }
    ),
    Space({"x": wt.Float(-3.3, 7.1, step=0.7), "y": wt.Float(2, 2)}),
]

NUMBERS = st.floats(-1e6, 1e6)
TIMES = st.integers(0, 10**14).map(lambda microseconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds))


@st.composite
def studies(draw):
    space = draw(st.sampled_from(SPACES))
    objectives = draw(st.integers(1, 2))
    metrics = ["loss", "score"][:objectives]
    spec = StudySpec(
        id="made",
        name="made",
        space=space,
        objectives=tuple(Objective(metric=m, better="smaller" if m == "loss" else "larger") for m in metrics),
        entry="m:f",
        constraints=draw(st.sampled_from([(), (MetricBound(metric="loss", high=3.0),)])),
        seed=draw(st.integers(0, 9)),
    )
    trials = []
    for number in range(draw(st.integers(0, 6))):
        state = draw(st.sampled_from([s for s in RunState if s.ended]))
        good = state in (RunState.SUCCEEDED, RunState.STOPPED)
        values = draw(st.lists(NUMBERS if good else st.floats(), min_size=objectives, max_size=objectives))
        start = draw(TIMES)
        trials.append(
            Trial(
                study="made",
                number=number,
                config=space.sample(random.Random(draw(st.integers(0, 10**6)))),
                state=state,
                budget=draw(st.none() | st.floats(1, 81)),
                parent=draw(st.none() | st.just(0)),
                origin=draw(st.sampled_from(["", "enqueued"])),
                metrics=dict(zip(metrics, values, strict=True)) | {"other": math.inf},
                samples={"loss": values},
                artifacts={"model": "0" * 64},
                reason=draw(st.text(max_size=5)),
                copied_from=draw(st.none() | st.just(0)),
                searcher_state={"known": None, "order": number, "step": None},
                created=start,
                started=start,
                ended=start + timedelta(seconds=1),
            )
        )
    study = Study(spec=spec, state=StudyState.FINISHED, reason="done", created=datetime.now(UTC))
    return StudyResult(study=study, trials=trials)


NAMES = iter(range(10**6))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(studies())
def test_a_study_that_went_to_optuna_comes_back_as_it_was(study):
    there = to_optuna(study)
    assert len(there.trials) == len(study.trials)
    back = import_optuna(there, f"back-{next(NAMES)}", store="sqlite:///all.db")
    assert repr([t.config for t in back.trials]) == repr([t.config for t in study.trials])
    # NaN is not equal to itself.
    assert repr([_without_study(t) for t in back.trials]) == repr([_without_study(t) for t in study.trials])
    assert back.spec.space.to_json() == study.spec.space.to_json()
    assert (back.spec.objectives, back.spec.constraints, back.spec.seed) == (study.spec.objectives, study.spec.constraints, study.spec.seed)
    assert load_study(back.spec.name, "sqlite:///all.db").trials == back.trials or any("nan" in repr(t) for t in back.trials)


def _without_study(trial):
    return {name: getattr(trial, name) for name in trial.__slots__ if name != "study"}


def test_what_optuna_sees_is_what_its_users_know():
    spec = StudySpec(
        id="s",
        name="s",
        space=SPACES[0],
        objectives=(Objective(metric="accuracy", better="larger"),),
        entry="m:f",
        constraints=(MetricBound.parse("size <= 3"),),
    )
    now = datetime.now(UTC)
    trial = Trial(
        study="s",
        number=0,
        config={"x": 0.30000000000000004, "n": 7, "lr": 0.01},
        state=RunState.SUCCEEDED,
        metrics={"accuracy": 0.9, "size": 4.0},
        created=now,
        ended=now,
    )
    study = to_optuna(StudyResult(study=Study(spec=spec, created=now), trials=[trial]), name="theirs")
    assert study.study_name == "theirs"
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.metric_names == ["accuracy"]
    [there] = study.trials
    assert there.params == {"x": 0.3, "n": 7, "lr": 0.01}
    assert there.distributions["x"] == optuna.distributions.FloatDistribution(0, 1, step=0.1)
    assert there.distributions["n"] == optuna.distributions.IntDistribution(1, 7, step=3)
    assert there.values == [0.9]
    assert there.constraints == {"size <= 3": 1.0}


def _optuna_study():
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial):
        kind = trial.suggest_categorical("kind", ["tree", "net"])
        x = trial.suggest_float("x", 0, 4)
        if kind == "tree":
            x += trial.suggest_int("depth", 1, 3) / 100
        for step in range(3):
            trial.report((x - 2) ** 2 + step, step)
            if trial.number == 4:
                raise optuna.TrialPruned
        return (x - 2) ** 2

    study = optuna.create_study(study_name="theirs", sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(objective, n_trials=12)
    return study


def test_a_study_of_optuna_is_kept_and_gone_on_with():
    theirs = _optuna_study()
    ours = import_optuna(theirs, "ours", metrics=["loss"])
    assert ours.best_value == theirs.best_value
    assert ours.best_config == theirs.best_params
    assert ours.trials[4].state is RunState.STOPPED
    assert [m.metrics["loss"] for m in ours.curves(0)] == list(theirs.trials[0].intermediate_values.values())
    assert ours.spec.space["depth"].when == {"kind": ("tree",)}
    again = to_optuna(ours)
    assert [t.params for t in again.trials] == [t.params for t in theirs.trials]
    assert [t.intermediate_values for t in again.trials] == [t.intermediate_values for t in theirs.trials]
    with pytest.raises(AlreadyExists, match="there is a study 'ours' already"):
        import_optuna(theirs, "ours")


def test_a_study_may_go_there_be_gone_on_with_and_come_back():
    ours = import_optuna(_optuna_study(), "before", metrics=["loss"])
    there = to_optuna(ours)
    there.add_trial(
        optuna.trial.create_trial(
            value=-1.0,
            params={"kind": "net", "x": 1.0},
            distributions={
                "kind": optuna.distributions.CategoricalDistribution(["tree", "net"]),
                "x": optuna.distributions.FloatDistribution(0, 4),
            },
        )
    )
    back = import_optuna(there, "after")
    assert back.best.number == 12
    assert back.best.origin == "trial 12 of Optuna"


def test_mistakes_are_said(tmp_path):
    study = _optuna_study()
    with pytest.raises(InvalidInput, match="2 names for 1 objective"):
        import_optuna(study, "x", metrics=["a", "b"])
    with pytest.raises(InvalidInput, match=r"trial \d+, parameter 'x': .*outside"):
        import_optuna(
            study, "x", space={"kind": wt.Choice(["tree", "net"]), "x": wt.Float(0, 0.001), "depth": wt.Int(1, 3, when={"kind": ["tree"]})}
        )
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    ours = import_optuna(study, "kept")
    to_optuna(ours, storage)
    with pytest.raises(AlreadyExists, match="Choose another name"):
        to_optuna(ours, storage)
