"""A fleet of 1,000 workers on one machine: 10,000 runs of 1 s through the real controller, on a simulated clock.

Run as ``python benchmarks/simulate.py [--runs N] [--workers N] [--seconds S] [--quick]``. What is real: the controller with its roster,
its line, its leadership and its log; every message, encoded, framed, split and decoded on both sides; a SQLite file with every row. What
is not: the workers are objects instead of processes, their heartbeats and results come by timers, and nothing is carried out.

The event loop's clock jumps to the next timer when nothing is ready and nothing is being written. It is played twice. With the clock
running: while the controller works or waits for the disk, time passes as it does. So the makespan holds all that the controller makes
workers wait; and what other processes of this machine make it wait, and the workers' side of the messages, which here is on the
controller's thread, too. With the clock standing: all that takes no time, and the makespan shows the controller's decisions alone: nobody
waits for a timer or for a turn.

The floor is what arithmetic allows, from the first assignment to the last result. Processes that start, networks and user code are left
out.
"""

from __future__ import annotations

import argparse
import asyncio
import selectors
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from machine import machine

from wichtel.domain import Measurement, Resources, Run, RunSpec
from wichtel.fleet import Controller, FleetSettings, controller
from wichtel.fleet.frames import Splitter, frame
from wichtel.fleet.messages import (
    Assign,
    Heartbeat,
    Hello,
    Message,
    Result,
    ToController,
    ToWorker,
    Welcome,
    read_by_controller,
    read_by_worker,
)
from wichtel.store import Database, GroupCommit


class World:
    """What the clock has to know: who is at work, and what is being done on other threads."""

    def __init__(self, *, standing: bool) -> None:
        self.standing = standing
        self.at_work = 0
        self.outside = 0
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Something is being done on another thread."""
        with self._lock:
            self.outside += 1

    def end(self, _: object = None) -> None:
        """It is done, and the loop has been told."""
        with self._lock:
            self.outside -= 1


class Clock(selectors.DefaultSelector):
    """Waits as the real one does, but not for a timer when there is nothing else to wait for."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._ahead = 0.0

    def time(self) -> float:
        """Seconds."""
        return self._ahead + (0.0 if self._world.standing else time.monotonic())

    def select(self, timeout: float | None = None) -> list[Any]:
        """See `selectors.BaseSelector.select`."""
        world = self._world
        ready = super().select(0)
        until = None if timeout is None else self.time() + timeout
        while not ready and (until is None or self.time() < until):
            if until is not None and world.at_work and not world.outside:
                self._ahead += until - self.time()
                break
            # Somebody writes, or nobody is at work: before the beginning and after the end time passes as it does.
            ready = super().select(0.001)
            if world.standing and not world.at_work:
                self._ahead += 0.001
        return ready


class Loop(asyncio.SelectorEventLoop):
    """An event loop on that clock."""

    def __init__(self, world: World) -> None:
        self._clock, self._world = Clock(world), world
        super().__init__(self._clock)

    def time(self) -> float:
        """The simulated time."""
        return self._clock.time()

    def run_in_executor(self, *args: Any) -> Any:
        """The real one, counted."""
        self._world.begin()
        future = super().run_in_executor(*args)
        future.add_done_callback(self._world.end)
        return future


class CountedCommit(GroupCommit):
    """The real one, counted."""

    world: World

    def submit(self, write: Callable[[Any], Any]) -> Future[Any]:
        """See `GroupCommit.submit`."""
        told: Future[Any] = Future()

        def tell(done: Future[Any]) -> None:
            failure = done.exception()
            if failure is None:
                told.set_result(done.result())
            else:
                told.set_exception(failure)
            self.world.end()

        self.world.begin()
        super().submit(write).add_done_callback(tell)
        return told


class Crowd:
    """An engine whose workers are objects."""

    name = "crowd"

    def __init__(self, workers: int, seconds: float, world: World) -> None:
        self.workers = workers
        self.capacity = Resources(cpus=float(workers))
        self.seconds = seconds
        self.world = world
        self.first: float | None = None
        self.last = 0.0
        #: Of the controller's thread, when the first assignment was made and when the last result had come.
        self.processor = [0.0, 0.0]

    def launch(self, worker: str, on_message: Callable[[ToController], None], on_gone: Callable[[str], None]) -> Puppet:
        """See `Engine.launch`."""
        return Puppet(self, on_message, on_gone)

    def serve(self, done: threading.Event, timeout_seconds: float | None = None) -> bool:
        """See `Engine.serve`."""
        return done.wait(timeout_seconds)

    def close(self) -> None:
        """Nothing is held."""


