"""How many trials that do nothing a study gets through in a second, each durable, with 2 workers; beside Optuna on SQLite and Ray Tune.

Run as ``python benchmarks/overhead.py [--trials N] [--optuna-trials N] [--ray-trials N] [--quick]``. All keep their trials on one disk:
Wichtel and Optuna in a SQLite file, Ray Tune in the folder of its experiment, as it does by itself. All search at random, all have two
worker processes. A rate is that of the trials between the end of the first and the end of the last: start-up and shutdown do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from machine import machine

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


RAY = """
import json, sys, time, ray
from ray import tune
folder, trials, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
tuner = tune.Tuner(
    tune.with_resources(lambda config: {"x": config["x"], "ended": time.time()}, {"cpu": 1}),
    param_space={"x": tune.uniform(0, 1)},
    tune_config=tune.TuneConfig(num_samples=trials, metric="x", mode="min"),
    run_config=tune.RunConfig(name="overhead", storage_path=folder, verbose=0),
)
ends = [result.metrics["ended"] for result in tuner.fit()]
print(json.dumps(ends))
"""


def ray_rate(trials: int, folder: Path) -> float:
    """Ray Tune's: a fresh process, as many processors as workers, a trial on each."""
    quiet = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0"}
    command = [sys.executable, "-W", "ignore", "-c", RAY, str(folder / "ray"), str(trials), str(WORKERS)]
    said = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if said.returncode:
        raise SystemExit(f"Ray Tune failed:\n{said.stderr[-2000:]}")
    ends = json.loads(said.stdout.splitlines()[-1])
    assert len(ends) == trials
    return rate([datetime.fromtimestamp(end, UTC) for end in ends])


def main() -> None:
    """Measure all and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--optuna-trials", type=int, default=200)
    parser.add_argument("--ray-trials", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="few trials, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.trials, options.optuna_trials, options.ray_trials = 500, 40, 6
    with tempfile.TemporaryDirectory() as folder:
        print(f"machine: {machine()}")
        began = time.monotonic()
        ours = wichtel_rate(options.trials, Path(folder))
        whole = options.trials / (time.monotonic() - began)
        print(f"wichtel, local engine, SQLite:  {ours:8.1f} trials/s  ({options.trials} trials; {whole:.1f}/s with start-up and shutdown)")
        theirs = optuna_rate(options.optuna_trials, Path(folder))
        print(f"optuna, 2 processes, SQLite:    {theirs:8.1f} trials/s  ({options.optuna_trials} trials)")
        print(f"ratio:                          {ours / theirs:8.1f}")
        if find_spec("ray") is None:
            print("ray tune:                       not installed; `pip install 'ray[tune]'` for this comparison")
            return
        theirs = ray_rate(options.ray_trials, Path(folder))
        print(f"ray tune, {WORKERS} processes, its files: {theirs:8.2f} trials/s  ({options.ray_trials} trials)")
        print(f"ratio:                          {ours / theirs:8.1f}")


if __name__ == "__main__":
    main()
