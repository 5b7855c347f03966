"""One study with everything that user code does wrong, on real workers: its good trials finish all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from wichtel.domain import Algorithm, Choice, Objective, Resources, RetryPolicy, RunState, Space, StudySpec, StudyState
from wichtel.fleet import Controller, FleetSettings, LocalEngine
from wichtel.store import Artifacts, Database
from wichtel.tuning import StudyHost
from wichtel.tuning.function import ENTRY, send

KINDS = ("raises", "nan", "infinite", "hangs", "forks", "prints", "exits", "is killed", "takes all memory", "returns text")


def train(kind, report, checkpoint_path):
    import os
    import signal
    import subprocess
    import sys
    import time

    report(step=0, loss=5.0)
    if kind == "raises":
        raise ValueError("this one is bad")
    if kind == "nan":
        return float("nan")
    if kind == "infinite":
        report(step=1, loss=float("-inf"))
        return float("inf")
    if kind == "hangs":
        time.sleep(3600)
    if kind == "forks":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)  # left by a trial"])
        return 1.0
    if kind == "prints":
        for _ in range(64):
            print("x" * 2**17)
            print("y" * 2**17, file=sys.stderr)
        return 2.0
    if kind == "exits":
        os._exit(3)
    if kind == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "takes all memory":
        hog = []
        while True:
            hog.append(b"x" * (16 * 2**20))
            time.sleep(0.005)
    if kind == "returns text":
        return "good"
    return float(kind)


@pytest.fixture
def study(tmp_path):
    good = [str(n) for n in range(6)]
    kinds = [kind for pair in zip(KINDS, good * 2, strict=False) for kind in pair]
    db = Database.open(f"sqlite:///{tmp_path / 'w.db'}", upgrade=True)
    artifacts = str(tmp_path / "artifacts")
    spec = StudySpec(
        id="bad",
        name="bad",
        space=Space({"kind": Choice(sorted(set(kinds)))}),
        objectives=(Objective(metric="loss", better="smaller"),),
        entry=ENTRY,
        payload={"function": send(train, Artifacts(artifacts)), "metric": "loss"},
        searcher=Algorithm(name="random"),
        enqueued=tuple({"kind": kind} for kind in dict.fromkeys(kinds)),
        trials=len(set(kinds)),
        workers=2,
        timeout_seconds=4.0,
        resources=Resources(memory_bytes=400 * 2**20),
        retry=RetryPolicy(max_attempts=2),
        max_failed_share=1.0,
    )
    with db.transaction() as tx:
        tx.studies.add(spec)
    controller = Controller(db, LocalEngine(2), artifacts, FleetSettings(state_dir=tmp_path / "fleet"))
    with controller:
        host = StudyHost(db, controller)
        loop = host.carry(spec)
        assert controller.serve(loop.done, 120)
        host.flush()
        host.stop()
    with db.read() as tx:
        found = tx.studies.get("bad"), {t.config["kind"]: t for t in tx.trials.of_study("bad")}
    db.close()
    return found


def test_good_trials_finish_beside_all_that_goes_wrong(study):
    study, trials = study
    assert (study.state, study.reason) == (StudyState.FINISHED, "all 16 trials are done")
    for n in range(6):
        assert (trials[str(n)].state, trials[str(n)].metrics) == (RunState.SUCCEEDED, {"loss": float(n)})
    assert trials["forks"].metrics == {"loss": 1.0}
    assert trials["prints"].metrics == {"loss": 2.0}
    failed = {kind: trials[kind].reason for kind in KINDS if trials[kind].state is RunState.FAILED}
    assert set(failed) == set(KINDS) - {"forks", "prints"}
    assert failed["raises"].startswith("ValueError: this one is bad\nTraceback")
    assert "in train" in failed["raises"]
    assert (failed["nan"], failed["infinite"]) == ("its loss is nan", "its loss is inf")
    assert "4 s" in failed["hangs"]
    assert "2 attempts" in failed["is killed"] or "twice" in failed["is killed"]
    assert "memory" in failed["takes all memory"] or "MiB" in failed["takes all memory"]
    assert "returned 'good'" in failed["returns text"]
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"left by a trial" in _read(p)]
    assert not left, "a trial's children outlive it"


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