class Puppet:
    """A worker that says what a worker says."""

    def __init__(self, crowd: Crowd, on_message: Callable[[ToController], None], on_gone: Callable[[str], None]) -> None:
        self._crowd = crowd
        self._on_message = on_message
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._theirs, self._ours = Splitter(), Splitter()
        self._assign: Assign | None = None
        self._beats = 1.0
        self._loop.call_soon(self._say, Hello(1))

    def send(self, message: ToWorker) -> None:
        """See `Link.send`."""
        for body in self._ours.feed(frame(message)):
            match read_by_worker(body):
                case Welcome() as welcome:
                    self._beats = welcome.heartbeat_seconds
                    self._loop.call_later(self._beats, self._beat)
                case Assign() as assign:
                    self._begin(assign)

    def kill(self) -> None:
        """See `Link.kill`."""
        self._beats = 0.0
        self._loop.call_soon(self._on_gone, "it was ended")

    def _begin(self, assign: Assign) -> None:
        crowd = self._crowd
        if crowd.first is None:
            crowd.first, crowd.processor[0] = self._loop.time(), time.thread_time()
        crowd.world.at_work += 1
        self._assign = assign
        self._loop.call_later(crowd.seconds, self._finish)

    def _finish(self) -> None:
        assign, self._assign = self._assign, None
        if assign is None or not self._beats:
            return
        self._crowd.last = self._loop.time()
        self._say(Result(assign.run, assign.attempt, assign.epoch, "SUCCEEDED", {"loss": 0.5}, clean=True))
        self._crowd.processor[1] = time.thread_time()
        self._crowd.world.at_work -= 1

    def _beat(self) -> None:
        if self._beats:
            at = self._assign
            self._say(Heartbeat() if at is None else Heartbeat(at.run, at.attempt, at.epoch))
            self._loop.call_later(self._beats, self._beat)

    def _say(self, message: Message) -> None:
        for body in self._theirs.feed(frame(message)):
            self._on_message(read_by_controller(body))


class Count:
    """An owner that counts ends."""

    def __init__(self, runs: int) -> None:
        self.left = runs
        self.done = threading.Event()

    def on_measurement(self, measurement: Measurement) -> None:
        """Nothing is measured."""

    def on_end(self, run: Run) -> list[RunSpec]:
        """One less."""
        self.left -= 1
        if not self.left:
            self.done.set()
        return []


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes simulated loops."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """One more."""
        return Loop(self._world)


def play(runs: int, workers: int, seconds: float, folder: Path, *, standing: bool) -> None:
    """Once through, and print what came of it."""
    world = World(standing=standing)
    asyncio.set_event_loop_policy(Policy(world))
    CountedCommit.world = world
    controller.GroupCommit = CountedCommit  # type: ignore[misc]
    database = Database.open(f"sqlite:///{folder / 'simulate.db'}", upgrade=True)
    crowd, count = Crowd(workers, seconds, world), Count(runs)
    fleet = Controller(database, crowd, f"file://{folder}", FleetSettings(state_dir=folder))
    fleet.attach("simulate", count)
    payload = {"function": "0" * 64, "config": {"x": 0.5, "y": 3, "z": "red"}}
    with fleet:
        began = time.perf_counter()
        fleet.submit(RunSpec(id=f"simulate/{n}", entry="m:f", payload=payload, owner="simulate") for n in range(runs))
        count.done.wait()
        took = time.perf_counter() - began
    with database.read() as tx:
        ended = sum(run.state.ended for run in tx.runs.list(owner="simulate", limit=runs + 1))
    database.close()
    assert crowd.first is not None
    assert ended == runs
    makespan, floor = crowd.last - crowd.first, -(-runs // workers) * seconds
    processor = crowd.processor[1] - crowd.processor[0]
    over, label = 100 * (makespan / floor - 1), "standing" if standing else "running "
    print(f"clock {label}: makespan {makespan:7.3f} s, floor {floor:7.3f} s, {over:+.2f}%")
    print(
        f"  real {took:.1f} s; the controller's thread {processor:.2f} s of processor, {1e6 * processor / runs:.0f} µs a run "
        f"(the workers' side of the messages and {runs * seconds:.0f} heartbeats included); {runs / took:.0f} runs/s, all durable"
    )


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--quick", action="store_true", help="1,000 runs on 100 workers")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.workers = 1000, 100
    print(f"machine: {machine()}")
    print(f"{options.runs} runs of {options.seconds:g} s on {options.workers} workers")
    for standing in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            play(options.runs, options.workers, options.seconds, Path(folder), standing=standing)


if __name__ == "__main__":
    main()
