"""Studies that somebody put into the store, carried beside a controller."""

from __future__ import annotations

import time

import pytest

from wichtel.domain import Algorithm, Expectation, Float, Objective, RunSpec, RunState, Space, StorageFailed, StudySpec, StudyState
from wichtel.fleet import Controller, FleetSettings, LocalEngine
from wichtel.store import Database
from wichtel.store.studies import Trials
from wichtel.tuning import StudyHost
from wichtel.tuning.study.loop import StudyLoop


@pytest.fixture
def db(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path / 'w.db'}", upgrade=True)
    yield database
    database.close()


@pytest.fixture
def serve(db, tmp_path):
    """Start a controller with a host, as `wichtel serve` does."""
    started = []

    def start():
        engine = LocalEngine(2, environment={"PYTHONPATH": str(tmp_path)})
        controller = Controller(db, engine, str(tmp_path / "artifacts"), FleetSettings(state_dir=tmp_path / "fleet"))
        controller.start()
        host = StudyHost(db, controller, poll_seconds=0.05)
        host.start()
        started.append((host, controller))
        return host

    def stop():
        while started:
            host, controller = started.pop()
            host.stop()
            controller.stop()

    start.stop = stop
    yield start
    stop()


def submit(db, tmp_path, study_id="s-1", **changes):
    (tmp_path / "host_entries.py").write_text(
        "import time\n"
        "def square(payload, context):\n"
        "    time.sleep(payload['seconds'])\n"
        "    return {'metrics': {'loss': payload['config']['x'] ** 2}, 'predictions': {}}\n"
    )
    values = {
        "id": study_id,
        "name": f"name of {study_id}",
        "space": Space({"x": Float(-1, 1)}),
        "objectives": (Objective(metric="loss", better=Expectation.SMALLER),),
        "entry": "host_entries:square",
        "payload": {"seconds": 0.0},
        "trials": 10,
        "workers": 2,
    } | changes
    with db.transaction() as tx:
        tx.studies.add(StudySpec(**values))


