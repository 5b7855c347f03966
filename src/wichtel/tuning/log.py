"""What a study writes down, and how it is read back: trials that ended are rows, a trial that has not is its run.

A trial's ``searcher_state`` is ``{"known": k, "order": i, "step": s, "state": …}``: it was suggested when `k` results had been told to the
searcher; its own was told as the `i`-th, from 0; `s` is the last step it reported; ``state`` is what the searcher asked to remember; and
``"crashed"`` is true if its run failed. Until the trial ends, ``known`` and ``state`` travel in its run's payload, as ``"suggested"``. This
is enough to play everything that the searcher ever heard to a new one, in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wichtel.domain import Config, Objective, Run, RunSpec, RunState, StudySpec, Trial
from wichtel.tuning.ports import Result


@dataclass(slots=True)
class Active:
    """A trial that has begun and not ended."""

    number: int
    config: Config
    #: How many results the searcher knew when it suggested this; None for the user's own.
    known: int | None
    memory: dict[str, Any]
    #: The latest value of each metric.
    metrics: dict[str, float] = field(default_factory=dict)
    step: int | None = None


def owner_of(study_id: str) -> str:
    """The owner of a study's runs."""
    return f"study/{study_id}"


def run_of(spec: StudySpec, active: Active) -> RunSpec:
    """The run that carries out a trial."""
    suggested = {"known": active.known, "state": active.memory}
    return RunSpec(
        id=f"{spec.id}/{active.number}",
        entry=spec.entry,
        payload={**spec.payload, "config": active.config, "trial": active.number, "suggested": suggested},
        owner=owner_of(spec.id),
        seed=spec.trial_seed(active.number),
        resources=spec.resources,
        priority=spec.priority,
        quota_group=spec.quota_group,
        retry=spec.retry,
        timeout_seconds=spec.timeout_seconds,
    )


def active_of(run: RunSpec) -> Active:
    """The trial that a run carries out: the way back from `run_of`."""
    suggested = run.payload.get("suggested") or {}
    return Active(run.payload["trial"], run.payload["config"], suggested.get("known"), suggested.get("state") or {})


def number_of(run_id: str) -> int:
    """The trial's number."""
    return int(run_id.rpartition("/")[2])


def trial_of(spec: StudySpec, active: Active, run: Run, order: int) -> Trial:
    """The trial of a run that has ended."""
    metrics = dict(active.metrics)
    state = run.state
    reason = str((run.error or {}).get("message") or "")
    if state in (RunState.SUCCEEDED, RunState.STOPPED):
        metrics |= metrics_in(run.result, spec.objectives[0].metric)
        missing = _missing(spec.objectives, metrics)
        if missing and (state is RunState.SUCCEEDED or metrics):
            state, reason = RunState.FAILED, missing
    elif state is RunState.FAILED and (run.error or {}).get("traceback"):
        reason = f"{reason}\n{run.error['traceback']}"  # type: ignore[index]
    return Trial(
        study=spec.id,
        number=active.number,
        config=active.config,
        state=state,
        metrics=metrics,
        reason=reason,
        searcher_state=_memory(active, order, crashed=run.state is RunState.FAILED),
        created=run.created,
        started=run.started,
        ended=run.ended,
    )


def result_of(trial: Trial, objectives: tuple[Objective, ...]) -> Result:
    """An ended trial as its searcher hears of it."""
    losses: tuple[float, ...] = ()
    if trial.state in (RunState.SUCCEEDED, RunState.STOPPED) and not _missing(objectives, trial.metrics):
        losses = tuple(o.loss(trial.metrics[o.metric]) for o in objectives)
    state = trial.searcher_state
    return Result(
        number=trial.number,
        config=trial.config,
        state=trial.state,
        losses=losses,
        step=state.get("step"),
        memory=state.get("state") or {},
    )


def begun(number: int, config: Config, memory: Mapping[str, Any]) -> Result:
    """The news that a trial has begun."""
    return Result(number=number, config=config, state=RunState.RUNNING, memory=dict(memory))


def replay(trials: Iterable[Trial], active: Iterable[Active], objectives: tuple[Objective, ...]) -> list[Result]:
    """All that the searcher was told, and what it suggested, in the order in which it happened."""
    ended = list(trials)
    results = [result_of(t, objectives) for t in sorted(ended, key=lambda t: t.searcher_state.get("order", 0))]
    suggested = [(t.number, t.config, t.searcher_state.get("known"), t.searcher_state.get("state") or {}) for t in ended]
    suggested += [(a.number, a.config, a.known, a.memory) for a in active]
    heard: list[Result] = []
    told = 0
    for number, config, known, memory in sorted(suggested, key=lambda s: s[0]):
        if known is not None and known > told:
            heard += results[told:known]
            told = known
        heard.append(begun(number, config, memory))
    return heard + results[told:]


def metrics_in(result: Any, objective: str) -> dict[str, float]:
    """The metrics in what an entry returned: a number (the objective), a table of numbers, or one with such a table as ``"metrics"``."""
    if isinstance(result, Mapping):
        inner = result.get("metrics")
        table = inner if isinstance(inner, Mapping) else result
        return {str(k): float(v) for k, v in table.items() if isinstance(v, int | float)}
    return {objective: float(result)} if isinstance(result, int | float) else {}


def _missing(objectives: tuple[Objective, ...], metrics: Mapping[str, float]) -> str:
    """What is wrong with `metrics`, in words; empty if nothing."""
    for objective in objectives:
        name = objective.metric
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
