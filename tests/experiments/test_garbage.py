import hashlib
import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wichtel.domain import (
    Dataset,
    ExperimentState,
    ExperimentStatus,
    Float,
    Measurement,
    Objective,
    Run,
    RunSpec,
    RunState,
    Space,
    StorageFailed,
    StudySpec,
    StudyState,
    Trial,
)
from wichtel.experiments import Garbage, Retention
from wichtel.plans import SourceTree
from wichtel.protocols.template import FAILED
from wichtel.store import Artifacts, Database
from wichtel.workflows import Graph, Handler, InlineWorkflows, Step

NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=400)
NEVER = 100_000.0
FOREVER = Retention(trial_models=NEVER, candidates=NEVER, baselines=NEVER, events=NEVER, measurements=NEVER, audit=NEVER, grace=1.0)
POLICY = Retention(trial_models=30, candidates=90, baselines=60, events=90, measurements=90, audit=90, grace=1.0)


def put(artifacts, content, days=10.0):
    """An artifact that was last put so many days ago."""
    digest = artifacts.put(content if isinstance(content, bytes) else content.encode())
    age(artifacts, digest, days)
    return digest


def age(artifacts, digest, days=10.0):
    then = time.time() - days * 86_400
    os.utime(artifacts._path(digest), (then, then))


def tree(artifacts, content):
    made = SourceTree({"plan.py": content.encode(), "job.toml": b"job"})
    digest = made.save(artifacts)
    files = [hashlib.sha256(file).hexdigest() for file in made.files.values()]
    for one in (digest, *files):
        age(artifacts, one)
    return digest, {digest, *files}


def run_of(run, owner, *, days=0.0, result=None, payload=None, state=RunState.SUCCEEDED):
    spec = RunSpec(id=run, entry="m:f", owner=owner, payload=payload or {})
    ended = NOW - timedelta(days=days) if state.ended else None
    return Run(spec=spec, state=state, attempt=1, worker="w", result=result, created=OLD, started=OLD, ended=ended)


def add_runs(db, *runs):
    with db.transaction() as tx:
        tx.runs.add_many([run.spec for run in runs])
        tx.runs.update_many(runs)


def study(name, **more):
    objectives = (Objective(metric="auc", better="larger"),)
    return StudySpec(id=name, name=name, space=Space({"x": Float(0, 1)}), objectives=objectives, entry="m:f", **more)


def collector(db, artifacts, policy=POLICY, workflows=None):
    return Garbage(db, artifacts, workflows or InlineWorkflows(), policy)


def there(artifacts):
    return {stored.digest for stored in artifacts.list()}


#: Each puts an artifact where a noun of the store refers to it.
def _in_dataset(db, artifacts, name, add, finished):
    digest = put(artifacts, name)
    with db.transaction() as tx:
        columns = {"t": "datetime"}
        tx.datasets.add(
            Dataset(name=name, digest=digest, time_column="t", columns=columns, rows=1, start=OLD, end=NOW, owner="ana", created=OLD)
        )
    return {digest}


def _in_result(db, artifacts, name, add, finished):
    digest = put(artifacts, name)
    add_runs(db, run_of(f"{name}/candidate/0", f"experiment/{name}/run/1", days=300, result={"model": digest, "predictions": {}}))
    return {digest}


def _in_run_that_waits(db, artifacts, name, add, finished):
    digest, files = tree(artifacts, name)
    add_runs(db, run_of(f"analysis/{name}", "", payload={"tree": digest}, state=RunState.RUNNING))
    return files


def _in_trial(db, artifacts, name, add, finished):
    digest = put(artifacts, name)
    with db.transaction() as tx:
        tx.studies.add(study(name))
        tx.trials.put_many([Trial(study=name, number=0, config={}, artifacts={"model": digest}, created=OLD)])
    return {digest}


