"""What every engine must do. Copy `tests/fleet/test_engines.py` to face your own with it.

`Fleet` is a controller on an engine, with an owner that listens; `CASES` are the promises of an engine, each a function of a fleet.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wichtel.domain import Measurement, Run, RunSpec, RunState
from wichtel.fleet import Controller, Engine, FleetSettings, Stop
from wichtel.store import Database


class Listener:
    """An owner that remembers what it heard."""

    def __init__(self) -> None:
        self.ends: list[Run] = []
        self.measurements: list[Measurement] = []
        self.changed = threading.Condition()
        self._done = threading.Event()
        self._awaited: set[str] = set()
        #: Answers to measurements and to ends; replace them.
        self.answer: Callable[[Measurement], Stop | None] = lambda _: None
        self.more: Callable[[Run], list[RunSpec]] = lambda _: []

    def on_measurement(self, measurement: Measurement) -> Stop | None:
        """Remember it."""
        with self.changed:
            self.measurements.append(measurement)
            self.changed.notify_all()
        return self.answer(measurement)

    def on_end(self, run: Run) -> list[RunSpec]:
        """Remember it."""
        with self.changed:
            self.ends.append(run)
            self.changed.notify_all()
            self._settle()
        return self.more(run)

    def all_ended(self, ids: Iterable[str]) -> threading.Event:
        """Set when all of these have ended."""
        with self.changed:
            self._done = threading.Event()
            self._awaited = set(ids)
            self._settle()
            return self._done

    def _settle(self) -> None:
        if self._awaited <= {run.spec.id for run in self.ends}:
            self._done.set()

    def of(self, run_id: str) -> Run:
        """The end of that run, which must have been told once."""
        (run,) = [run for run in self.ends if run.spec.id == run_id]
        return run


class Fleet:
    """A controller on `engine`, with a listener for the runs of ``test``; a context manager."""

    def __init__(self, engine: Engine, folder: Path, *, database: Database | None = None, **settings: Any) -> None:
        self.database = database or Database.open(f"sqlite:///{folder / 'test.db'}", upgrade=True)
        self.listener = Listener()
        self.folder = folder
        quick: dict[str, Any] = {
            "state_dir": folder / "fleet",
            "retry_seconds": 0.02,
            "cancel_grace_seconds": 0.5,
            "heartbeat_seconds": 0.1,
        }
        self.controller = Controller(self.database, engine, f"file://{folder / 'artifacts'}", FleetSettings(**(quick | settings)))
        self.controller.attach("test", self.listener)

    def __enter__(self) -> Self:
        self.controller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.controller.stop()
        self.database.close()

    def spec(self, function: str, /, number: int = 0, *, options: dict[str, Any] | None = None, **payload: Any) -> RunSpec:
        """A run of a function of `wichtel.testing.runs`; `options` are other fields of the spec."""
        return RunSpec(
            id=f"test/{function}/{number}", entry=f"wichtel.testing.runs:{function}", payload=payload, owner="test", **(options or {})
        )

    def run(self, *specs: RunSpec, seconds: float = 30.0) -> list[Run]:
        """Submit runs, wait for their ends, and return these."""
        self.controller.submit(specs)
        return self.wait([spec.id for spec in specs], seconds)

    def wait(self, ids: list[str], seconds: float = 30.0) -> list[Run]:
        """Wait for the ends of these runs, and return them."""
        assert self.controller.serve(self.listener.all_ended(ids), seconds), f"not all of {ids} ended: {self.controller.status()}"
        return [self.listener.of(run_id) for run_id in ids]

    def stored(self, run_id: str) -> Run:
        """The run as the store has it."""
        with self.database.read() as tx:
            return tx.runs.get(run_id)


def registered() -> dict[str, Callable[[], Engine]]:
    """Each installed engine's name and factory."""
    return {entry.name: entry.load() for entry in entry_points(group="wichtel.engines")}


