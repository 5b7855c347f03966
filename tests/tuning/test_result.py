"""What a study found."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

import wichtel as wt
from wichtel.domain import InvalidInput, MetricBound, NotFound, Objective, RunState, Study, StudySpec, StudyState, Trial
from wichtel.tuning import StudyResult
from wichtel.tuning.results.kept import kept_studies, load_study, resume_study


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def made(*rows, metrics=("loss",), constraints=()):
    spec = StudySpec(
        id="s",
        name="a <b>study</b>",
        space=wt.Space({"x": wt.Float(0, 1), "k": wt.Choice(["<i>", "b"])}),
        objectives=tuple(Objective(metric=m, better="larger" if m == "score" else "smaller") for m in metrics),
        entry="m:f",
        constraints=constraints,
    )
    now = datetime.now(UTC)
    trials = [
        Trial(
            study="s",
            number=n,
            config={"x": n / 10, "k": "<i>"},
            state=row.pop("state", RunState.SUCCEEDED),
            reason=row.pop("reason", ""),
            metrics=row,
            samples={"loss": [1.0, 2.0]},
            created=now,
            started=now,
            ended=now,
        )
        for n, row in enumerate(rows)
    ]
    study = Study(spec=spec, state=StudyState.FINISHED, reason="all are done & well", created=now, started=now, ended=now)
    return StudyResult(study=study, trials=trials, explanation="TPE, since 1 < 2", warnings=["<script>alert(1)</script>"])


def test_several_objectives_have_a_front_and_no_best():
    study = made(*({"loss": a, "score": b} for a, b in [(3.0, 3.0), (2.0, 2.0), (2.5, 1.0), (1.0, 1.0)]), metrics=("loss", "score"))
    assert [t.number for t in study.front] == [3, 1, 0]
    with pytest.raises(InvalidInput, match="See front"):
        _ = study.best
    # The worst are 3 and 1: only trial 1 has both better, by 1 x 1.
    assert study.hypervolume() == 1
    assert study.hypervolume([4.0, 0.0]) == pytest.approx(3 * 1 + 2 * 1 + 1 * 1)
    with pytest.raises(InvalidInput, match="1 values for 2"):
        study.hypervolume([4.0])
    assert "front of 3" in repr(study)
    assert "<th>score</th>" in study._repr_html_()
    reader = Reader()
    reader.feed(study._repr_html_())
    assert not reader.open
    assert reader.tags.count("tr") == 1 + 4


def test_nothing_feasible_has_no_front_and_the_least_bad_as_best():
    study = made({"loss": 1.0}, {"loss": 2.0, "size": 3.0}, constraints=(MetricBound(metric="size", high=1),))
    assert study.front == []
    assert study.best.number == 1
    with pytest.raises(NotFound, match="no trial is feasible"):
        study.hypervolume()


def test_a_study_without_results_has_no_best():
    with pytest.raises(NotFound, match="all are done"):
        _ = made({"loss": math.nan}).best
    assert "best" not in repr(made())


def test_a_data_frame_has_all_that_is_known():
    frame = made({"loss": 1.0}, {"state": RunState.FAILED, "reason": "it broke"}).to_dataframe()
    assert list(frame.index) == [0, 1]
    assert {"state", "loss", "loss[0]", "loss[1]", "config.x", "budget", "parent", "origin", "reason", "started"} <= set(frame.columns)
    assert frame.loc[1, "reason"] == "it broke"


class Reader(HTMLParser):
    """Collects tags, and fails where they do not close."""

    VOID = ("meta", "link", "br")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_report_is_one_file_that_needs_nothing_else(tmp_path):
    rows = [{"loss": float(n), "other": 1.0} for n in range(8)]
    study = made(*rows, {"state": RunState.FAILED, "reason": "ValueError: </script><b>\nTraceback <1>"})
    path = study.report(tmp_path / "deep" / "report.html")
    page = path.read_text()
    own = re.sub(r"(<script[^>]*>).*?</script>", r"\1</script>", page, flags=re.S)
    reader = Reader()
    reader.feed(own)
    assert not reader.open
    assert not reader.sources, "nothing is fetched"
    assert page.count("Plotly.newPlot(") >= 5
    for text in (
        "a &lt;b&gt;study&lt;/b&gt;",
        "&lt;script&gt;alert(1)",
        "ValueError: &lt;/script&gt;",
        "Traceback &lt;1&gt;",
        "&lt;i&gt;",
        "since 1 &lt; 2",
    ):
        assert text in own
    assert "<b>" not in own
    assert "<i>" not in own
    settings = json.loads(
        re.search(r"<pre>(\{.*\})</pre>", own, flags=re.S)[1].replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">")
    )
    assert settings["objectives"] == [{"metric": "loss", "better": "smaller"}]


def test_a_report_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        made({"loss": 1.0}).report(tmp_path / "file" / "report.html")


def train(x, report):
    for step in range(3):
        report(step, loss=x + step)
    Path("model.txt").write_text(f"x = {x}")
    return {"metrics": {"loss": x}, "artifacts": {"model": "model.txt"}}


@pytest.mark.parametrize("name", [None, "kept/one"])
def test_curves_and_files_are_there_after_the_study(name):
    study = wt.tune(train, {"x": wt.Float(0, 1)}, minimize="loss", trials=3, engine="inline", searcher="random", name=name)
    assert [m.metrics["loss"] for m in study.curves(1)] == [study.trials[1].config["x"] + step for step in range(3)]
    assert set(study.measurements) == {0, 1, 2}
    assert study.artifact("model").read_text() == f"x = {study.best_config['x']}"
    assert study.artifact("model", 2).read_text() == f"x = {study.trials[2].config['x']}"
    with pytest.raises(NotFound, match="Did you mean 'model'"):
        study.artifact("modle")
    with pytest.raises(NotFound, match="no trial 7"):
        study.curves(7)
    with pytest.raises(NotFound, match="not kept"):
        made({"loss": 1.0}).curves(0)


def test_a_kept_study_is_loaded_by_its_name():
    study = wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, minimize="loss", trials=3, engine="inline", searcher="random", name="kept/one")
    again = load_study("kept/one")
    assert (again.study, again.trials) == (study.study, study.trials)
    assert kept_studies() == ["kept/one"]
    with pytest.raises(NotFound, match="Did you mean 'kept/one'"):
        load_study("kept/on")
    wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, minimize="loss", trials=2, engine="inline", name="stored", store="sqlite:///other.db")
    assert len(load_study("stored", "sqlite:///other.db").trials) == 2
    with pytest.raises(NotFound, match="Did you mean 'stored'"):
        load_study("store", "sqlite:///other.db")


def test_a_kept_study_goes_on_as_what_it_is():
    def several(x, scale, fold, repeat, model, data):
        return {"loss": x, "score": scale, "cost": 1.0, "made": model() + data()}

    study = wt.tune(
        several,
        {"x": wt.Float(0, 1), "scale": wt.Choice([1, 2])},
        minimize="loss",
        maximize=["score"],
        trials=2,
        searcher="random",
        pruner=wt.Algorithm(name="patience", options={"steps": 3}),
        constraints=["made <= 7"],
        terminators=[wt.Algorithm(name="no_improvement", options={"trials": 50})],
        max_seconds=500.0,
        max_cost=700.0,
        folds=2,
        repeats=2,
        meta={"rows": 7.0},
        model=lambda: 3,
        data=lambda: 4,
        seed=5,
        engine="inline",
        name="whole",
        timeout_seconds=90.0,
        max_failed_share=0.9,
        enqueue=[{"x": 0.5, "scale": 2}],
    )
    again = resume_study("whole", trials=3, engine="inline")
    assert again.trials[:2] == study.trials
    assert again.trials[2].metrics["made"] == 7
    assert replace(again.spec, trials=2, payload={}) == replace(study.spec, payload={})
    assert resume_study("whole", engine="inline").trials == again.trials


def test_a_study_is_read_while_it_runs():
    def watched(x, trial):
        if trial == 3:
            Path("seen").write_text(repr(load_study("running")))
        return x

    wt.tune(watched, {"x": wt.Float(0, 1)}, minimize="loss", trials=4, engine="inline", searcher="random", name="running")
    assert Path("seen").read_text().startswith("<study 'running': ")
    assert "RUNNING" in Path("seen").read_text()
