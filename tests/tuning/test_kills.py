"""Studies whose main process is killed again and again, and the same call that goes on with them: they end as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from random import Random

import pytest

pytestmark = pytest.mark.crash

KILLS = 20

SCRIPT = """
import json, os, sys, time
import wichtel as wt

def note(*words):
    with open("done", "a") as log:
        log.write(json.dumps(words) + "\\n")

def train(x, n, trial, report, checkpoint_path, resume):
    state = checkpoint_path / "step"
    first = int(state.read_text()) if resume and state.exists() else 0
    note("begin", trial, first)
    for step in range(first, 4):
        time.sleep(SECONDS)
        report(step=step, loss=(x - 1) ** 2 + n + 1 / (step + 1))
        # Whole or not at all: a checkpoint is written as it has to be.
        (checkpoint_path / "next").write_text(str(step + 1))
        os.replace(checkpoint_path / "next", state)
    note("end", trial)
    return {"loss": (x - 1) ** 2 + n, "first": 0}

if __name__ == "__main__":
    searcher, workers, pruner, trials = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None, int(sys.argv[4])
    study = wt.tune(train, {"x": wt.Float(-3, 3), "n": wt.Int(0, 5)}, minimize="loss", trials=trials, searcher=searcher, pruner=pruner,
                    workers=workers, name="kill", seed=5)
    print(json.dumps([[t.number, t.state, t.config, t.metrics.get("loss")] for t in study.trials]))
"""


def start(folder, seconds, *arguments):
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(SCRIPT.replace("SECONDS", str(seconds)))
    # A session of its own: its workers must find out by themselves that their controller is gone.
    return subprocess.Popen(
        [sys.executable, "script.py", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def words(folder):
    path = folder / "done"
    # The last line of a writer that was killed may be torn.
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("]")] if path.exists() else []


def trials_of(folder):
    """The trials that the store has."""
    path = folder / ".wichtel" / "studies" / "kill" / "study.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'trials'").fetchone():
            return []
        return [number for (number,) in connection.execute("SELECT number FROM trials")]


def kill_again_and_again(folder, kills, seed, seconds, *arguments):
    """Run the script, and kill it when it has worked for a while; returns what the last run of it says, and how often it was killed."""
    random = Random(seed)
    killed = 0
    #: Trial → how much was written down when it was found ended.
    ended = {}
    while killed < kills:
        process = start(folder, seconds, *arguments)
        begun = len(words(folder))
        deadline = time.monotonic() + 60
        # At once, or while it starts, or while it works.
        pause = random.choice([random.uniform(0.0, 0.8), None, None, None])
        if pause is None:
            while len(words(folder)) == begun and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            pause = random.uniform(0.0, 6 * seconds)
        with_end = time.monotonic() + pause
        while time.monotonic() < with_end and process.poll() is None:
            time.sleep(0.005)
        if process.poll() is not None:
            return finish(process), killed
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
        ended |= {number: len(words(folder)) for number in trials_of(folder) if number not in ended}
    trials = finish(start(folder, seconds, *arguments))
    for at, word in enumerate(words(folder)):
        assert at < ended.get(word[1], at + 1), f"trial {word[1]} was run again after it had ended"
    return trials, killed


def test_a_study_killed_at_twenty_moments_ends_with_the_same_trials(tmp_path):
    arguments = ("random", "2", "median", "40")
    calm = finish(start(tmp_path / "calm", 0.001, *arguments))
    folder = tmp_path / "killed"
    trials, killed = kill_again_and_again(folder, KILLS, 1, 0.04, *arguments)
    assert killed >= KILLS // 2, "it was through before it was killed often enough to mean anything"
    assert [t[:1] + t[2:3] for t in trials] == [t[:1] + t[2:3] for t in calm]
    whole = {number: loss for number, state, _, loss in calm if state == "SUCCEEDED"}
    for number, state, _, loss in trials:
        if state == "SUCCEEDED" and number in whole:
            assert loss == whole[number]
    assert {state for _, state, _, _ in trials} <= {"SUCCEEDED", "STOPPED"}
    ends = Counter(word[1] for word in words(folder) if word[0] == "end")
    # Only those whose end was not yet durable when they were killed may have come to it twice.
    assert sum(count - 1 for count in ends.values()) <= 2 * killed
    began = [word for word in words(folder) if word[0] == "begin"]
    assert any(first > 0 for _, _, first in began), "no trial went on from its checkpoint"


@pytest.mark.parametrize("searcher", ["tpe"])
def test_a_searcher_that_learns_goes_on_as_if_nothing_had_happened(tmp_path, searcher):
    arguments = (searcher, "1", "", "18")
    calm = finish(start(tmp_path / "calm", 0.001, *arguments))
    trials, killed = kill_again_and_again(tmp_path / "killed", 4, 2, 0.02, *arguments)
    assert killed >= 2
    assert trials == calm


def test_no_process_is_left_of_a_killed_study(tmp_path):
    process = start(tmp_path / "one", 30, "random", "2", "", "4")
    deadline = time.monotonic() + 60
    while not words(tmp_path / "one"):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    group = os.getpgid(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline, "workers outlive their controller"
        time.sleep(0.05)
