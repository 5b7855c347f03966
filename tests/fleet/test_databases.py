"""A fleet on both databases."""

from __future__ import annotations

import time
from pathlib import Path

from wichtel.domain import RunState
from wichtel.fleet import LocalEngine
from wichtel.store import Database
from wichtel.testing.engines import Fleet


def test_runs_reports_and_cancellations(database: Database, tmp_path: Path) -> None:
    with Fleet(LocalEngine(2), tmp_path, database=database) as fleet:
        fleet.controller.submit([hanging := fleet.spec("sleeps", seconds=600)])
        fleet.listener.more = lambda run: [fleet.spec("nothing", n) for n in range(20)] if run.spec.id == "test/curve/0" else []
        fleet.run(fleet.spec("curve", steps=20))
        fleet.wait([f"test/nothing/{n}" for n in range(20)])
        with database.transaction() as tx:
            tx.runs.add(fleet.spec("echo"))
            assert tx.runs.request_cancel(hanging.id, "by hand")
        echo, canceled = fleet.wait(["test/echo/0", hanging.id])
        assert (echo.state, canceled.state) == (RunState.SUCCEEDED, RunState.CANCELED)
        with database.read() as tx:
            assert [m.step for m in tx.measurements.of_run("test/curve/0")] == list(range(20))
            assert {run.state for run in tx.runs.list(owner="test")} == {RunState.SUCCEEDED, RunState.CANCELED}
            assert tx.runs.cancel_requests() == []


def test_one_of_two_leads_and_an_orderly_stop_hands_over(database_url: str, tmp_path: Path) -> None:
    first = Fleet(LocalEngine(1), tmp_path, database=Database.open(database_url), lease_seconds=1.0)
    other = Fleet(LocalEngine(1), tmp_path, database=Database.open(database_url), lease_seconds=1.0)
    with first, other:
        assert (first.controller.leading, other.controller.leading) == (True, False)
        other.controller.submit([spec := other.spec("sleeps", seconds=1.0)]).result(5)
        first.controller.nudge()
        while other.stored(spec.id).state is RunState.PENDING:
            time.sleep(0.02)
        first.controller.stop()
        (run,) = other.wait([spec.id])
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
        assert other.controller.leading
