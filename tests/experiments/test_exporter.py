import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from wichtel.domain import (
    ExperimentState,
    ExperimentStatus,
    Float,
    InvalidInput,
    NotFound,
    Objective,
    Run,
    RunSpec,
    RunState,
    Space,
    StudySpec,
    Trial,
)
from wichtel.experiments import Principal, Role
from wichtel.experiments.exporter import Exporter
from wichtel.experiments.records import Exports
from wichtel.protocols.submission import TRAIN
from wichtel.store import Database, Files

STUDY = StudySpec(
    id="a/study", name="a/study", space=Space({"x": Float(0, 1)}), objectives=(Objective(metric="loss", better="smaller"),), entry="m:f"
)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
VIEWER = Principal(name="vi", team="ads", role=Role.VIEWER)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path / "exports")


def written(folder):
    """What every file holds, by name."""
    paths = sorted((folder / "exports").rglob("*"))
    assert not [path for path in paths if path.suffix == ".part"]
    return {str(path.relative_to(folder / "exports")): pl.read_parquet(path)["id"].to_list() for path in paths if path.suffix == ".parquet"}


def test_each_finished_experiment_is_exported_once_by_its_day(database, add, finished, files, tmp_path):
    add(database, finished("a"), finished("b", finished=NOON + timedelta(days=1)), finished("c", ExperimentStatus.SATISFIED))
    add(database, finished("x", state=ExperimentState.IN_PROGRESS, status=None, result=None))
    exporter = Exporter(database, files)
    assert exporter.preview() == {"rows": 3}
    assert exporter.run() == {"exports": [1], "rows": 3}
    assert exporter.run() == {"exports": [], "rows": 0}
    # One that ended earlier, and was committed later.
    add(database, finished("late", finished=NOON - timedelta(minutes=1)))
    assert exporter.run() == {"exports": [2], "rows": 1}
    assert written(tmp_path) == {
        "experiments/day=2026-03-04/export-000001.parquet": ["a", "c"],
        "experiments/day=2026-03-04/export-000002.parquet": ["late"],
        "experiments/day=2026-03-05/export-000001.parquet": ["b"],
    }


def test_a_row_has_what_the_analysis_needs(database, add, finished, files, tmp_path):
    add(database, finished("c", ExperimentStatus.SATISFIED, protocol="TuneHyperparameters"))
    Exporter(database, files).run()
    (row,) = pl.read_parquet(tmp_path / "exports/experiments/day=2026-03-04/export-000001.parquet").to_dicts()
    assert {name: row[name] for name in ("owner", "team", "status", "cause", "models_trained", "kind", "intent", "metric")} == {
        "owner": "ana",
        "team": "ads",
        "status": "SATISFIED",
        "cause": "because",
        "models_trained": 2,
        "kind": "tuning",
        "intent": "neutral",
        "metric": "auc",
    }
    assert row["finished"] == NOON
    assert (row["began"] - row["started"]).total_seconds() == 2
    assert json.loads(row["parameters"]) == {"width": 3}
    assert json.loads(row["deltas"]) == {"auc": 0.25}


def test_models_of_experiments_without_a_result_are_the_trainings_that_began(database, add, finished, files):
    add(database, finished("a", generation=2))
    with database.transaction() as tx:
        specs = [
            RunSpec(id="a/candidate/0", entry=TRAIN, owner="experiment/a/run/2"),
            RunSpec(id="baseline/k/0/0", entry=TRAIN, owner="experiment/a/run/1"),
            RunSpec(id="analysis/t", entry="wichtel.plans.entries:analyse", owner="experiment/a/run/1"),
            RunSpec(id="a/candidate/1", entry=TRAIN, owner="experiment/a/run/2"),
        ]
        tx.runs.add_many(specs)
        begun = [Run(spec=spec, state=RunState.RUNNING, attempt=1, worker="w", created=tx.now, started=tx.now) for spec in specs[:3]]
        tx.runs.update_many(begun)
    frame = Exports(database, files).frame()
    assert frame["models_trained"].to_list() == [2]


def test_trials_count_as_models_but_not_those_that_were_copied(database, add, finished, files):
    add(database, finished("a"))
    with database.transaction() as tx:
        tx.studies.add(STUDY)
        trial = {"study": "a/study", "config": {}, "created": tx.now}
        tx.trials.put_many(
            [
                Trial(number=0, state=RunState.SUCCEEDED, **trial),
                Trial(number=1, state=RunState.SUCCEEDED, copied_from=0, **trial),
                Trial(number=2, state=RunState.CANCELED, **trial),
                Trial(number=3, **trial),
            ]
        )
    assert Exports(database, files).frame()["models_trained"].to_list() == [2]


class Broken(Files):
    """Breaks off after so many files, as a kill would: whole files remain."""

    def __init__(self, location, after):
        super().__init__(location)
        self.after = after

    def put(self, name, content):
        if not self.after:
            raise KeyboardInterrupt
        self.after -= 1
        super().put(name, content)