def _in_study(db, artifacts, name, add, finished):
    digest, files = tree(artifacts, name)
    with db.transaction() as tx:
        tx.studies.add(study(name, payload={"tree": digest, "function": put(artifacts, f"f{name}")}))
    return files | {hashlib.sha256(f"f{name}".encode()).hexdigest()}


def _in_diff(db, artifacts, name, add, finished):
    digest = put(artifacts, name)
    made = finished(name, ExperimentStatus.SATISFIED)
    add(db, replace(made, result=replace(made.result, diff=digest)))
    return {digest}


def _nowhere(db, artifacts, name, add, finished):
    put(artifacts, name)
    return set()


def _young(db, artifacts, name, add, finished):
    return {put(artifacts, name, days=0.5)}


PLACES = [_in_dataset, _in_result, _in_run_that_waits, _in_trial, _in_study, _in_diff, _nowhere, _young]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PLACES), max_size=8))
def test_nothing_that_anything_refers_to_is_deleted_and_all_else_is(tmp_path_factory, add, finished, places):
    db = Database.open("sqlite://", upgrade=True)
    artifacts = Artifacts(tmp_path_factory.mktemp("artifacts"))
    expected = set()
    for i, place in enumerate(places):
        expected |= place(db, artifacts, f"n{i}", add, finished)
    garbage = collector(db, artifacts, FOREVER)
    everything = there(artifacts)
    foreseen = garbage.preview()
    assert there(artifacts) == everything
    outcome = garbage.run()
    assert there(artifacts) == expected
    assert outcome["artifacts"] == foreseen["artifacts"] == len(everything - expected)
    assert outcome["bytes"] == foreseen["bytes"]
    db.close()


