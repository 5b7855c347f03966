"""How many trials that do nothing a study gets through in a second, each durable, with 2 workers; beside Optuna on SQLite.

Run as ``python benchmarks/overhead.py [--trials N] [--optuna-trials N]``. Both keep their trials in a SQLite file on the same disk, both
search at random, both have two worker processes. A rate is that of the trials between the first and the last: start-up and shutdown do not
count.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

WORKERS = 2


def nothing(x: float) -> float:
    """A trial that costs nothing."""
    return x


def rate(times: list[datetime]) -> float:
    """Trials per second between the first end and the last."""
    times = sorted(times)
    return (len(times) - 1) / (times[-1] - times[0]).total_seconds()


def wichtel_rate(trials: int, folder: Path) -> float:
    """Ours."""
    import wichtel as wt

    store = f"sqlite:///{folder / 'wichtel.db'}"
    here = Path.cwd()
    os.chdir(folder)
    try:
        study = wt.tune(
            nothing, {"x": wt.Float(0, 1)}, minimize="x", trials=trials, workers=WORKERS, searcher="random", store=store, name="overhead"
        )
    finally:
        os.chdir(here)
    assert len(study.trials) == trials
    return rate([t.ended for t in study.trials if t.ended is not None])


OPTUNA = """
import sys, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name="overhead", storage=sys.argv[1], sampler=optuna.samplers.RandomSampler())
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=int(sys.argv[2]))
"""


def optuna_rate(trials: int, folder: Path) -> float:
    """Optuna's, as its manual says that one distributes: a process for each worker, all on one database."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = f"sqlite:///{folder / 'optuna.db'}"
    study = optuna.create_study(study_name="overhead", storage=storage)
    workers = [subprocess.Popen([sys.executable, "-c", OPTUNA, storage, str(trials // WORKERS)]) for _ in range(WORKERS)]
    for worker in workers:
        assert worker.wait() == 0
    return rate([t.datetime_complete for t in study.trials if t.datetime_complete is not None])


def machine() -> str:
    """What this ran on."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "?")
    return f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--optuna-trials", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"machine: {machine()}")
        began = time.monotonic()
        ours = wichtel_rate(options.trials, Path(folder))
        whole = options.trials / (time.monotonic() - began)
        print(f"wichtel, local engine, SQLite:  {ours:8.1f} trials/s  ({options.trials} trials; {whole:.1f}/s with start-up and shutdown)")
        theirs = optuna_rate(options.optuna_trials, Path(folder))
        print(f"optuna, 2 processes, SQLite:    {theirs:8.1f} trials/s  ({options.optuna_trials} trials)")
        print(f"ratio:                          {ours / theirs:8.1f}")


if __name__ == "__main__":
    main()
