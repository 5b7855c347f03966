"""What only processes do: they die, hang, eat memory, leave children behind, and print."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from wichtel.domain import InvalidInput, NotFound, Resources, RetryPolicy, Run, RunSpec, RunState, SystemFault
from wichtel.fleet import FleetSettings, LocalEngine, log_path, open_engine, processes
from wichtel.fleet.leadership import Leadership
from wichtel.fleet.paths import checkpoint_path
from wichtel.testing.engines import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(LocalEngine(2), tmp_path) as fleet:
        yield fleet


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pid_of(worker: str) -> int:
    """The process below this one that was started under this name; others on this machine may have workers of the same names."""
    for pid in processes.descendants(os.getpid()):
        with suppress(OSError):
            # Its session is its own; whoever watches over it in there has the same name.
            if Path(f"/proc/{pid}/comm").read_text() == f"wt-{worker}\n" and os.getsid(pid) == pid:
                return pid
    raise AssertionError(f"there is no worker {worker}")


def mark(path: Path) -> list[int]:
    """The process numbers that a run wrote there."""
    until(lambda: path.exists() and path.read_text() != "")
    return [int(word) for word in path.read_text().split()]


def test_a_worker_killed_in_the_middle_the_run_is_done_once_by_attempt_two(fleet: Fleet, tmp_path: Path) -> None:
    spec = fleet.spec("sleeps", seconds=0.5, mark=str(tmp_path / "mark"))
    fleet.controller.submit([spec])
    (pid,) = mark(tmp_path / "mark")
    os.kill(pid, signal.SIGKILL)
    (run,) = fleet.wait([spec.id])
    assert (run.state, run.attempt, run.result) == (RunState.SUCCEEDED, 2, 2)
    assert run.error is None
    assert len(fleet.listener.ends) == 1
    with fleet.database.read() as tx:
        assert "worker.lost" in [event.kind for event in tx.events.since(0)]


def test_workers_killed_again_and_again_each_run_ends_once(fleet: Fleet) -> None:
    specs = [fleet.spec("curve", n, steps=10, seconds=0.01, options={"retry": RetryPolicy(max_attempts=50)}) for n in range(30)]
    fleet.controller.submit(specs)
    done = fleet.listener.all_ended(spec.id for spec in specs)
    kills = 0
    while not done.wait(0.15) and kills < 6:
        busy = [run.worker for run in map(fleet.stored, (spec.id for spec in specs)) if run.state is RunState.RUNNING]
        for worker in busy[:1]:
            os.kill(pid_of(worker), signal.SIGKILL)
            kills += 1
    assert done.wait(40)
    assert sorted(run.spec.id for run in fleet.listener.ends) == sorted(spec.id for spec in specs)
    assert {run.result for run in fleet.listener.ends} == {9}


def test_a_run_that_kills_its_workers_is_given_up(fleet: Fleet) -> None:
    vanished, killed, after = fleet.run(
        fleet.spec("vanishes", options={"retry": RetryPolicy(max_attempts=2)}), fleet.spec("killed", until=2), fleet.spec("echo")
    )
    assert (vanished.state, vanished.attempt) == (RunState.FAILED, 2)
    assert vanished.error is not None
    assert vanished.error["code"] == "worker_lost"
    assert "exit code 7" in vanished.error["message"]
    assert (killed.state, killed.result) == (RunState.SUCCEEDED, 2)
    assert after.state is RunState.SUCCEEDED


def test_a_run_that_is_given_up_says_all_that_is_known(fleet: Fleet) -> None:
    retry = {"retry": RetryPolicy(max_attempts=2)}
    (run,) = fleet.run(fleet.spec("vanishes", text="x" * 10_000 + "\nlast words", options=retry))
    assert run.error is not None
    assert "lost in 2 attempts; the last time: it ended with exit code 7" in run.error["message"]
    assert run.error["output"].endswith("xxx\nlast words\n")
    assert len(run.error["output"]) < 5000
    assert fleet.stored(run.spec.id).error == run.error


def test_a_seat_whose_workers_die_is_quarantined_and_shown(tmp_path: Path) -> None:
    with Fleet(LocalEngine(1), tmp_path) as fleet:
        fleet.run(fleet.spec("vanishes", options={"retry": RetryPolicy(max_attempts=4)}))
        fleet.controller.submit([fleet.spec("echo")])
        (worker,) = fleet.controller.status().workers
        assert worker.state == "quarantined"
        assert worker.until is not None
        assert worker.until > datetime.now(UTC)
        (run,) = fleet.wait(["test/echo/0"])
        assert run.state is RunState.SUCCEEDED
        assert [w.state for w in fleet.controller.status().workers] == ["idle"]


def test_whatever_is_asked_for_while_the_controller_stops_is_answered(tmp_path: Path) -> None:
    with Fleet(LocalEngine(1), tmp_path) as fleet:
        fleet.controller.submit([hanging := fleet.spec("sleeps", seconds=600)]).result(5)
        until(lambda: fleet.stored(hanging.id).state is RunState.RUNNING)
        stopping = threading.Thread(target=fleet.controller.stop)
        stopping.start()
        futures: list[Future[None]] = []
        while stopping.is_alive():
            futures.append(fleet.controller.submit([fleet.spec("nothing", len(futures))]))
            time.sleep(0.002)
        asked = fleet.controller.cancel(hanging.id, "at last")
        for future in futures:
            future.result(10)
        assert asked.result(10)
        with fleet.database.read() as tx:
            assert len(tx.runs.list(prefix="test/nothing/", limit=10_000)) == len(futures) > 0
            assert tx.runs.cancel_requests() == [(hanging.id, "at last")]


def test_a_wish_to_cancel_outlives_its_controller(tmp_path: Path) -> None:
    with Fleet(LocalEngine(1), tmp_path, cancel_grace_seconds=60.0) as fleet:
        fleet.controller.submit([hanging := fleet.spec("sleeps", seconds=600)]).result(5)
        until(lambda: fleet.stored(hanging.id).state is RunState.RUNNING)
        assert fleet.controller.cancel(hanging.id, "enough").result(5)
        with fleet.database.read() as tx:
            assert tx.runs.cancel_requests() == [(hanging.id, "enough")]
    with Fleet(LocalEngine(1), tmp_path) as fleet:
        until(lambda: fleet.stored(hanging.id).state.ended)
        assert fleet.stored(hanging.id).state is RunState.CANCELED


def test_a_run_goes_on_from_its_checkpoint(fleet: Fleet) -> None:
    (run,) = fleet.run(fleet.spec("checkpoints", to=5, vanish=3))
    assert run.result == [True, 3, 5]
    until(lambda: not any((fleet.folder / "fleet" / "checkpoints").iterdir()))


def test_a_checkpoint_to_begin_with_is_copied_for_the_second_attempt_if_the_first_came_to_nothing(fleet: Fleet) -> None:
    keep = {"keep_checkpoint": True}
    (first,) = fleet.run(fleet.spec("checkpoints", to=2, options=keep))
    # What a kill in the middle of a copy leaves behind.
    torn = checkpoint_path(fleet.folder / "fleet", "test/checkpoints/1")
    torn.with_name(torn.name + ".copy").mkdir()
    (run,) = fleet.run(fleet.spec("checkpoints", 1, to=5, vanish=4, options={"checkpoint_from": first.spec.id} | keep))
    assert run.attempt == 2
    assert run.result == [True, 4, 5], "it went on from its own checkpoint, not from the first run's"
    kept = {path.name for path in torn.parent.iterdir()}
    assert kept == {checkpoint_path(fleet.folder / "fleet", r.spec.id).name for r in (first, run)}


def test_a_hanging_run_is_canceled_by_force(fleet: Fleet, tmp_path: Path) -> None:
    spec = fleet.spec("sleeps", seconds=600, mark=str(tmp_path / "mark"))
    fleet.controller.submit([spec])
    (pid,) = mark(tmp_path / "mark")
    assert fleet.controller.cancel(spec.id, "it hangs").result(5)
    (run,) = fleet.wait([spec.id])
    assert (run.state, run.error) == (RunState.CANCELED, {"message": "it hangs"})
    assert not alive(pid)
    assert fleet.controller.cancel(spec.id, "again").result(5) is False


def test_a_run_over_its_time_fails_also_in_native_code(fleet: Fleet, tmp_path: Path) -> None:
    (run,) = fleet.run(fleet.spec("seizes", seconds=600, mark=str(tmp_path / "mark"), options={"timeout_seconds": 0.3}))
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert "limit of 0.3 s" in run.error["message"]


def test_a_silent_worker_is_replaced(tmp_path: Path) -> None:
    with Fleet(LocalEngine(1), tmp_path, heartbeat_timeout_seconds=1.0) as fleet:
        (run,) = fleet.run(fleet.spec("seizes", seconds=600, mark=str(tmp_path / "mark"), options={"retry": RetryPolicy(max_attempts=1)}))
        assert run.state is RunState.FAILED
        assert run.error is not None
        assert run.error["code"] == "worker_lost"


def test_a_run_that_takes_too_much_memory_fails_and_says_so(fleet: Fleet) -> None:
    limit = Resources(memory_bytes=150 * 2**20)
    hog, modest = fleet.run(
        fleet.spec("hogs", 1, bytes=400 * 2**20, options={"resources": limit}),
        fleet.spec("hogs", 2, bytes=2**24, options={"resources": limit}),
    )
    assert hog.state is RunState.FAILED
    assert hog.attempt == 1
    assert hog.error is not None
    assert "more than its limit of 150 MiB" in hog.error["message"]
    assert modest.state is RunState.SUCCEEDED


def test_children_left_behind_die_with_a_worker_that_vanishes(fleet: Fleet, tmp_path: Path) -> None:
    spec = fleet.spec("forks", mark=str(tmp_path / "mark"), vanish=True, options={"retry": RetryPolicy(max_attempts=1)})
    (run,) = fleet.run(spec)
    assert run.state is RunState.FAILED
    children = mark(tmp_path / "mark")
    assert len(children) == 2
    until(lambda: not any(alive(pid) for pid in children))


def test_children_left_behind_die_when_the_controller_stops(tmp_path: Path) -> None:
    with Fleet(LocalEngine(1), tmp_path) as fleet:
        (run,) = fleet.run(fleet.spec("forks", mark=str(tmp_path / "mark")))
        assert run.state is RunState.SUCCEEDED
        assert all(alive(pid) for pid in mark(tmp_path / "mark"))
    until(lambda: not any(alive(pid) for pid in mark(tmp_path / "mark")))


def test_a_forked_child_that_returns_does_not_speak_for_the_worker(fleet: Fleet) -> None:
    (run,) = fleet.run(fleet.spec("forks_and_returns"))
    assert run.result == "parent"
    (after,) = fleet.run(fleet.spec("echo"))
    assert after.state is RunState.SUCCEEDED


def test_megabytes_of_prints_are_cut_off(fleet: Fleet) -> None:
    loud, quiet = fleet.run(fleet.spec("prints", bytes=8 * 2**20), fleet.spec("echo"))
    assert (loud.state, quiet.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    log = log_path(fleet.folder / "fleet", loud.spec.id, 1)
    assert log.stat().st_size < 2**20 + 200
    assert "cut off here" in log.read_text()[-100:]
    assert not log_path(fleet.folder / "fleet", quiet.spec.id, 1).exists()


def test_what_a_lost_worker_printed_is_kept(fleet: Fleet) -> None:
    spec = fleet.spec("vanishes", text="last words", options={"retry": RetryPolicy(max_attempts=1)})
    fleet.run(spec)
    assert log_path(fleet.folder / "fleet", spec.id, 1).read_text() == "last words\n"


def test_a_lost_worker_leaves_no_scratch_directory(fleet: Fleet, tmp_path: Path) -> None:
    fleet.run(fleet.spec("scratches", vanish=True, options={"retry": RetryPolicy(max_attempts=2)}))
    until(lambda: not list((tmp_path / "fleet/scratch").iterdir()))


def test_a_payload_that_cannot_be_sent_fails_its_run_alone(fleet: Fleet) -> None:
    unfit, fine = fleet.run(fleet.spec("echo", 1, a=2**70), fleet.spec("echo", 2, a=1))
    assert unfit.state is RunState.FAILED
    assert unfit.error is not None
    assert "not plain JSON" in unfit.error["message"]
    assert fine.state is RunState.SUCCEEDED


def test_a_store_that_fails_when_a_controller_begins_to_lead_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, faults = Leadership._load, [SystemFault("away for a moment.")]

    def failing(self: Leadership) -> list[Run]:
        if faults:
            raise faults.pop()
        return load(self)

    monkeypatch.setattr(Leadership, "_load", failing)
    with Fleet(LocalEngine(1), tmp_path, lease_seconds=0.5) as fleet:
        until(lambda: not faults)
        assert fleet.controller.alive
        with fleet.database.transaction() as tx:
            tx.runs.add(fleet.spec("echo"))
        (run,) = fleet.wait(["test/echo/0"])
        assert run.state is RunState.SUCCEEDED
    assert not fleet.controller.alive


def test_workers_are_warm(fleet: Fleet) -> None:
    fleet.run(*(fleet.spec("nothing", n) for n in range(200)))
    assert len({run.worker for run in fleet.listener.ends}) <= 2


def test_a_run_takes_the_cores_it_asks_for(tmp_path: Path) -> None:
    with Fleet(LocalEngine(2, capacity=Resources(cpus=2)), tmp_path) as fleet:
        runs = fleet.run(*(fleet.spec("sleeps", n, seconds=0.1, options={"resources": Resources(cpus=2)}) for n in range(3)))
        begun = sorted((run.started, run.ended) for run in runs if run.started and run.ended)
        assert all(start >= end for (_, end), (start, _) in pairwise(begun)), "two at once"
        (never,) = fleet.run(fleet.spec("nothing", options={"resources": Resources(cpus=3)}))
        assert never.state is RunState.FAILED


def test_a_run_is_told_its_graphics_processors(tmp_path: Path) -> None:
    with Fleet(LocalEngine(3, capacity=Resources(cpus=3, gpus=2)), tmp_path) as fleet:
        runs = fleet.run(
            *(fleet.spec("devices", n, seconds=0.3, options={"resources": Resources(gpus=gpus)}) for n, gpus in enumerate((1, 1, 0))),
            fleet.spec("devices", 3, options={"resources": Resources(gpus=2)}),
        )
        assert sorted(run.result for run in runs) == [[], [0], [0, 1], [1]]


def test_what_another_process_wrote_is_run_and_canceled(fleet: Fleet) -> None:
    hanging = fleet.spec("sleeps", seconds=600)
    with fleet.database.transaction() as tx:
        tx.runs.add_many([fleet.spec("echo"), hanging])
    fleet.controller.nudge()
    fleet.wait(["test/echo/0"])
    with fleet.database.transaction() as tx:
        assert tx.runs.request_cancel(hanging.id, "by hand")
    fleet.controller.nudge()
    (run,) = fleet.wait([hanging.id])
    assert (run.state, run.error) == (RunState.CANCELED, {"message": "by hand"})
    with fleet.database.read() as tx:
        assert tx.runs.cancel_requests() == []


def test_submitting_twice_is_submitting_once(fleet: Fleet) -> None:
    spec = fleet.spec("echo")
    fleet.run(spec)
    fleet.controller.submit([spec]).result(5)
    fleet.controller.submit([spec, fleet.spec("nothing")]).result(5)
    fleet.wait(["test/nothing/0"])
    assert [run.spec.id for run in fleet.listener.ends] == ["test/echo/0", "test/nothing/0"]


def test_an_owner_that_fails_harms_nobody_else(fleet: Fleet) -> None:
    def fails(run: Run) -> list[RunSpec]:
        raise ValueError("a bug")

    fleet.listener.more = fails
    fleet.run(fleet.spec("nothing", 1))
    fleet.controller.submit([fleet.spec("nothing", 2)]).result(5)
    until(lambda: fleet.stored("test/nothing/2").state is RunState.SUCCEEDED)


def test_workers_end_with_a_controller_that_is_killed_even_in_native_code(tmp_path: Path) -> None:
    script = f"""
