import os
import time

import pytest

from wichtel.domain import ExperimentStatus, Float, Objective, RunSpec, Space, StudySpec, StudyState
from wichtel.experiments import Cleaner, FileSweeper
from wichtel.fleet.paths import checkpoint_path, log_path, scratch_path

YEAR = 366 * 86_400.0


@pytest.fixture
def cleaner(world):
    return Cleaner(world.db, world.workflows, grace_seconds=600, keep_days=10_000)


def later(world):
    """The clock of workflows is the real one; a year from the world's beginning is after it."""
    world.clock.seconds += 2 * YEAR


def state(world, workflow):
    found = world.workflows.status(workflow)
    return None if found is None else str(found.state)


def delayed(world, workflow):
    with world.db.transaction() as tx:
        world.workflows.enqueue(tx, "protocol/P", workflow, {"experiment": "x", "generation": 1}, delay_seconds=9 * YEAR)


def study(name):
    space = Space({"x": Float(0, 1)})
    return StudySpec(id=name, name=name, space=space, objectives=(Objective(metric="loss", better="smaller"),), entry="m:f")


def test_a_workflow_whose_experiment_has_ended_is_a_zombie_and_one_that_has_none_an_orphan(world, cleaner):
    world.add("a", "b")
    world.run()
    delayed(world, "ghost/run/1")
    with world.db.transaction() as tx:
        # As if the process died before anything else came of it.
        tx.experiments.finish("a", ExperimentStatus.CANCELED, "gone")
    later(world)
    assert cleaner.preview() == {"orphans": 1, "zombies": 1, "studies": 0, "runs": 0}
    found = cleaner.run()
    assert (found["orphans"], found["zombies"]) == (1, 1)
    assert state(world, "a/run/1") == "CANCELED"
    assert state(world, "ghost/run/1") == "CANCELED"
    # One that has a right to goes on.
    assert state(world, "b/run/1") == "RUNNING"
    assert cleaner.run()["zombies"] == 0


def test_a_workflow_of_an_earlier_generation_is_an_orphan(world, cleaner):
    world.add("a")
    with world.db.transaction() as tx:
        for _ in range(2):
            assert tx.experiments.start("a")
            assert tx.experiments.requeue("a", tx.experiments.get("a").generation)
        tx.experiments.start("a")
    for generation in (2, 3):
        delayed(world, f"a/run/{generation}")
    later(world)
    assert cleaner.run()["orphans"] == 1
    assert state(world, "a/run/2") == "CANCELED"
    assert state(world, "a/run/3") == "PENDING"


def test_what_is_young_is_left_alone(world, cleaner):
    delayed(world, "ghost/run/1")
    world.add("a")
    with world.db.transaction() as tx:
        tx.experiments.finish("a", ExperimentStatus.CANCELED, "gone")
        tx.runs.add(RunSpec(id="a/candidate/0", entry="m:f", owner="experiment/a/run/1"))
    assert set(cleaner.run().values()) == {0}


def test_studies_and_runs_of_ended_and_vanished_experiments_end_but_not_what_is_shared(world, cleaner):
    world.add("a", "b")
    world.run()
    with world.db.transaction() as tx:
        tx.experiments.finish("a", ExperimentStatus.CANCELED, "gone")
        for name in ("a/study", "b/study", "mine"):
            tx.studies.add(study(name))
        owners = {
            "a/candidate/0": "experiment/a/run/1",
            "gone/candidate/0": "experiment/gone/run/1",
            "a/study/0": "study/a/study",
            "old/0": "study/old",
            "b/candidate/0": "experiment/b/run/1",
            "b/study/0": "study/b/study",
            "mine/0": "study/mine",
            "baseline/k/0/0": "experiment/a/run/1",
            "analysis/t": "experiment/a/run/1",
            "else": "somebody/else",
        }
        tx.runs.add_many([RunSpec(id=run, entry="m:f", owner=owner) for run, owner in owners.items()])
    later(world)
    found = cleaner.run()
    assert (found["studies"], found["runs"]) == (1, 4)
    with world.db.read() as tx:
        assert {run for run, _ in tx.runs.cancel_requests()} == {"a/candidate/0", "gone/candidate/0", "a/study/0", "old/0"}
        assert [tx.studies.get(name).state for name in ("a/study", "b/study", "mine")] == [StudyState.CANCELED, *[StudyState.PENDING] * 2]


