"""How close a study comes to what arithmetic allows: 2,000 trials of 0.1 s on 16 workers, which cannot take less than 12.5 s.

Run as ``python benchmarks/floor.py [--trials N] [--workers N] [--seconds S] [--quick]``. A trial sleeps, so that 16 of them fit onto few
cores; all of it is durable in SQLite, as always. Two times are printed. The whole: from the start of the first trial to the end of the
last, which holds the start of the other workers. At full strength: from the moment at which the last worker began its first trial to the
end of the last trial, against the floor of what was left then.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from machine import machine

import wichtel as wt
from wichtel.domain import Trial


def nap(x: float, seconds: float) -> float:
    """A trial that waits."""
    time.sleep(seconds)
    return x


def study(trials: int, workers: int, seconds: float, folder: Path) -> tuple[list[Trial], float]:
    """The trials, and how long the call took."""
    here = Path.cwd()
    os.chdir(folder)
    began = time.monotonic()
    try:
        space = {"x": wt.Float(0, 1), "seconds": wt.Fixed(seconds)}
        result = wt.tune(nap, space, minimize="x", trials=trials, workers=workers, searcher="random", name="floor", progress=False)
    finally:
        os.chdir(here)
    return list(result.trials), time.monotonic() - began


def report(trials: list[Trial], workers: int, seconds: float) -> None:
    """Print both times beside their floors."""
    spans = sorted((t.started, t.ended) for t in trials if t.started is not None and t.ended is not None)
    end = max(ended for _, ended in spans)
    whole = (end - spans[0][0]).total_seconds()
    floor = len(spans) * seconds / workers
    print(f"whole:            {whole:7.3f} s, floor {floor:7.3f} s, {100 * (whole / floor - 1):+.1f}%")
    # At full strength from here on: as many have begun as there are workers.
    full = max(started for started, _ in spans[:workers])
    left = sum(min(seconds, max(0.0, (ended - full).total_seconds())) for _, ended in spans)
    rest = (end - full).total_seconds()
    print(f"at full strength: {rest:7.3f} s, floor {left / workers:7.3f} s, {100 * (rest * workers / left - 1):+.1f}%")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--quick", action="store_true", help="200 trials, 4 workers")
    options = parser.parse_args()
    if options.quick:
        options.trials, options.workers = 200, 4
    print(f"machine: {machine()}")
    print(f"{options.trials} trials of {options.seconds:g} s on {options.workers} workers")
    with tempfile.TemporaryDirectory() as folder:
        trials, call = study(options.trials, options.workers, options.seconds, Path(folder))
    report(trials, options.workers, options.seconds)
    print(f"the call:         {call:7.3f} s, with the start and the end of all processes")


if __name__ == "__main__":
    main()
