"""Work that a protocol hands to the fleet and awaits: rows in the store, under ids that a repeated step finds again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from wichtel.domain import Analysis, Experiment, Resources, Run, RunSpec, RunState, SystemFault, UserError, WichtelError, seed_of
from wichtel.domain.errors import from_json
from wichtel.protocols.environment import fingerprint
from wichtel.store import Database, Transaction, codec

ANALYSE = "wichtel.plans.entries:analyse"
TRAIN = "wichtel.training.entries:train"

#: Loading a plan gets this much beyond its own limit for starting processes, before the worker is given up.
START_SECONDS = 120.0


def owner_of(experiment: Experiment) -> str:
    """The owner of an experiment's runs: names the workflow that waits for them."""
    return f"experiment/{experiment.id}/run/{experiment.generation}"


def analysis_spec(tree: str, *, quota_group: str, load_seconds: float = 60.0, priority: int = 0, owner: str = "") -> RunSpec:
    """The analysis of a source tree. Its id is the same for everybody, so a tree is analysed once per software environment."""
    return RunSpec(
        id=f"analysis/{tree[:32]}/{fingerprint()}",
        entry=ANALYSE,
        payload={"tree": tree},
        owner=owner,
        quota_group=quota_group,
        priority=priority,
        timeout_seconds=load_seconds + START_SECONDS,
    )


def submit_analysis(tx: Transaction, spec: RunSpec, *, since: datetime) -> str:
    """The run of an analysis: one that is there already, unless it came to nothing before `since`, else a new one.

    What it lacked then (memory, a package, a worker) may be there now, so an old failure is nobody's answer for ever.
    """
    first, number = spec.id, 0
    while (run := tx.runs.find(spec.id)) is not None:
        if not run.state.ended or run.state is RunState.SUCCEEDED or (run.state is RunState.FAILED and run.created >= since):
            return spec.id
        number += 1
        spec = replace(spec, id=f"{first}/{number}")
    tx.runs.add(spec)
    return spec.id


def training_spec(tx: Transaction, experiment: Experiment, run: str, tree: str, analysis: Analysis, *, seed: int) -> RunSpec:
    """A full training: scored on evaluation and holdout windows, weights and predictions kept."""
    job = analysis.job
    windows = ["evaluation", "holdout"] if job.holdout is not None else ["evaluation"]
    return RunSpec(
        id=run,
        entry=TRAIN,
        payload={"tree": tree, "dataset": codec.to_plain(tx.datasets.get(job.dataset)), "windows": windows, "keep": True},
        owner=owner_of(experiment),
        seed=seed,
        resources=job.resources,
        priority=job.priority + experiment.config.priority,
        quota_group=experiment.quota_group,
        timeout_seconds=job.train_seconds + job.load_seconds + START_SECONDS,
    )


def submit_baseline(tx: Transaction, experiment: Experiment, tree: str, analysis: Analysis, replicate: int) -> str:
    """The run of the baseline's training: one that is there already if it is young enough and by the same software, else a new one.

    All experiments on one model share it.
    """
    run_id, run = find_baseline(tx, experiment, tree, analysis, replicate)
    if run is None:
        seed = seed_of(analysis.job.seed, "baseline", replicate)
        tx.runs.add(training_spec(tx, experiment, run_id, tree, analysis, seed=seed))
    return run_id


def find_baseline(tx: Transaction, experiment: Experiment, tree: str, analysis: Analysis, replicate: int) -> tuple[str, Run | None]:
    """The id that the run of the baseline's training has for `experiment`, and the run if there is one already."""
    dataset = tx.datasets.get(analysis.job.dataset)
    key = hashlib.sha256(f"{tree}/{dataset.digest}/{fingerprint()}".encode()).hexdigest()[:32]
    started = experiment.started or experiment.created
    number = 0
    while True:
        run_id = f"baseline/{key}/{replicate}/{number}"
        run = tx.runs.find(run_id)
        if run is None:
            return run_id, None
        # What was trained for this experiment is young enough for it: a step that is carried out again finds it.
        age = (tx.now - run.ended) / timedelta(days=1) if run.ended is not None and run.created < started else 0.0
        if age <= experiment.config.baseline_max_age_days and (_is_complete(run) or not run.state.ended):
            return run_id, run
        # This experiment's own failure is reported, not tried again.
        if run.state is RunState.FAILED and run.created >= started:
            return run_id, run
        number += 1


def _is_complete(run: Run) -> bool:
    # Of an old training garbage collection leaves the metrics, but no predictions: that is no baseline to compare with.
    return run.state is RunState.SUCCEEDED and (run.result or {}).get("predictions") != {}


def await_runs(db: Database, runs: list[str]) -> list[dict[str, Any]] | None:
    """The results of `runs` once all have succeeded, None while any is under way.

    Raises:
        WichtelError: one of them failed: its own error.
    """
    with db.read() as tx:
        found = [tx.runs.get(run) for run in runs]
    for run in found:
        if run.state is RunState.FAILED:
            raise failure_of(run)
        if run.state is RunState.CANCELED:
            raise UserError(f"run {run.spec.id} was canceled.")
        if run.state is RunState.STOPPED:
            raise SystemFault(f"run {run.spec.id} was stopped before it had a result.")
    if not all(run.state is RunState.SUCCEEDED for run in found):
        return None
    return [{"run": run.spec.id, **run.result} for run in found]


def failure_of(run: Run) -> WichtelError:
    """The error of a failed run, with what is known of it."""
    told = run.error or {"message": "it failed."}
    error = from_json(told)
    error.evidence["run"] = run.spec.id
    for name, key in (("log", "output"), ("traceback", "traceback")):
        if told.get(key):
            error.evidence.setdefault(name, str(told[key]))
    return error


def small(resources: Resources) -> Resources:
    """Resources for the light work around a training: no accelerator."""
    return Resources(cpus=min(1.0, resources.cpus), memory_bytes=resources.memory_bytes)


def get_experiment(db: Database, inputs: dict[str, Any]) -> Experiment:
    """The experiment that a step works for."""
    with db.read() as tx:
        return tx.experiments.get(inputs["input"]["experiment"])
