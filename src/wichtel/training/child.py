"""The part of a training that runs in the fresh process, beside the user's code."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from wichtel.domain import Job, PlanError, Window, did_you_mean
from wichtel.plans.job import parse_job
from wichtel.plans.load import LoadedPlan, load_plan
from wichtel.training.metrics import quality
from wichtel.training.reader import DatasetReader, Examples, standardized, statistics_of
from wichtel.training.trainer import INFERENCE_BATCH, Task, Trained, make_trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wichtel.plans import Child

#: Measurements of the time to score one batch, each the least of `REPEATS`: what else runs on the machine can only lengthen it.
INFERENCES = 15
REPEATS = 5
ALIVE_SECONDS = 0.5
#: Most repeated measurements that are kept of one metric.
SAMPLES = 200


def train_here(payload: dict[str, Any], child: Child) -> dict[str, Any]:
    """Load, train, score and measure; files go to ``payload["out"]``. See `entries.train`."""
    from wichtel.plans import users_code, versions

    threading.Thread(target=_say_alive, args=(child,), daemon=True).start()
    job = parse_job((child.folder / "job.toml").read_bytes())
    settings = payload["settings"]
    plan = load_plan(child.folder, mode="set" if settings else "default", values=settings, seed=payload["seed"])
    child.phase("training the model", seconds=job.train_seconds, limit="limits.train_seconds")
    reader = DatasetReader(payload["data"], time_column=payload["time_column"], features=plan.features, label=job.label)
    examples = {"train": reader.read(job.train, name="train", sample=job.sample)}
    statistics = statistics_of(examples["train"], plan.features)
    examples["train"] = standardized(examples["train"], statistics)
    for window in {"evaluation", *payload["windows"]}:
        examples[window] = reader.read(_window(job, window), name=window, statistics=statistics)

    out = Path(payload["out"])
    task = Task(
        model=plan.model,
        features=plan.features,
        job=job,
        seed=payload["seed"],
        train=examples["train"],
        evaluation=examples["evaluation"],
        threads=max(1, math.ceil(job.resources.cpus)),
        checkpoints=Path(payload["checkpoints"]),
        report=lambda step, metrics: child.report(step, **metrics),
    )
    with users_code(child.folder, doing="training the model"):
        trained = make_trainer(plan.trainer).train(task)
    peak = _peak_memory_bytes()
    model = trained.save(out / "model")
    with users_code(child.folder, doing="scoring examples"):
        inference = _inference_seconds(trained, examples["evaluation"])
    samples = {
        "step_seconds": _thinned(trained.step_seconds),
        "train_cpu_seconds": _thinned(trained.cpu_seconds),
        "inference_seconds": inference,
    }
    metrics = {
        "parameters": float(trained.parameters),
        "model_bytes": float(model.stat().st_size),
        "peak_memory_bytes": float(peak),
        "examples_per_second": trained.examples / trained.seconds,
        "training_examples": float(trained.examples),
        **{name: median(values) for name, values in samples.items()},
    }
    scored: dict[str, dict[str, float]] = {}
    predictions: dict[str, str] = {}
    for window in payload["windows"]:
        with users_code(child.folder, doing="scoring examples"):
            scores = trained.score(examples[window])
        scored[window] = _quality(plan, examples[window], scores, binary=trained.binary, folder=child.folder)
        if payload["keep"]:
            predictions[window] = f"{window}.npz"
            found = examples[window]
            np.savez(out / predictions[window], row=found.rows, label=found.labels, score=scores)
    metrics |= scored.get("evaluation", {})
    return {
        "metrics": metrics,
        "holdout": scored.get("holdout"),
        "samples": samples,
        "predictions": predictions,
        "model": model.name if payload["keep"] else None,
        "encoding": {name: list(values) for name, values in statistics.items()},
        "versions": versions(),
        "examples": trained.examples,
        "warnings": list(plan.warnings),
    }


def _window(job: Job, name: str) -> Window:
    window: Window = getattr(job, name)
    return window


def _quality(plan: LoadedPlan, examples: Examples, scores: NDArray[np.float32], *, binary: bool, folder: Path) -> dict[str, float]:
    from wichtel.plans import users_code

    found = quality(examples.labels, scores, binary=binary)
    for name, metric in plan.metrics.items():
        with users_code(folder, doing=f"computing the metric {name!r}"):
            value = float(metric.function(examples.labels, scores))
        if math.isfinite(value):
            found[name] = value
    primary = plan.metadata.primary_metric
    if primary not in found:
        raise PlanError(f"the model reports no metric {primary!r}, its primary one.", where="plan.py", hint=did_you_mean(primary, found))
    return found


def _inference_seconds(trained: Trained, examples: Examples) -> list[float]:
    """Wall times of scoring one batch, after a few that warm up."""
    batch = examples.take(np.arange(INFERENCE_BATCH) % len(examples))

    def once() -> float:
        start = time.perf_counter()
        trained.score(batch)
        return time.perf_counter() - start

    for _ in range(3):
        once()
    return [min(once() for _ in range(REPEATS)) for _ in range(INFERENCES)]


def _peak_memory_bytes() -> int:
    """Of this process so far. The kernel's own high-water mark, since `getrusage` starts from what the parent had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _thinned(values: Sequence[float]) -> list[float]:
    """At most `SAMPLES` of `values`, evenly from first to last: a model may take a hundred thousand steps."""
    return list(values) if len(values) <= SAMPLES else [values[i * (len(values) - 1) // (SAMPLES - 1)] for i in range(SAMPLES)]


def _say_alive(child: Child) -> None:
    while True:
        time.sleep(ALIVE_SECONDS)
        child.report(0)