def test_broken_off_between_workflows_and_runs_the_next_one_goes_on(world, cleaner, monkeypatch):
    world.add("a")
    world.run()
    with world.db.transaction() as tx:
        tx.experiments.finish("a", ExperimentStatus.CANCELED, "gone")
        tx.studies.add(study("a/study"))
        tx.runs.add(RunSpec(id="a/candidate/0", entry="m:f", owner="experiment/a/run/1"))
    later(world)

    def cut(ids):
        cancel(ids)
        raise KeyboardInterrupt

    cancel = world.workflows.cancel_many
    with monkeypatch.context() as patch:
        patch.setattr(world.workflows, "cancel_many", cut)
        with pytest.raises(KeyboardInterrupt):
            cleaner.run()
    assert state(world, "a/run/1") == "CANCELED"
    found = cleaner.run()
    assert (found["zombies"], found["studies"], found["runs"]) == (0, 1, 1)
    with world.db.read() as tx:
        assert {run for run, _ in tx.runs.cancel_requests()} == {"a/candidate/0"}
        assert tx.studies.get("a/study").state is StudyState.CANCELED


def test_ended_workflows_are_forgotten_after_their_time_but_not_those_of_an_experiment_in_progress(world, cleaner):
    world.add("a", "b")
    world.free.add("a")
    world.run()
    world.workflows.cancel("b/run/1")
    cleaner = Cleaner(world.db, world.workflows, grace_seconds=600, keep_days=30)
    assert cleaner.run()["forgotten"] == 0
    later(world)
    assert cleaner.run()["forgotten"] > 0
    assert state(world, "a/run/1") is None
    # Whoever looks after its deadlines is still to find out what became of it.
    assert state(world, "b/run/1") == "CANCELED"


def test_files_of_runs_go_with_their_time_and_those_of_living_runs_stay(world, tmp_path):
    with world.db.transaction() as tx:
        tx.studies.add(study("s"))
        tx.runs.add_many([RunSpec(id="alive", entry="m:f"), RunSpec(id="s/0", entry="m:f", owner="study/s")])
    old = time.time() - 40 * 86_400

    def make(path, age=old):
        file = path if path.suffix == ".log" else path / "file"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"12345678")
        os.utime(path, (age, age))
        return path

    gone = [make(log_path(tmp_path, "over", 1)), make(checkpoint_path(tmp_path, "over")), make(scratch_path(tmp_path, "over", 2))]
    gone.append(make(checkpoint_path(tmp_path, "half").with_name("half.copy")))
    kept = [make(log_path(tmp_path, "new", 1), time.time())]
    kept += [make(checkpoint_path(tmp_path, "alive")), make(checkpoint_path(tmp_path, "s/0"))]
    kept += [make(scratch_path(tmp_path, "alive", 1)), make(checkpoint_path(tmp_path, "young"), time.time() - 2 * 86_400)]
    sweeper = FileSweeper(world.db, tmp_path, keep_logs_days=30, keep_checkpoints_days=7)
    expected = {"logs": 1, "checkpoints": 2, "scratch": 1, "bytes": 32}
    assert sweeper.preview() == expected
    assert all(path.exists() for path in gone)
    assert sweeper.run() == expected
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)
    assert FileSweeper(world.db, tmp_path / "nothing", keep_logs_days=1, keep_checkpoints_days=1).run()["bytes"] == 0
