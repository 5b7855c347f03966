"""Hyperband, BOHB and PBT in real studies: promoted trials go on from the checkpoint of their parent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

import wichtel as wt
from wichtel.domain import Algorithm

SCRIPT = """
import json, sys, time
import wichtel as wt
from wichtel.domain import Algorithm


def train(x, y, budget, checkpoint_path, resume):
    kept = checkpoint_path / "state.json"
    epoch = json.loads(kept.read_text())["epoch"] if resume else 0
    start = epoch
    while epoch < budget:
        epoch += 1
        # As a whole or not at all, whenever it is killed.
        (checkpoint_path / "new").write_text(json.dumps({"epoch": epoch}))
        (checkpoint_path / "new").rename(kept)
    time.sleep(0.01)
    with open("done", "a") as file:
        file.write("1\\n")
    return {"loss": (x - 0.3) ** 2 + y / 10 + 1 / epoch, "start": start, "end": epoch}


SPACE = {"x": wt.Float(0, 1), "y": wt.Float(0, 1)}

if __name__ == "__main__":
    searcher = Algorithm(name=sys.argv[1], options=json.loads(sys.argv[2]))
    study = wt.tune(train, SPACE, minimize="loss", trials=36, searcher=searcher, workers=int(sys.argv[3]), name="kill", seed=2)
    for t in study.trials:
        print(json.dumps([t.number, t.state, t.config, t.budget, t.parent, t.metrics]))
"""


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "script"}
    exec(SCRIPT, scope)
    return scope["train"]


@pytest.mark.parametrize(
    ("searcher", "options"),
    [("hyperband", {}), ("hyperband", {"asynchronous": False}), ("bohb", {"max_budget": 9}), ("pbt", {"population": 4, "interval": 2})],
)
def test_promoted_trials_go_on_where_their_parents_ended(train, searcher, options):
    space = {"x": wt.Float(0, 1), "y": wt.Float(0, 1)}
    study = wt.tune(train, space, minimize="loss", trials=40, workers=2, searcher=Algorithm(name=searcher, options=options), seed=1)
    by_number = {t.number: t for t in study.trials}
    promoted = [t for t in study.trials if t.parent is not None]
    assert len(promoted) >= 10
    for trial in study.trials:
        started = 0 if trial.parent is None else by_number[trial.parent].metrics["end"]
        assert (trial.metrics["start"], trial.metrics["end"]) == (started, trial.budget)
    assert study.best.budget == max(t.budget for t in study.trials)


def test_an_ended_study_can_be_extended(train):
    # Its checkpoints are gone with its end: what is promoted from before trains from the beginning, to the same budget.
    space = {"x": wt.Float(0, 1), "y": wt.Float(0, 1)}
    for trials in (20, 40):
        study = wt.tune(train, space, minimize="loss", trials=trials, searcher="hyperband", name="long", seed=1)
    assert all(t.state == "SUCCEEDED" and t.metrics["end"] == t.budget for t in study.trials)
    by_number = {t.number: t for t in study.trials}
    later = [t for t in study.trials[20:] if t.parent is not None]
    assert {t.parent < 20 for t in later} == {True, False}
    assert all(t.metrics["start"] == (0 if t.parent < 20 else by_number[t.parent].metrics["end"]) for t in later)


def _start(folder, searcher, options):
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", searcher, json.dumps(options), "1"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines() if line.startswith("[")]


@pytest.mark.parametrize(("searcher", "options"), [("bohb", {"max_budget": 9}), ("pbt", {"population": 4})])
def test_a_killed_study_ends_as_an_undisturbed_one(tmp_path, searcher, options):
    undisturbed = _finish(_start(tmp_path / "calm", searcher, options))
    folder = tmp_path / "killed"
    process = _start(folder, searcher, options)
    deadline = time.monotonic() + 60
    while not ((folder / "done").exists() and len((folder / "done").read_text().split()) >= 14):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    resumed = _finish(_start(folder, searcher, options))
    assert [t[:5] for t in resumed] == [t[:5] for t in undisturbed]
    assert all(after[5]["end"] == before[5]["end"] for after, before in zip(resumed, undisturbed, strict=True))