def test_the_same_on_both_databases(database, add, finished, tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts")
    expected = set().union(*(place(database, artifacts, f"n{i}", add, finished) for i, place in enumerate(PLACES)))
    assert collector(database, artifacts, FOREVER).run()["artifacts"] == 1
    assert there(artifacts) == expected


def test_files_are_kept_as_long_as_the_policy_says_and_metrics_for_ever(database, add, finished, tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts")
    statuses = (ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED, ExperimentStatus.CANCELED)
    add(database, *(finished(name, status) for name, status in zip("suc", statuses, strict=True)))
    add(database, finished("p", state=ExperimentState.IN_PROGRESS, status=None))
    with database.transaction() as tx:
        tx.studies.add(study("open"))
    kept, gone = {}, {}

    def training(where, run, owner, days):
        weights, predictions = put(artifacts, f"w{run}{days}"), put(artifacts, f"p{run}{days}")
        add_runs(
            database, run_of(run, owner, days=days, result={"metrics": {"auc": 1.0}, "model": weights, "predictions": {"e": predictions}})
        )
        where[run] = {weights, predictions}

    training(kept, "s/candidate/0", "experiment/s/run/1", 1000)
    training(kept, "u/candidate/0", "experiment/u/run/1", 80)
    training(gone, "u/candidate/1", "experiment/u/run/1", 100)
    training(kept, "c/candidate/0", "experiment/c/run/1", 20)
    training(gone, "c/candidate/1", "experiment/c/run/1", 40)
    training(kept, "p/candidate/0", "experiment/p/run/1", 1000)
    training(kept, "baseline/k/0/0", "experiment/s/run/1", 50)
    training(gone, "baseline/k/0/1", "experiment/s/run/1", 70)
    training(kept, "open/0", "study/open", 1000)
    garbage = collector(database, artifacts)
    foreseen = garbage.preview()
    outcome = garbage.run()
    assert there(artifacts) == set().union(*kept.values())
    assert outcome["artifacts"] == foreseen["artifacts"] == 6
    assert outcome["released_runs"] == foreseen["released_runs"] == 3
    with database.read() as tx:
        assert tx.runs.get("u/candidate/1").result == {"metrics": {"auc": 1.0}, "model": None, "predictions": {}}
    assert garbage.run()["released_runs"] == 0


def test_of_an_ended_study_the_best_trial_keeps_its_files(database, tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts")
    digests = [put(artifacts, f"model {i}") for i in range(3)]
    with database.transaction() as tx:
        tx.studies.add(study("s"))
        trial = {"study": "s", "config": {}, "created": OLD, "state": RunState.SUCCEEDED}
        scores = (0.5, 0.9, float("nan"))
        tx.trials.put_many([Trial(number=i, metrics={"auc": scores[i]}, artifacts={"model": digests[i]}, **trial) for i in range(3)])
    add_runs(
        database, *(run_of(f"s/{i}", "study/s", days=300, result={"metrics": {}, "artifacts": {"model": digests[i]}}) for i in range(3))
    )
    garbage = collector(database, artifacts)
    assert garbage.run()["artifacts"] == 0
    with database.transaction() as tx:
        tx.studies.set_state("s", StudyState.CANCELED, "over")
    assert garbage.run()["artifacts"] == 2
    assert there(artifacts) == {digests[1]}
    with database.read() as tx:
        assert [trial.artifacts for trial in tx.trials.of_study("s")] == [{}, {"model": digests[1]}, {}]


def test_what_only_a_step_of_an_experiment_in_progress_found_is_kept(add, finished, tmp_path):
    db, artifacts = Database.open("sqlite://", upgrade=True), Artifacts(tmp_path / "artifacts")
    edited, files = tree(artifacts, "edited")
    steps = (
        Step("apply_recipe", lambda ctx, inputs: {"tree": edited}),
        Step(
            "baseline",
            lambda ctx, inputs: {"runs": ["baseline/k/0/0"]},
            after=("apply_recipe",),
            poll=lambda ctx, ticket: [{"run": ticket["runs"][0]}],
        ),
        Step("wait", lambda ctx, inputs: {}, after=("baseline",), poll=lambda ctx, ticket: None),
    )
    workflows = InlineWorkflows(graphs=[Graph("protocol/P", steps, on_failure=FAILED)], handlers=[Handler(FAILED, lambda ctx, data: {})])
    workflows.start()
    add(db, finished("a", state=ExperimentState.IN_PROGRESS, status=None, workflow="a/run/1"))
    weights = put(artifacts, "weights")
    add_runs(db, run_of("baseline/k/0/0", "experiment/old/run/1", days=300, result={"model": weights}))
    with db.transaction() as tx:
        workflows.enqueue(tx, "protocol/P", "a/run/1", {})
    workflows.run_pending()
    garbage = collector(db, artifacts, workflows=workflows)
    assert garbage.run()["artifacts"] == 0
    with db.transaction() as tx:
        tx.experiments.finish("a", ExperimentStatus.CANCELED, "gone")
    assert garbage.run()["artifacts"] == len(files) + 1
    db.close()


def test_old_rows_go_in_their_time(database, tmp_path):
    artifacts = Artifacts(tmp_path / "artifacts")
    with database.transaction() as tx:
        tx.audit.add("ana", "did", "something")
        tx.events.add("it.happened", "thing/1")
        specs = [RunSpec(id=f"r-{i}", entry="m:f") for i in range(205)]
        tx.runs.add_many(specs)
        # The last goes on.
        over = [Run(spec=spec, state=RunState.SUCCEEDED, attempt=1, created=tx.now, ended=tx.now) for spec in specs[:-1]]
        tx.runs.update_many(over)
        tx.measurements.add_many(Measurement(run=spec.id, attempt=1, step=1, metrics={"loss": 1.0}) for spec in specs)
    now = collector(database, artifacts, Retention(trial_models=1, candidates=1, baselines=1, events=0, measurements=0, audit=0, grace=1))
    outcome = now.run()
    assert (outcome["events"], outcome["audit"], outcome["measurements"]) == (1, 1, 204)
    with database.read() as tx:
        assert len(tx.measurements.of_run("r-204")) == 1
        assert tx.audit.list() == []


def test_whoever_puts_what_is_about_to_be_deleted_loses_nothing(tmp_path):
    artifacts = Artifacts(tmp_path)
    for i in range(200):
        content = b"%d" % (i % 7)
        digest = artifacts.put(content)
        age(artifacts, digest)
        start = threading.Barrier(2)

        def delete(digest=digest, start=start):
            start.wait()
            artifacts.delete_old(digest, NOW - timedelta(days=1))

        deleter = threading.Thread(target=delete)
        deleter.start()
        start.wait()
        artifacts.put(content)
        deleter.join()
        assert artifacts.get(digest) == content


def test_what_a_kill_left_in_the_middle_of_a_deletion_is_put_back_or_deleted(tmp_path):
    artifacts = Artifacts(tmp_path)
    young, old = artifacts.put(b"young"), put(artifacts, b"old")
    before = NOW - timedelta(days=1)
    for digest in (young, old):
        path = Path(artifacts._path(digest))
        path.rename(f"{path}.0123456789abcdef0123456789abcdef.gone")
    part = tmp_path / "half.part"
    part.write_bytes(b"x")
    os.utime(part, (time.time() - 10 * 86_400,) * 2)
    assert artifacts.tidy(before) == 3
    assert there(artifacts) == {young}
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [young]


def test_elsewhere_than_in_a_folder(add, finished):
    artifacts = Artifacts("memory://wichtel-garbage")
    digest = artifacts.put(b"x")
    (stored,) = artifacts.list()
    assert (stored.digest, stored.bytes) == (digest, 1)
    assert not artifacts.delete_old(digest, NOW - timedelta(days=1))
    assert artifacts.delete_old(digest, datetime.now(UTC) + timedelta(days=1))
    assert list(artifacts.list()) == []
    assert not artifacts.delete_old(digest, NOW)


def test_a_damaged_manifest_stops_the_collection(tmp_path, add, finished):
    db, artifacts = Database.open("sqlite://", upgrade=True), Artifacts(tmp_path / "artifacts")
    digest, _ = tree(artifacts, "x")
    add_runs(db, run_of("analysis/x", "", payload={"tree": digest}, state=RunState.RUNNING))
    Path(artifacts._path(digest)).write_bytes(b"no manifest")
    with pytest.raises(StorageFailed, match="nothing was collected"):
        collector(db, artifacts).run()
    db.close()


COLLECT = """
from wichtel.experiments import Garbage, Retention
from wichtel.store import Artifacts
from wichtel.workflows import InlineWorkflows
class Struck(Artifacts):
    def delete_old(self, digest, before):
        strike()
        gone = super().delete_old(digest, before)
        strike()
        return gone
def work(db, folder):
    policy = Retention(trial_models=30, candidates=90, baselines=60, events=90, measurements=90, audit=90, grace=1.0)
    return Garbage(db, Struck(folder), InlineWorkflows(), policy).run()
"""


@pytest.mark.crash
@pytest.mark.parametrize("at", [1, 4])
def test_what_a_holder_left_in_the_middle_of_a_collection_another_finishes(database, add, finished, tmp_path, taken_over, at):
    artifacts = Artifacts(tmp_path / "artifacts")
    add(database, finished("u", ExperimentStatus.UNSATISFIED))
    kept = set()
    for number, days in enumerate((100, 80, 120, 10)):
        weights = put(artifacts, f"weights {number}")
        add_runs(database, run_of(f"u/candidate/{number}", "experiment/u/run/1", days=days, result={"metrics": {}, "model": weights}))
        if days < POLICY.candidates:
            kept.add(weights)
    for number in range(3):
        put(artifacts, f"of nobody {number}")
    taken_over(COLLECT, [artifacts.location], collector(database, artifacts).run, at=at)
    assert there(artifacts) == kept
    with database.read() as tx:
        held = [tx.runs.get(f"u/candidate/{number}").result["model"] for number in range(4)]
    assert {model for model in held if model} == kept
    assert held.count(None) == 2
