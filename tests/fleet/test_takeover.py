"""Controllers that die, and those that take over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from wichtel.domain import RetryPolicy, RunState
from wichtel.fleet import LocalEngine
from wichtel.store import Database
from wichtel.testing.engines import Fleet

_LEAD = """
import sys, threading
from pathlib import Path
from wichtel.fleet import LocalEngine
from wichtel.testing.engines import Fleet
fleet = Fleet(LocalEngine(2), Path(sys.argv[1]), lease_seconds=float(sys.argv[2]))
fleet.controller.start()
print("ready", flush=True)
threading.Event().wait()
"""


def lead(folder: Path, lease_seconds: float = 10.0) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", _LEAD, str(folder), str(lease_seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_controller_killed_again_and_again_all_runs_finish_none_twice(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'test.db'}", upgrade=True)
    sheet = tmp_path / "sheet"
    sheet.mkdir()
    fleet = Fleet(LocalEngine(2), tmp_path, database=database)
    specs = [fleet.spec("curve", n, steps=5, seconds=0.01) for n in range(40)]
    with database.transaction() as tx:
        tx.runs.add_many(specs)
    for pause in (0.3, 0.5, 0.7):
        process = lead(tmp_path)
        time.sleep(pause)
        end(process)
    with fleet:
        ended = time.monotonic() + 30
        while any(not fleet.stored(spec.id).state.ended for spec in specs):
            assert time.monotonic() < ended
            time.sleep(0.05)
        told = [run.spec.id for run in fleet.listener.ends]
        assert len(told) == len(set(told))
        for spec in specs:
            run = fleet.stored(spec.id)
            assert (run.state, run.result) == (RunState.SUCCEEDED, 4), run
        with database.read() as tx:
            epochs = [event.data["epoch"] for event in tx.events.since(0) if event.kind == "controller.leads"]
        assert epochs == sorted(set(epochs))


def test_of_two_controllers_one_leads_and_the_other_takes_over(tmp_path: Path) -> None:
    first = lead(tmp_path, 1.0)
    try:
        with Fleet(LocalEngine(1), tmp_path, lease_seconds=1.0) as fleet:
            assert not fleet.controller.leading
            # What is submitted to a standby is run by the leader.
            fleet.controller.submit([fleet.spec("echo"), hanging := fleet.spec("sleeps", seconds=600)]).result(5)
            until = time.monotonic() + 20
            while not (fleet.stored("test/echo/0").state.ended and fleet.stored(hanging.id).state is RunState.RUNNING):
                assert time.monotonic() < until
                time.sleep(0.05)
            time.sleep(1.5)
            assert not fleet.controller.leading
            end(first)
            assert fleet.controller.cancel(hanging.id).result(5)
            (run,) = fleet.wait([hanging.id])
            assert run.state is RunState.CANCELED
            assert fleet.controller.leading
    finally:
        end(first)


def test_a_controller_that_slept_through_its_lease_writes_nothing_more(tmp_path: Path) -> None:
    first = lead(tmp_path, 1.0)
    try:
        with Fleet(LocalEngine(1), tmp_path, lease_seconds=1.0) as fleet:
            spec = fleet.spec("curve", steps=150, seconds=0.01)
            fleet.controller.submit([spec]).result(5)
            until = time.monotonic() + 20
            while fleet.stored(spec.id).state is not RunState.RUNNING:
                assert time.monotonic() < until
                time.sleep(0.02)
            os.kill(first.pid, signal.SIGSTOP)
            while not fleet.controller.leading:
                assert time.monotonic() < until
                time.sleep(0.02)
            os.kill(first.pid, signal.SIGCONT)
            (run,) = fleet.wait([spec.id])
            assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
            assert run.worker.startswith("w2.")
            assert fleet.stored(spec.id) == run
            assert fleet.controller.leading
    finally:
        end(first)


def test_orderly_stops_are_not_held_against_the_run_that_was_at_work(tmp_path: Path) -> None:
    once = {"retry": RetryPolicy(max_attempts=1)}
    for attempt in range(1, 3):
        with Fleet(LocalEngine(1), tmp_path) as fleet:
            spec = fleet.spec("sleeps", seconds=60, options=once)
            fleet.controller.submit([spec]).result(10)
            end = time.monotonic() + 20
            while fleet.stored(spec.id).attempt < attempt:
                assert time.monotonic() < end
                time.sleep(0.02)
            fleet.controller.stop()
            run = fleet.stored(spec.id)
            assert (run.state, run.attempt, run.error) == (RunState.PREEMPTED, attempt, None)


def test_an_orderly_stop_leaves_the_rest_to_the_next_start(tmp_path: Path) -> None:
    with Fleet(LocalEngine(1), tmp_path) as fleet:
        specs = [fleet.spec("sleeps", n, seconds=0.3) for n in range(3)]
        fleet.controller.submit(specs)
        fleet.wait([specs[0].id])
        time.sleep(0.1)
    with Fleet(LocalEngine(1), tmp_path) as fleet:
        assert fleet.stored(specs[0].id).state is RunState.SUCCEEDED
        runs = fleet.wait([spec.id for spec in specs[1:]])
        assert [run.state for run in runs] == [RunState.SUCCEEDED, RunState.SUCCEEDED]