def result_comes_back(fleet: Fleet) -> None:
    """Payload in, result out, both durable."""
    (run,) = fleet.run(fleet.spec("echo", a=[1, 2.5, None, "ü"], options={"seed": 7}))
    assert run.state is RunState.SUCCEEDED
    assert run.result == {"payload": {"a": [1, 2.5, None, "ü"]}, "run": "test/echo/0", "attempt": 1, "seed": 7}
    assert run.ended is not None
    assert fleet.stored(run.spec.id) == run


def measurements_arrive_in_order(fleet: Fleet) -> None:
    """Every report is heard, in order, and durable."""
    fleet.run(fleet.spec("curve", steps=50))
    assert [m.step for m in fleet.listener.measurements] == list(range(50))
    with fleet.database.read() as tx:
        assert [m.metrics for m in tx.measurements.of_run("test/curve/0")] == [{"x": float(n)} for n in range(50)]


def owner_stops_a_run(fleet: Fleet) -> None:
    """An answer of `Stop` ends the run at its next report."""
    fleet.listener.answer = lambda m: Stop("enough") if m.step >= 3 else None
    (run,) = fleet.run(fleet.spec("curve", steps=100_000, seconds=0.01))
    assert run.state is RunState.STOPPED
    assert run.error == {"message": "enough"}
    assert 3 <= fleet.listener.measurements[-1].step < 1000


def stopped_run_may_return(fleet: Fleet) -> None:
    """A function that catches `Stopped` may return a value; the run is STOPPED all the same."""
    fleet.listener.answer = lambda _: Stop("enough")
    (run,) = fleet.run(fleet.spec("curve_caught", steps=100_000, seconds=0.01))
    assert (run.state, run.result) == (RunState.STOPPED, "stopped: enough")


def canceled_while_running(fleet: Fleet) -> None:
    """Cancel ends a run at its next report."""

    def cancel(measurement: Measurement) -> None:
        fleet.controller.cancel(measurement.run, "no more")

    fleet.listener.answer = cancel
    (run,) = fleet.run(fleet.spec("curve", steps=100_000, seconds=0.01))
    assert run.state is RunState.CANCELED
    assert run.error == {"message": "no more"}


def users_error_is_told(fleet: Fleet) -> None:
    """An exception of the user's code is the run's end, with its place, and not tried again."""
    raised, refused = fleet.run(fleet.spec("raises"), fleet.spec("refuses"))
    assert (raised.state, refused.state) == (RunState.FAILED, RunState.FAILED)
    assert raised.attempt == 1
    assert raised.error is not None
    assert raised.error["code"] == "user_error"
    assert raised.error["message"] == "ZeroDivisionError: by nought"
    assert "runs.py:" in raised.error["where"]
    assert "ZeroDivisionError" in raised.error["traceback"]
    assert refused.error == {"code": "invalid_input", "message": "that is no good.", "where": "payload", "hint": "Give another."}


def exit_is_only_the_runs(fleet: Fleet) -> None:
    """A function that calls ``sys.exit`` fails; the worker lives on."""
    failed, after = fleet.run(fleet.spec("exits"), fleet.spec("echo"))
    assert failed.error is not None
    assert failed.error["message"] == "the run called sys.exit(3)"
    assert after.state is RunState.SUCCEEDED


def fault_is_tried_again(fleet: Fleet) -> None:
    """What is not the user's fault is tried again, as often as the run allows."""
    better, never = fleet.run(fleet.spec("faulty", 1, until=3), fleet.spec("faulty", 2, until=100))
    assert (better.state, better.result, better.attempt) == (RunState.SUCCEEDED, 3, 3)
    assert (never.state, never.attempt) == (RunState.FAILED, never.spec.retry.max_attempts)
    assert never.error is not None
    assert never.error["code"] == "system_fault"


def bad_entries_are_told(fleet: Fleet) -> None:
    """An entry that does not exist is the user's error."""
    entries = ("nowhere:at_all", "wichtel.testing.runs:ecko", "nonsense")
    runs = fleet.run(*(RunSpec(id=f"test/{n}", entry=entry, owner="test") for n, entry in enumerate(entries)))
    assert [run.error and run.error["code"] for run in runs] == ["not_found", "not_found", "invalid_input"]
    assert runs[1].error is not None
    assert "echo" in runs[1].error["hint"]


