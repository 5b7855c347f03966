"""Pictures of studies."""

from __future__ import annotations

import builtins
import json
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

import wichtel as wt
from wichtel.domain import (
    InvalidInput,
    Measurement,
    MetricBound,
    NotFound,
    Objective,
    RunState,
    Space,
    Study,
    StudySpec,
    StudyState,
    Trial,
    UserError,
)
from wichtel.tuning import StudyResult
from wichtel.tuning.results.importance import importance

SPACE = Space(
    {
        "lr": wt.Float(1e-5, 1e-1, log=True),
        "layers": wt.Int(1, 8),
        "kind": wt.Choice(["tree <b>", "net", None]),
        "depth": wt.Int(2, 9, when={"kind": ["tree <b>"]}),
        "fixed": wt.Fixed(3),
    }
)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Home:
    """Where the measurements of a study are."""

    curves: dict

    def measurements(self, study):
        return self.curves


def made(trials=60, objectives=1, space=SPACE, constraints=()):
    rng = random.Random(0)
    metrics = ["loss", "time", "size"][:objectives]
    spec = StudySpec(
        id="s",
        name="a <study>",
        space=space,
        objectives=tuple(Objective(metric=m, better="smaller" if m == "loss" else "larger") for m in metrics),
        entry="m:f",
        trials=trials,
        constraints=constraints,
    )
    found, curves = [], {}
    for number in range(trials):
        config = space.sample(rng)
        state = RunState.FAILED if number % 13 == 12 else RunState.STOPPED if number % 5 == 4 else RunState.SUCCEEDED
        lr = config.get("lr", 0.01)
        values = {"loss": abs(lr - 0.01) * 100 + rng.random() / 10, "time": rng.random(), "size": rng.random()}
        start = BEGAN + timedelta(seconds=number // 4)
        trial = Trial(
            study="s",
            number=number,
            config=config,
            state=state,
            metrics={m: values[m] for m in metrics} if state is not RunState.FAILED else {},
            reason="its loss is above the <median>"
            if state is RunState.STOPPED
            else "ValueError: no\nTraceback"
            if state is RunState.FAILED
            else "",
            created=start,
            started=start,
            ended=start + timedelta(seconds=0.9),
        )
        found.append(trial)
        curves[number] = [Measurement(run=trial.run(), attempt=1, step=s, metrics={"loss": values["loss"] + 1 / (s + 1)}) for s in range(3)]
    study = Study(spec=spec, state=StudyState.FINISHED, reason="all are done", created=BEGAN)
    return StudyResult(study=study, trials=found, home=Home(curves))


def drawn(figure):
    """The figure as JSON: that it is valid is checked by making it."""
    return json.loads(figure.to_json())


PICTURES = ["history", "curves", "parallel", "importance", "slice", "contour", "timeline"]


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("objectives", [1, 2])
def test_every_picture_of_a_study_with_all_kinds_of_parameters(picture, objectives):
    data = drawn(getattr(made(objectives=objectives).plot, picture)())
    assert data["data"]
    assert "<study>" not in json.dumps(data["layout"])
    assert "&lt;study&gt;" in json.dumps(data["layout"]) or "loss" in json.dumps(data["layout"])
    assert "<median>" not in json.dumps(data)


def test_history_rises_with_the_best():
    study = made()
    best = next(trace for trace in study.plot.history().data if trace.name == "best so far")
    assert list(best.y) == sorted(best.y, reverse=True)
    assert best.y[-1] == study.best_value


def test_curves_mark_where_trials_were_stopped_and_say_why():
    study = made()
    stopped = next(trace for trace in study.plot.curves().data if trace.name == "stopped here")
    assert len(stopped.x) == study.counts()["stopped"]
    assert all("above the &lt;median&gt;" in text for text in stopped.text)
    with pytest.raises(NotFound, match="no trial reported 'accuracy'"):
        study.plot.curves("accuracy")


def test_parallel_names_options_and_those_without_the_parameter():
    dimensions = {d.label: d for d in made().plot.parallel().data[0].dimensions}
    assert list(dimensions) == ["lr", "layers", "kind", "depth", "loss"]
    assert list(dimensions["kind"].ticktext) == ["tree &lt;b&gt;", "net", "None"]
    assert dimensions["depth"].ticktext[0] == "–"
    assert min(dimensions["depth"].values) == dimensions["depth"].tickvals[0] < 2
    assert dimensions["lr"].ticktext[0] == "1e-05"


def test_importance_finds_what_matters():
    shares = importance(made(200))
    assert next(iter(shares)) == "lr"
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["fixed"] == 0
    with pytest.raises(NotFound, match="too few"):
        importance(made(3))
    with pytest.raises(InvalidInput, match="Did you mean 'loss'"):
        importance(made(), "los")


def test_contour_of_two_that_were_asked_for():
    study = made()
    assert drawn(study.plot.contour("lr", "layers"))["data"][0]["type"] == "contour"
    assert drawn(study.plot.contour("kind", "layers"))["data"][0]["type"] == "heatmap"
    assert drawn(study.plot.contour(y="depth"))["layout"]["yaxis"]["title"]["text"] == "depth"
    with pytest.raises(InvalidInput, match="Did you mean 'layers'"):
        study.plot.contour("layer")
    with pytest.raises(InvalidInput, match="two parameters"):
        made(space=Space({"lr": wt.Float(0, 1)})).plot.contour()


def test_pareto_shows_front_and_what_breaks_constraints():
    study = made(objectives=2, constraints=(MetricBound(metric="time", low=0.3),))
    traces = {trace.name: trace for trace in study.plot.pareto().data}
    assert set(traces) == {"dominated", "breaks a constraint", "front"}
    assert set(traces["front"].x) == {t.metrics["loss"] for t in study.front}
    assert min(traces["front"].y) >= 0.3 > max(traces["breaks a constraint"].y)
    assert made(objectives=3).plot.pareto().data[0].type == "scatter3d"
    with pytest.raises(InvalidInput, match=r"plot.history\(\)"):
        made().plot.pareto()


def test_timeline_has_as_many_rows_as_ran_at_once():
    figure = made().plot.timeline()
    assert {y for trace in figure.data for y in trace.y} == {1, 2, 3, 4}


@pytest.mark.parametrize("picture", PICTURES)
def test_a_study_without_results_says_so(picture):
    study = made(3)
    nothing = replace(study, trials=[], home=Home({}))
    with pytest.raises(NotFound):
        getattr(nothing.plot, picture)()


def test_without_plotly_the_way_to_it_is_said(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("plotly"):
            raise ModuleNotFoundError(name=name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"wichtel\[plot\]"):
        made().plot.history()


@pytest.mark.parametrize("picture", ["history", "curves", "parallel", "slice", "contour", "timeline", "pareto"])
def test_large_studies_stay_small_enough_to_look_at(picture, large):
    assert len(getattr(large.plot, picture)().to_json()) < 12_000_000


@pytest.fixture(scope="module")
def large():
    return made(20_000, objectives=2)