import threading
from pathlib import Path
from wichtel.fleet import LocalEngine
from wichtel.testing.engines import Fleet
fleet = Fleet(LocalEngine(2), Path({str(tmp_path)!r}))
fleet.controller.start()
fleet.controller.submit([fleet.spec("seizes", seconds=600, mark={str(tmp_path / "a")!r}),
                         fleet.spec("forks", seconds=600, mark={str(tmp_path / "b")!r})])
threading.Event().wait()
"""
    process = subprocess.Popen([sys.executable, "-c", script])
    try:
        pids = mark(tmp_path / "a") + mark(tmp_path / "b")
        assert all(alive(pid) for pid in pids)
    finally:
        process.kill()
        process.wait()
    until(lambda: not any(alive(pid) for pid in pids))


def test_engines_by_name() -> None:
    assert open_engine("local", workers=3).workers == 3
    assert open_engine("inline").name == "inline"
    with pytest.raises(NotFound, match="Did you mean 'local'"):
        open_engine("locale")
    with pytest.raises(InvalidInput, match="engine 'local'"):
        open_engine("local", wrokers=3)
    with pytest.raises(InvalidInput, match="0 workers"):
        open_engine("local", workers=0)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidInput, match="poll_seconds"):
        FleetSettings(poll_seconds=0)
    with pytest.raises(InvalidInput, match="three times"):
        FleetSettings(heartbeat_seconds=11)


def test_whoever_leads_leaves_the_interpreter_as_it_was(tmp_path: Path) -> None:
    before = sys.getswitchinterval()
    first, other = (Fleet(LocalEngine(1), tmp_path / name) for name in "ab")
    first.controller.start()
    other.controller.start()
    assert sys.getswitchinterval() < before
    first.controller.stop()
    assert sys.getswitchinterval() < before
    other.controller.stop()
    assert sys.getswitchinterval() == before
