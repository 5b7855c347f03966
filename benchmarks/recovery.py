"""How soon a large study is at work again after `kill -9`.

Run as ``python benchmarks/recovery.py [--trials N] [--searchers random tpe gp] [--quick]``. A study in a SQLite file, on 2 workers, has
10,000 trials ended and 2 at work when its process is killed. Then the same call is made in a fresh process, and the clock runs from before
that process is started: until the first trial begins, which is one of the two that were cut short; and until the first one begins that had
not been thought of, for which the searcher has to know all that it knew. Python's start, all imports and the start of a worker are in it.

The 10,000 trials are searched at random, and once, since a learning searcher would take long over them; for the other searchers the study's
row is made to say that it was theirs, so that they are told 10,000 results at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from machine import machine

import wichtel as wt

WORKERS = 2
#: What is left to be done when the process is killed: more than is at work, so that something new has to be thought of.
LEFT = 40
NAME = "recovery"


def attempt(x: float, y: float, ended: int, marks: str, trial: int) -> float:
    """A trial that costs nothing; those after the first `ended` say that they begin, and wait to be killed, unless that is over."""
    if trial >= ended:
        with (Path(marks) / "begun").open("a") as sheet:
            sheet.write(f"{time.time()} {trial}\n")
        while not (Path(marks) / "again").exists():
            time.sleep(0.05)
    return (x - 0.3) ** 2 + y


def search(home: Path, marks: Path, ended: int, searcher: str) -> None:
    """The call."""
    os.chdir(home)
    space = {"x": wt.Float(0, 1), "y": wt.Float(0, 1), "ended": wt.Fixed(ended), "marks": wt.Fixed(str(marks))}
    store = f"sqlite:///{home / 'study.db'}"
    wt.tune(attempt, space, minimize="x", trials=ended + LEFT, workers=WORKERS, searcher=searcher, name=NAME, store=store, progress=False)


def start(home: Path, marks: Path, ended: int, searcher: str) -> subprocess.Popen[bytes]:
    """A process that makes the call."""
    return subprocess.Popen([sys.executable, __file__, "--call", str(home), str(marks), str(ended), searcher])


def begun(marks: Path) -> list[tuple[float, int]]:
    """When which trial began, as far as they have."""
    sheet = marks / "begun"
    lines = sheet.read_text().splitlines() if sheet.exists() else []
    return [(float(at), int(number)) for at, number in (line.split() for line in lines)]


def build(home: Path, marks: Path, ended: int) -> None:
    """A study whose process is killed when so many trials have ended."""
    process = start(home, marks, ended, "random")
    while len(begun(marks)) < WORKERS:
        assert process.poll() is None, "the study's process ended"
        time.sleep(0.05)
    process.kill()
    process.wait()


def pretend(home: Path, searcher: str) -> None:
    """Make the study's row say that this was its searcher."""
    import sqlalchemy as sa

    from wichtel.domain import Algorithm
    from wichtel.store import Database
    from wichtel.store.tables import studies

    database = Database.open(f"sqlite:///{home / 'study.db'}")
    with database.transaction() as tx:
        study = tx.studies.by_name(NAME)
        assert study is not None
        tx.connection.execute(sa.update(studies).values(spec=replace(study.spec, searcher=Algorithm(name=searcher))))
    database.close()


def recover(built: Path, home: Path, marks: Path, ended: int, searcher: str) -> tuple[float, float]:
    """Seconds until the first trial begins, and until the first new one."""
    shutil.copytree(built, home)
    pretend(home, searcher)
    known = {number for _, number in begun(marks)}
    (marks / "begun").rename(marks / "before")
    (marks / "again").touch()
    now = time.time()
    process = start(home, marks, ended, searcher)
    assert process.wait() == 0, "the study did not come to its end"
    found = begun(marks)
    (marks / "before").replace(marks / "begun")
    # What was submitted, but not begun, had been thought of.
    thought = max(known) + ahead(built, ended)
    return min(at for at, _ in found) - now, min(at for at, number in found if number > thought) - now


def ahead(built: Path, ended: int) -> int:
    """How many trials had been thought of and not begun."""
    from wichtel.domain import RunState
    from wichtel.store import Database

    database = Database.open(f"sqlite:///{built / 'study.db'}")
    with database.read() as tx:
        waiting = len(tx.runs.list(state=RunState.PENDING, limit=ended))
    database.close()
    return waiting


def main() -> None:
    """Build, kill, recover and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--searchers", nargs="+", default=["random", "tpe", "gp"])
    parser.add_argument("--quick", action="store_true", help="300 trials")
    parser.add_argument("--call", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.call:
        home, marks, ended, searcher = options.call
        search(Path(home), Path(marks), int(ended), searcher)
        return
    ended = 300 if options.quick else options.trials
    print(f"machine: {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        built, marks = Path(folder) / "built", Path(folder) / "marks"
        built.mkdir()
        marks.mkdir()
        began = time.monotonic()
        build(built, marks, ended)
        print(f"{ended} trials in {time.monotonic() - began:.1f} s, then kill -9")
        for searcher in options.searchers:
            first, new = recover(built, Path(folder) / searcher, marks, ended, searcher)
            print(f"{searcher:8} the first trial begins after {first:6.2f} s, the first new one after {new:6.2f} s")


if __name__ == "__main__":
    main()