def odd_values_do_no_harm(fleet: Fleet) -> None:
    """NaN is reported as it is; a step twice and a result that is no JSON are the user's errors."""
    odd, backwards, unfit, far = fleet.run(fleet.spec("odd_metrics"), fleet.spec("backwards"), fleet.spec("no_json"), fleet.spec("far"))
    (keyed,) = fleet.run(fleet.spec("no_json_keys"))
    assert keyed.state is RunState.FAILED
    assert keyed.error is not None
    assert "the result cannot be kept" in keyed.error["message"]
    assert odd.state is RunState.SUCCEEDED
    (metrics,) = [m.metrics for m in fleet.listener.measurements if m.run == odd.spec.id]
    assert math.isnan(metrics["x"])
    assert metrics["y"] == float("inf")
    assert (backwards.state, unfit.state, far.state) == (RunState.FAILED, RunState.FAILED, RunState.FAILED)
    assert backwards.error is not None
    assert "Steps of a run strictly increase" in backwards.error["hint"]


def more_runs_follow(fleet: Fleet) -> None:
    """An owner answers an end with more runs, which are run in their turn."""
    fleet.listener.more = lambda run: (
        [fleet.spec("nothing", int(run.spec.id.rpartition("/")[2]) + 1)] if len(fleet.listener.ends) < 30 else []
    )
    fleet.controller.submit([fleet.spec("nothing", 0)])
    runs = fleet.wait([f"test/nothing/{n}" for n in range(30)])
    assert {run.state for run in runs} == {RunState.SUCCEEDED}


def scratch_is_cleaned(fleet: Fleet) -> None:
    """The scratch directory is gone with the attempt, the checkpoints with the run."""
    scratch, counted = fleet.run(fleet.spec("scratches"), fleet.spec("checkpoints", to=3))
    assert not Path(scratch.result).exists()
    assert counted.result == [False, 0, 3]


def kept_checkpoint_is_where_another_run_begins(fleet: Fleet) -> None:
    """A kept checkpoint is copied to the runs that begin with it, untouched by them, until it is forgotten."""
    keep = {"keep_checkpoint": True}
    (first,) = fleet.run(fleet.spec("checkpoints", 0, to=3, options=keep))
    assert first.result == [False, 0, 3]
    begin = {"checkpoint_from": first.spec.id}
    one, other = fleet.run(fleet.spec("checkpoints", 1, to=5, options=begin | keep), fleet.spec("checkpoints", 2, to=4, options=begin))
    assert (one.result, other.result) == ([True, 3, 5], [True, 3, 4])
    assert (one.attempt, other.attempt) == (1, 1)
    (third,) = fleet.run(fleet.spec("checkpoints", 3, to=6, options={"checkpoint_from": one.spec.id}))
    assert third.result == [True, 5, 6]
    fleet.controller.forget([first.spec.id, one.spec.id, "test/never"]).result(10)
    (late,) = fleet.run(fleet.spec("checkpoints", 4, to=4, options=begin))
    assert (late.state, late.attempt) == (RunState.FAILED, 1)
    assert late.error is not None
    assert late.error["code"] == "not_found"
    assert f"no checkpoint of run {first.spec.id!r}" in late.error["message"]


def run_that_saved_nothing_may_be_begun_with(fleet: Fleet) -> None:
    """A kept checkpoint may be empty: a run that begins with it begins from nothing."""
    fleet.run(fleet.spec("nothing", options={"keep_checkpoint": True}))
    (run,) = fleet.run(fleet.spec("checkpoints", to=2, options={"checkpoint_from": "test/nothing/0"}))
    assert run.result == [False, 0, 2]


CASES: tuple[Callable[[Fleet], None], ...] = (
    result_comes_back,
    measurements_arrive_in_order,
    owner_stops_a_run,
    stopped_run_may_return,
    canceled_while_running,
    users_error_is_told,
    exit_is_only_the_runs,
    fault_is_tried_again,
    bad_entries_are_told,
    odd_values_do_no_harm,
    more_runs_follow,
    scratch_is_cleaned,
    kept_checkpoint_is_where_another_run_begins,
    run_that_saved_nothing_may_be_begun_with,
)
