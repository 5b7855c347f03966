"""Mirroring to other people's tracking."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

import pytest

import wichtel as wt
from wichtel.domain import Algorithm, InvalidInput, Objective, RunState, StudySpec, StudyState, Trial
from wichtel.tuning.trackers import Trackers
from wichtel.tuning.trackers.mirror import _MOST

SPEC = StudySpec(
    id="a 'quoted' study",
    name="a 'quoted' study",
    space=wt.Space({"x": wt.Float(0, 1), "kind": wt.Choice(["a", None])}),
    objectives=(Objective(metric="loss", better="smaller"),),
    entry="m:f",
    trials=3,
)


def trial(number, state=RunState.SUCCEEDED, **more):
    now = datetime.now(UTC)
    return Trial(
        study=SPEC.id,
        number=number,
        config={"x": number / 10, "kind": None},
        state=state,
        metrics={"loss": 1.0 - number / 10, "odd name?": float("nan")},
        searcher_state={"step": 2},
        created=now,
        ended=now,
        **more,
    )


class Recorder:
    """Writes down what it hears."""

    def __init__(self, wait=None):
        self.heard = []
        self._wait = wait

    def start(self, spec, resumed):
        self.heard.append(("start", spec.name, resumed))
        if self._wait is not None:
            self._wait.wait()

    def begin_trial(self, number, config):
        self.heard.append(("begin", number))

    def measure(self, number, step, metrics):
        self.heard.append(("measure", number, step, metrics))

    def end_trial(self, ended):
        self.heard.append(("end", ended.number))

    def finish(self, state, reason):
        self.heard.append(("finish", state, reason))


def test_a_tracker_hears_all_in_order():
    recorder = Recorder()
    with Trackers([recorder], SPEC, resumed=True) as trackers:
        trackers.resume([trial(0)])
        trackers.begun(1, {"x": 0.1})
        trackers.measured(1, 0, {"loss": 0.5})
        trackers(trial(1))
        trackers.finished(StudyState.FINISHED, "done")
    measured = ("measure", 1, 0, {"loss": 0.5})
    assert recorder.heard == [("start", SPEC.name, True), ("end", 0), ("begin", 1), measured, ("end", 1), ("finish", "FINISHED", "done")]


def test_an_interrupted_study_says_so():
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt), Trackers([recorder], SPEC):
        raise KeyboardInterrupt
    assert recorder.heard[-1] == ("finish", "RUNNING", "it was interrupted")


def test_one_that_raises_is_dropped_and_the_others_go_on(caplog):
    class Broken(Recorder):
        def begin_trial(self, number, config):
            raise OSError("no route to the server")

    broken, good = Broken(), Recorder()
    with caplog.at_level(logging.ERROR), Trackers([broken, good], SPEC) as trackers:
        for number in range(3):
            trackers.begun(number, {})
    assert [word[0] for word in broken.heard] == ["start"]
    assert [word[0] for word in good.heard] == ["start", "begin", "begin", "begin", "finish"]
    assert sum("no route" in record.exc_text for record in caplog.records) == 1


def test_a_slow_one_slows_nothing_and_gets_the_latest(caplog):
    wait = threading.Event()
    recorder = Recorder(wait)
    with caplog.at_level(logging.WARNING), Trackers([recorder], SPEC) as trackers:
        trackers.begun(0, {})
        for step in range(_MOST + 500):
            trackers.measured(0, step, {"loss": float(step), **({"rare": 1.0} if step == _MOST else {})})
        trackers(trial(0))
        trackers.finished(StudyState.FINISHED, "done")
        wait.set()
    measured = [word for word in recorder.heard if word[0] == "measure"]
    assert len(measured) == _MOST + 1
    assert measured[-1] == ("measure", 0, _MOST + 499, {"loss": _MOST + 499.0, "rare": 1.0})
    assert [word[0] for word in recorder.heard[-2:]] == ["end", "finish"]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("tracker", "message"),
    [("mlfow", "Did you mean 'mlflow'"), (7, "is no tracker"), (Algorithm(name="tensorboard", options={"dir": "x"}), "dir")],
)
def test_mistakes_are_said(tracker, message):
    with pytest.raises(InvalidInput, match=message):
        Trackers([tracker], SPEC)


def _play(tracker, *, resumed):
    """A study that was cut off in trial 1 the first time."""
    with Trackers([tracker], SPEC, resumed=resumed) as trackers:
        if resumed:
            trackers.resume([trial(0)])
        else:
            trackers.begun(0, trial(0).config)
            trackers.measured(0, 1, {"loss": 3.0})
            trackers(trial(0))
        trackers.begun(1, trial(1).config)
        trackers.measured(1, 1, {"loss": 2.0})
        if resumed:
            trackers(trial(1, RunState.STOPPED, reason="it was bad"))
            trackers(trial(2, copied_from=0))
            trackers.finished(StudyState.FINISHED, "all 3 trials are done")


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_one_run_for_each_trial_also_after_a_crash(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for resumed in (False, True):
        _play(Algorithm(name="mlflow", options={"uri": uri, "experiment": "e"}), resumed=resumed)
    client = MlflowClient(tracking_uri=uri)
    runs = {run.data.tags["wichtel.trial"]: run for run in client.search_runs([client.get_experiment_by_name("e").experiment_id])}
    assert sorted(runs) == ["0", "1", "2", "none"]
    parent = runs["none"]
    assert {run.data.tags["mlflow.parentRunId"] for number, run in runs.items() if number != "none"} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best loss"] == 1.0
    assert runs["0"].data.params == {"x": "0.0", "kind": "None"}
    assert [(m.step, m.value) for m in client.get_metric_history(runs["0"].info.run_id, "loss")] == [(1, 3.0), (2, 1.0)]
    assert runs["1"].data.tags["wichtel.state"] == "STOPPED"
    assert runs["1"].data.tags["wichtel.reason"] == "it was bad"
    # A new study of the same name is another one.
    _play(Algorithm(name="mlflow", options={"uri": uri, "experiment": "e"}), resumed=False)
    assert len(client.search_runs([client.get_experiment_by_name("e").experiment_id])) == 7


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_has_one_folder_for_each_trial_also_after_a_crash(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for resumed in (False, True):
        _play(Algorithm(name="tensorboard", options={"folder": str(tmp_path)}), resumed=resumed)
    [study] = tmp_path.iterdir()
    assert sorted(folder.name for folder in study.iterdir()) == ["trial-00000", "trial-00001", "trial-00002"]
    events = EventAccumulator(str(study / "trial-00000")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 3.0), (2, 1.0)]
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")
    _play(Algorithm(name="tensorboard", options={"folder": str(tmp_path)}), resumed=False)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_study_is_mirrored_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def train(x, report):
        for step in range(3):
            report(step, loss=x + step)
        return x

    options = {"minimize": "loss", "engine": "inline", "searcher": "random", "name": "mirrored"}
    for trials, resumed in ((2, False), (3, True)):
        recorder = Recorder()
        study = wt.tune(train, {"x": wt.Float(0, 1)}, trials=trials, trackers=[recorder], **options)
        assert recorder.heard[0] == ("start", "mirrored", resumed)
        assert recorder.heard[-1] == ("finish", "FINISHED", study.reason)
        assert [word[1] for word in recorder.heard if word[0] == "end"] == list(range(trials))
    last = study.trials[-1].config["x"]
    assert recorder.heard[-6:-1] == [("begin", 2), *(("measure", 2, step, {"loss": last + step}) for step in range(3)), ("end", 2)]
