"""How soon a worker whose run has ended is given the next one, with 2 and with 16 workers.

Run as ``python benchmarks/dispatch.py [--runs N] [--quick]``. Runs sleep for 20 ms, so that the controller is not what everybody waits for;
more of them wait than there are workers. Each end and each start is durable in SQLite as always.

Two latencies are measured. The controller's: from a result read from a worker's socket to the next assignment written to that socket. The
worker's, which is all that a worker idles: from the moment at which a run's function returned to the moment at which the next one is
called, in the worker's process; it holds the encoding of the result, both ways through the socket, and the waking of both processes.

On a machine that does other things at the same time, much of the second is the scheduler's. The last line says how much: one byte there and
back between two bare processes on a socket pair, 100 times a second.
"""

from __future__ import annotations

import argparse
import os
import socket
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from machine import machine, percentiles

from wichtel.domain import Measurement, Run, RunSpec
from wichtel.fleet import Controller, FleetSettings, LocalEngine, RunContext
from wichtel.fleet.messages import Assign, Result, ToController

SECONDS = 0.02


def nap(payload: dict[str, Any], context: RunContext) -> list[float]:
    """Sleep; return when it began and when it ended, on a clock that all processes share."""
    began = time.monotonic()
    time.sleep(SECONDS)
    return [began, time.monotonic()]


class Probe(LocalEngine):
    """Engine `local`, with a look at the clock when a result comes in and when the next assignment is out."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.latencies: list[float] = []

    def launch(self, worker: str, on_message: Callable[[ToController], None], on_gone: Callable[[str], None]) -> Any:
        """As it does, between two looks."""
        came = 0.0

        def hear(message: ToController) -> None:
            nonlocal came
            if isinstance(message, Result):
                came = time.perf_counter()
            on_message(message)

        link: Any = super().launch(worker, hear, on_gone)
        send = link.send

        def sent(message: Any) -> None:
            nonlocal came
            send(message)
            if isinstance(message, Assign) and came:
                self.latencies.append(time.perf_counter() - came)
                came = 0.0

        link.send = sent
        return link


class Listener:
    """Counts ends."""

    def __init__(self, runs: int) -> None:
        self.ended: list[Run] = []
        self.done = threading.Event()
        self._runs = runs

    def on_measurement(self, measurement: Measurement) -> None:
        """Nothing is measured."""

    def on_end(self, run: Run) -> list[RunSpec]:
        """Remember it."""
        self.ended.append(run)
        if len(self.ended) == self._runs:
            self.done.set()
        return []


def measure(runs: int, workers: int, folder: Path) -> tuple[list[float], list[float]]:
    """The controller's latencies and the workers', in seconds."""
    from wichtel.store import Database

    database = Database.open(f"sqlite:///{folder / 'dispatch.db'}", upgrade=True)
    engine, listener = Probe(workers), Listener(runs)
    controller = Controller(database, engine, f"file://{folder}", FleetSettings(state_dir=folder))
    controller.attach("dispatch", listener)
    with controller:
        controller.submit(RunSpec(id=f"dispatch/{n}", entry="dispatch:nap", owner="dispatch") for n in range(runs))
        listener.done.wait()
    database.close()
    by_worker: defaultdict[str, list[list[float]]] = defaultdict(list)
    for run in listener.ended:
        by_worker[run.worker].append(run.result)
    idle = [after[0] - before[1] for naps in by_worker.values() for before, after in pairwise(sorted(naps))]
    return engine.latencies, idle


def echo(count: int) -> list[float]:
    """What this machine's scheduler takes for one byte there and back."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        while byte := theirs.recv(1):
            theirs.send(byte)
        os._exit(0)
    theirs.close()
    latencies = []
    for _ in range(count):
        time.sleep(0.01)
        began = time.perf_counter()
        ours.send(b"x")
        ours.recv(1)
        latencies.append(time.perf_counter() - began)
    ours.close()
    os.waitpid(child, 0)
    return latencies


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000, help="with each number of workers")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    runs = 400 if options.quick else options.runs
    print(f"machine: {machine()}")
    bare = echo(50 if options.quick else 300)
    for workers in (2, 16):
        with tempfile.TemporaryDirectory() as folder:
            ours, idle = measure(runs, workers, Path(folder))
        print(f"{workers:2} workers, result read to assignment written:  {percentiles(ours)}")
        print(f"{workers:2} workers, function returned to next one called: {percentiles(idle)}")
    print(f"a byte there and back between two bare processes: {percentiles(bare)}")


if __name__ == "__main__":
    main()