def test_broken_off_anywhere_it_goes_on_with_the_same_rows_in_the_same_files(database, add, finished, files, tmp_path):
    names = [f"e{i}" for i in range(9)]
    add(database, *(finished(name, finished=NOON + timedelta(days=i % 2)) for i, name in enumerate(names)))
    for after in (0, 1, 1, 2):
        with pytest.raises(KeyboardInterrupt):
            Exporter(database, Broken(files.location, after), rows=4).run()
        # What readers see meanwhile is complete, and nothing twice.
        assert sorted(Exports(database, files).frame()["id"].to_list()) == names
    Exporter(database, files, rows=4).run()
    assert sorted(name for rows in written(tmp_path).values() for name in rows) == names
    assert sorted(Exports(database, files).frame()["id"].to_list()) == names


def test_two_that_export_at_once_share_the_work(database, add, finished, database_url, files, tmp_path):
    names = sorted(f"e{i}" for i in range(60))
    add(database, *(finished(name) for name in names))
    databases = [Database.open(database_url) for _ in range(2)]
    threads = [threading.Thread(target=Exporter(db, files, rows=5).run) for db in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for rows in written(tmp_path).values() for name in rows) == names
    for db in databases:
        db.close()


CHILD = """
import sys
from wichtel.experiments.exporter import Exporter
from wichtel.store import Database, Files
import polars
print("go", flush=True)
Exporter(Database.open(sys.argv[1]), Files(sys.argv[2]), rows=2).run()
"""


def test_killed_again_and_again_every_row_is_there_once(database, add, finished, database_url, files, tmp_path):
    names = sorted(f"e{i:03}" for i in range(150))
    add(database, *(finished(name) for name in names))
    for pause in (0.02, 0.08, 0.05):
        child = subprocess.Popen([sys.executable, "-c", CHILD, database_url, files.location], stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(pause)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    Exporter(database, files, rows=50).run()
    # A write that was cut short left its temporary file, which no reader takes for one of the export's.
    for left in (tmp_path / "exports").rglob(".*.part"):
        left.unlink()
    assert sorted(name for rows in written(tmp_path).values() for name in rows) == names
    with database.read() as tx:
        assert sum(export.rows for export in tx.exports.list()) == len(names)


EXPORT = """
from wichtel.experiments.exporter import Exporter
from wichtel.store import Files
class Struck(Files):
    def put(self, name, content):
        strike()
        super().put(name, content)
def work(db, folder):
    return Exporter(db, Struck(folder), rows=4).run()
"""


@pytest.mark.crash
@pytest.mark.parametrize("at", [1, 2, 4])
def test_what_a_holder_left_in_the_middle_of_an_export_another_finishes(database, add, finished, files, tmp_path, taken_over, at):
    names = [f"e{i}" for i in range(9)]
    add(database, *(finished(name, finished=NOON + timedelta(days=i % 2)) for i, name in enumerate(names)))
    taken_over(EXPORT, [files.location], Exporter(database, files, rows=4).run, at=at)
    assert sorted(name for rows in written(tmp_path).values() for name in rows) == names
    with database.read() as tx:
        exports = tx.exports.list()
    assert [export.number for export in exports] == [1, 2, 3]
    assert [export.rows for export in exports] == [4, 4, 1]
    assert all(export.written for export in exports)
    assert sorted(Exports(database, files).frame()["id"].to_list()) == names


def test_readers_choose_a_span_a_team_and_a_format_and_miss_nothing_that_was_moved_away(database, add, finished, files, tmp_path):
    add(database, finished("a"), finished("b", finished=NOON + timedelta(days=1), quota_group="maps"))
    Exporter(database, files).run()
    add(database, finished("c", finished=NOON + timedelta(days=2)))
    exports = Exports(database, files)
    assert exports.frame()["id"].to_list() == ["a", "b", "c"]
    assert exports.frame(since=NOON + timedelta(hours=1))["id"].to_list() == ["b", "c"]
    assert exports.frame(before=NOON + timedelta(days=1))["id"].to_list() == ["a"]
    assert exports.frame(team="maps")["id"].to_list() == ["b"]
    with pytest.raises(InvalidInput, match="time zone"):
        exports.frame(since=NOON.replace(tzinfo=None))
    (export,) = exports.list(VIEWER)
    assert sorted(export.files) == ["2026-03-04", "2026-03-05"]
    assert pl.read_parquet(io.BytesIO(exports.file(1, "2026-03-05", VIEWER)))["id"].to_list() == ["b"]
    for number, day in ((1, "2026-03-06"), (1, "../../wichtel.db"), (2, "2026-03-04")):
        with pytest.raises(NotFound):
            exports.file(number, day, VIEWER)
    assert exports.records(VIEWER, format="csv").decode().splitlines()[1].startswith("a,r-1,m,")
    assert len(pl.read_parquet(io.BytesIO(exports.records(VIEWER)))) == 3
    for path in (tmp_path / "exports").rglob("*.parquet"):
        path.unlink()
    assert exports.frame()["id"].to_list() == ["a", "b", "c"]


def test_it_writes_to_any_url(database, add, finished):
    files = Files("memory://wichtel-exports")
    add(database, finished("a"))
    Exporter(database, files).run()
    assert Exports(database, files).frame()["id"].to_list() == ["a"]
    with pytest.raises(NotFound):
        files.get("experiments/nothing")
    with pytest.raises(InvalidInput):
        Files("nowhere://x")
