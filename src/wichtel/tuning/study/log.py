"""What a study writes down, and how it is read back: trials that ended are rows, a trial that has not is its runs.

A trial's ``searcher_state`` is ``{"known": k, "order": i, "step": s, "state": …}``: it was suggested when `k` results had been told to the
searcher; its own was told as the `i`-th, from 0; `s` is the last step it reported; ``state`` is what the searcher asked to remember; and
``"crashed"`` is true if a run of it failed. Until the trial ends, ``known`` and ``state`` travel in its runs' payload, as ``"suggested"``,
with its parent and origin. This is enough to play everything that the searcher ever heard to a new one, in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from wichtel.domain import RunSpec, RunState, StudySpec, Trial
from wichtel.tuning.ports import Result
from wichtel.tuning.study.active import STOPPED, Active, means_of, samples_of


def owner_of(study_id: str) -> str:
    """The owner of a study's runs."""
    return f"study/{study_id}"


def run_id(spec: StudySpec, number: int, evaluation: int) -> str:
    """The id of the run that carries out an evaluation of trial `number`."""
    return f"{spec.id}/{number}" if spec.evaluations == 1 else f"{spec.id}/{number}/{evaluation}"


def place_of(study_id: str, run: str) -> tuple[int, int] | None:
    """The trial's number and the evaluation that a run of this study carries out; None if it is none of its runs.

    >>> place_of("s", "s/7"), place_of("s", "s/7/2"), place_of("s", "s/other/7")
    ((7, 0), (7, 2), None)
    """
    if not run.startswith(study_id + "/"):
        return None
    number, _, evaluation = run[len(study_id) + 1 :].partition("/")
    if not number.isdecimal() or not (evaluation.isdecimal() or not evaluation):
        return None
    return int(number), int(evaluation or 0)