def ended(db, study_id="s-1", seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with db.read() as tx:
            study = tx.studies.get(study_id)
            if study.state.ended:
                return study, tx.trials.of_study(study_id)
        time.sleep(0.02)
    raise AssertionError("the study did not end")


def test_a_study_of_the_store_is_carried_out(db, tmp_path, serve):
    submit(db, tmp_path)
    serve()
    submit(db, tmp_path, "s-2", searcher=Algorithm(name="random"))
    for study_id in ("s-1", "s-2"):
        study, trials = ended(db, study_id)
        assert (study.state, study.reason) == (StudyState.FINISHED, "all 10 trials are done")
        assert [t.number for t in trials] == list(range(10))
        assert all(t.state is RunState.SUCCEEDED and t.metrics == {"loss": t.config["x"] ** 2} for t in trials)


def test_a_study_goes_on_when_the_service_comes_back(db, tmp_path, serve):
    submit(db, tmp_path, payload={"seconds": 0.05}, trials=20)
    serve()
    while True:
        with db.read() as tx:
            if len(tx.trials.of_study("s-1")) >= 3:
                break
        time.sleep(0.01)
    serve.stop()
    with db.read() as tx:
        before = tx.trials.of_study("s-1")
        assert tx.studies.get("s-1").state is StudyState.RUNNING
    serve()
    study, trials = ended(db)
    assert study.state is StudyState.FINISHED
    assert len(trials) == 20
    kept = {t.number: t for t in trials}
    assert all(kept[t.number] == t for t in before)


def test_a_study_that_somebody_cancels_ends_with_its_runs(db, tmp_path, serve):
    submit(db, tmp_path, payload={"seconds": 0.3}, trials=1000)
    serve()
    while True:
        with db.read() as tx:
            if tx.runs.list(owner="study/s-1", state=RunState.RUNNING):
                break
        time.sleep(0.01)
    with db.transaction() as tx:
        tx.studies.set_state("s-1", StudyState.CANCELED, "not needed any more")
    deadline = time.monotonic() + 30
    while True:
        with db.read() as tx:
            if all(r.state.ended for r in tx.runs.list(owner="study/s-1", limit=1000)):
                break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    study, _ = ended(db)
    assert (study.state, study.reason) == (StudyState.CANCELED, "not needed any more")


def test_a_study_canceled_while_nobody_led_leaves_no_run_behind(db, tmp_path, serve):
    submit(db, tmp_path, payload={"seconds": 30.0})
    serve()
    while True:
        with db.read() as tx:
            if tx.runs.list(owner="study/s-1", state=RunState.RUNNING):
                break
        time.sleep(0.01)
    serve.stop()
    with db.transaction() as tx:
        tx.studies.set_state("s-1", StudyState.CANCELED)
    serve()
    deadline = time.monotonic() + 20
    while True:
        with db.read() as tx:
            runs = tx.runs.list(owner="study/s-1")
        if all(run.state is RunState.CANCELED for run in runs):
            break
        assert time.monotonic() < deadline, runs
        time.sleep(0.02)


def test_a_study_that_breaks_its_host_harms_no_other(db, tmp_path, serve):
    submit(db, tmp_path)
    with db.transaction() as tx:
        # No trial of ours: its payload was lost.
        tx.runs.add(RunSpec(id="s-1/0", entry="m:f", owner="study/s-1"))
    submit(db, tmp_path, "s-2", searcher=Algorithm(name="random"))
    serve()
    study, _ = ended(db)
    assert study.state is StudyState.FAILED
    assert study.reason == "it cannot be carried on: KeyError: 'trial'"
    assert ended(db, "s-2")[0].state is StudyState.FINISHED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"searcher": Algorithm(name="tppe")}, "Did you mean 'tpe'"),
        ({"entry": "no_such_module:f", "trials": 2}, "no_such_module"),
    ],
)
def test_a_study_that_cannot_be_carried_fails_with_the_cause(db, tmp_path, serve, changes, words):
    submit(db, tmp_path, **changes)
    serve()
    study, _ = ended(db)
    assert study.state is StudyState.FAILED
    assert words in study.reason


def test_trials_that_the_store_refused_for_a_while_are_not_missing(db, tmp_path, serve, monkeypatch):
    put, faults = Trials.put_many, [StorageFailed("the disk is full.")] * 3

    def failing(self, trials):
        if faults:
            raise faults.pop()
        return put(self, trials)

    monkeypatch.setattr(Trials, "put_many", failing)
    # One configuration again and again, so that most are answered from the one that is there: no run's row says what became of them.
    submit(db, tmp_path, enqueued=({"x": 0.5},) * 8, trials=20, workers=1)
    serve()
    study, _ = ended(db)
    serve.stop()
    assert not faults
    assert (study.state, study.reason) == (StudyState.FINISHED, "all 20 trials are done")
    with db.read() as tx:
        assert [t.number for t in tx.trials.of_study("s-1")] == list(range(20))


def test_a_study_whose_loop_failed_is_taken_up_again_and_ends_as_it_would_have(db, tmp_path, serve, monkeypatch):
    heard = StudyLoop.on_end
    falls = iter([RuntimeError("a bug"), RuntimeError("another")])

    def on_end(self, run):
        error = next(falls, None)
        if error is not None:
            raise error
        return heard(self, run)

    monkeypatch.setattr(StudyLoop, "on_end", on_end)
    submit(db, tmp_path)
    serve()
    study, trials = ended(db)
    assert study.state is StudyState.FINISHED
    assert [t.number for t in trials] == list(range(10))


def test_a_study_whose_loop_fails_again_and_again_is_given_up(db, tmp_path, serve, monkeypatch):
    def on_end(self, run):
        raise RuntimeError("a bug")

    monkeypatch.setattr(StudyLoop, "on_end", on_end)
    submit(db, tmp_path)
    serve()
    study, _ = ended(db)
    assert study.state is StudyState.FAILED
    assert "a fault of Wichtel" in study.reason