def run_of(spec: StudySpec, active: Active, evaluation: int, *, parent: int | None = None, keep: bool = False) -> RunSpec:
    """The run that carries out an evaluation.

    Args:
        parent: The trial whose checkpoint it starts from: that of `active`, or the one that this was copied from.
        keep: Whether its own checkpoint is kept for others.
    """
    suggested: dict[str, Any] = {"known": active.known, "state": active.memory}
    if active.parent is not None:
        suggested["parent"] = active.parent
    if active.origin:
        suggested["origin"] = active.origin
    payload = {**spec.payload, "config": active.config, "trial": active.number, "suggested": suggested}
    if active.budget is not None:
        payload["budget"] = active.budget
    if spec.evaluations > 1:
        payload |= {"fold": evaluation % spec.folds, "folds": spec.folds, "repeat": evaluation // spec.folds}
    return RunSpec(
        id=run_id(spec, active.number, evaluation),
        entry=spec.entry,
        payload=payload,
        owner=owner_of(spec.id),
        seed=spec.trial_seed(active.number, evaluation),
        resources=spec.resources,
        priority=spec.priority,
        quota_group=spec.quota_group,
        retry=spec.retry,
        timeout_seconds=spec.timeout_seconds,
        checkpoint_from="" if parent is None else run_id(spec, parent, evaluation),
        keep_checkpoint=keep,
    )


def active_of(spec: StudySpec, run: RunSpec) -> Active:
    """The trial that a run belongs to: the way back from `run_of`."""
    suggested = run.payload.get("suggested") or {}
    return Active(
        number=run.payload["trial"],
        config=run.payload["config"],
        known=suggested.get("known"),
        memory=suggested.get("state") or {},
        budget=run.payload.get("budget"),
        parent=suggested.get("parent"),
        origin=suggested.get("origin", ""),
        evaluations=spec.evaluations,
    )


def trial_of(spec: StudySpec, active: Active, order: int) -> Trial:
    """The trial of evaluations that have ended."""
    runs = active.ended
    state, reason = _outcome(active)
    metrics, samples, artifacts = dict(active.metrics), dict(active.samples), {}
    if state is RunState.SUCCEEDED or (state is RunState.STOPPED and active.evaluations == 1):
        tables = [active.latest.get(e, {}) | metrics_in(runs[e].result, spec.objectives[0].metric) for e in sorted(runs)]
        samples = samples_of(tables)
        metrics = means_of(samples)
        artifacts = _artifacts_in(active)
    crashed = state is RunState.FAILED
    if state in (RunState.SUCCEEDED, RunState.STOPPED):
        missing = _missing(spec, metrics, costs=state is RunState.SUCCEEDED)
        if missing and (state is RunState.SUCCEEDED or metrics):
            state, reason = RunState.FAILED, missing
    return Trial(
        study=spec.id,
        number=active.number,
        config=active.config,
        state=state,
        budget=active.budget,
        parent=active.parent,
        origin=active.origin,
        metrics=metrics,
        samples=samples if active.evaluations > 1 else {},
        artifacts=artifacts,
        reason=reason,
        searcher_state=_memory(active, order, crashed=crashed),
        created=min(run.created for run in runs.values()),
        started=min((run.started for run in runs.values() if run.started), default=None),
        ended=max((run.ended for run in runs.values() if run.ended), default=None),
    )


def result_of(trial: Trial, spec: StudySpec) -> Result:
    """An ended trial as its searcher hears of it."""
    losses: tuple[float, ...] = ()
    violations: tuple[float, ...] = ()
    if trial.state in (RunState.SUCCEEDED, RunState.STOPPED) and not _missing(spec, trial.metrics):
        losses = tuple(o.loss(trial.metrics[o.metric]) for o in spec.objectives)
        violations = tuple(bound.violation(trial.metrics) for bound in spec.constraints)
    state = trial.searcher_state
    return Result(
        number=trial.number,
        config=trial.config,
        state=trial.state,
        losses=losses,
        violations=violations,
        step=state.get("step"),
        budget=trial.budget,
        parent=trial.parent,
        memory=state.get("state") or {},
    )


def begun(trial: Active | Trial) -> Result:
    """The news that a trial has begun."""
    memory = trial.memory if isinstance(trial, Active) else trial.searcher_state.get("state") or {}
    return Result(
        number=trial.number, config=trial.config, state=RunState.RUNNING, budget=trial.budget, parent=trial.parent, memory=dict(memory)
    )


def replay(trials: Iterable[Trial], active: Iterable[Active], spec: StudySpec) -> list[Result]:
    """All that the searcher was told, and what it suggested, in the order in which it happened."""
    ended = list(trials)
    results = [result_of(t, spec) for t in sorted(ended, key=lambda t: t.searcher_state.get("order", 0))]
    suggested: list[tuple[int, int | None, Active | Trial]] = [(t.number, t.searcher_state.get("known"), t) for t in ended]
    suggested += [(a.number, a.known, a) for a in active]
    heard: list[Result] = []
    told = 0
    for _, known, trial in sorted(suggested, key=lambda s: s[0]):
        if known is not None and known > told:
            heard += results[told:known]
            told = known
        heard.append(begun(trial))
    return heard + results[told:]


def metrics_in(result: Any, objective: str) -> dict[str, float]:
    """The metrics in what an entry returned: a number (the objective), a table of numbers, or one with such a table as ``"metrics"``."""
    if isinstance(result, Mapping):
        inner = result.get("metrics")
        table = inner if isinstance(inner, Mapping) else result
        return {str(k): float(v) for k, v in table.items() if isinstance(v, int | float)}
    return {objective: float(result)} if isinstance(result, int | float) else {}


def _artifacts_in(active: Active) -> dict[str, str]:
    """The artifacts that its evaluations returned, by name; with several evaluations, ``<evaluation>/<name>``."""
    found: dict[str, str] = {}
    for evaluation, run in sorted(active.ended.items()):
        given = run.result.get("artifacts") if isinstance(run.result, Mapping) else None
        if isinstance(given, Mapping):
            prefix = f"{evaluation}/" if active.evaluations > 1 else ""
            found |= {f"{prefix}{name}": str(digest) for name, digest in given.items()}
    return found


def _outcome(active: Active) -> tuple[RunState, str]:
    """What became of a trial, and why."""
    reasons: dict[RunState, str] = {}
    for evaluation, run in sorted(active.ended.items()):
        error = run.error or {}
        reason, state = str(error.get("message") or ""), run.state
        if state is RunState.CANCELED and reason.startswith(STOPPED):
            state, reason = RunState.STOPPED, reason.removeprefix(STOPPED)
        if state is RunState.FAILED:
            if active.evaluations > 1:
                reason = f"evaluation {evaluation}: {reason}"
            # A worker that died left no traceback, but maybe last words.
            if last := error.get("traceback") or error.get("output"):
                reason = f"{reason}\n{last}"
        reasons.setdefault(state, reason)
    # One evaluation that was stopped or failed has the others canceled.
    for state in (RunState.STOPPED, RunState.FAILED, RunState.CANCELED):
        if state in reasons:
            return state, reasons[state]
    if len(active.ended) < active.evaluations:
        return RunState.CANCELED, "its study ended"
    return RunState.SUCCEEDED, ""


def _missing(spec: StudySpec, metrics: Mapping[str, float], *, costs: bool = False) -> str:
    """What is wrong with `metrics`, in words; empty if nothing."""
    needed = [o.metric for o in spec.objectives]
    if costs and spec.max_cost is not None:
        needed.append(spec.cost_metric)
    for name in needed:
        if name not in metrics:
            given = "it gave only " + ", ".join(sorted(metrics)) if metrics else "it gave none"
            return f"it neither returned nor reported the metric {name!r}: {given}"
        if not math.isfinite(metrics[name]):
            return f"its {name} is {metrics[name]}"
    return ""


def _memory(active: Active, order: int, *, crashed: bool) -> dict[str, Any]:
    memory: dict[str, Any] = {"known": active.known, "order": order}
    if active.step is not None:
        memory["step"] = active.step
    if crashed:
        memory["crashed"] = True
    if active.memory:
        memory["state"] = active.memory
    return memory
