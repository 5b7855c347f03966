"""Studies to Optuna and back."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wichtel.domain import (
    AlreadyExists,
    Config,
    Expectation,
    Fixed,
    InvalidInput,
    Measurement,
    Objective,
    Parameter,
    Run,
    RunState,
    Space,
    StudySpec,
    StudyState,
    Trial,
)
from wichtel.tuning.results.home import KEPT, Home, check_name, id_of
from wichtel.tuning.results.ranking import losses_of

if TYPE_CHECKING:
    import optuna

    from wichtel.tuning.results.result import StudyResult

#: The attribute of Optuna's studies and trials under which all that ours say stands.
_OURS = "wichtel"


def to_optuna(result: StudyResult, storage: str | optuna.storages.BaseStorage | None = None, name: str | None = None) -> optuna.Study:
    """A study of Optuna with all ended trials: parameters, values, intermediate values, constraints, times.

    A trial that was stopped is PRUNED there, one that was canceled FAIL. What Optuna has no word for stands under the user attribute
    ``"wichtel"`` of the study and of each trial, so that `import_optuna` gives the same study back. Options of a choice that Python takes
    for equal, such as ``1`` and ``True``, go by their names.

    Args:
        result: The study.
        storage: Where Optuna keeps it; in memory by default.
        name: What it is called there; by default as here.

    Raises:
        AlreadyExists: the storage has a study of that name.
    """
    import optuna

    from wichtel.store import codec

    spec = result.spec
    maximize, minimize = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
    directions = [maximize if o.better is Expectation.LARGER else minimize for o in spec.objectives]
    called = name or spec.name
    try:
        with quiet():
            study = optuna.create_study(study_name=called, storage=storage, directions=directions)
            study.set_metric_names([o.metric for o in spec.objectives])
    except optuna.exceptions.DuplicatedStudyError as error:
        raise AlreadyExists(f"there is a study {called!r} already.", where=str(storage), hint="Choose another name.") from error
    study.set_user_attr(_OURS, codec.to_plain(replace(spec, payload={})))
    measured = result.measurements if result.home is not None else {}
    with quiet():
        study.add_trials([_outward(spec, trial, measured.get(trial.number, [])) for trial in result.trials if trial.state.ended])
    return study


def import_optuna(
    study: optuna.Study,
    name: str,
    *,
    store: str | None = None,
    space: Mapping[str, Parameter] | None = None,
    metrics: Sequence[str] = (),
) -> StudyResult:
    """Keep a study of Optuna under a name here, to look at it, to go on with it by `tune`, or to start another one warm from it.

    Trials that have not ended are left out.

    Args:
        study: One that Optuna made, or that `to_optuna` did.
        name: What it is to be called.
        store: A database to keep it in, as in `tune`.
        space: What was searched; by default read from the trials.
        metrics: What the objectives are called; by default as in Optuna, or ``"value"``.

    Raises:
        AlreadyExists: there is a study of that name.
        InvalidInput: the space cannot be read from the trials, or a trial is not in it.
    """
    from wichtel.store import codec

    ours = study.user_attrs.get(_OURS)
    check_name(name)
    made = _spec_of(study, name, space, metrics) if ours is None else codec.from_plain(ours, StudySpec)
    spec = replace(made, id=id_of(name), name=name)
    trials: list[Trial] = []
    curves: dict[int, dict[int, float]] = {}
    for given in study.get_trials(deepcopy=False):
        if not given.state.is_finished():
            continue
        trial = _inward(spec, given, max((t.number for t in trials), default=-1) + 1)
        trials.append(trial)
        curves[trial.number] = dict(given.intermediate_values)
    return _keep(
        replace(spec, trials=max(spec.trials, len(trials), 1)), trials, curves, store, f"imported from {study.study_name!r} of Optuna"
    )


# Outward


def _outward(spec: StudySpec, trial: Trial, measured: Sequence[Measurement]) -> optuna.trial.FrozenTrial:
    import optuna

    from wichtel.store import codec
    from wichtel.tuning.optuna_space import distributions, outward

    states = {RunState.SUCCEEDED: optuna.trial.TrialState.COMPLETE, RunState.STOPPED: optuna.trial.TrialState.PRUNED}
    state = states.get(trial.state, optuna.trial.TrialState.FAIL)
    losses = losses_of(spec, trial)
    if state == optuna.trial.TrialState.COMPLETE and not losses:
        state = optuna.trial.TrialState.FAIL
    metric = spec.objectives[0].metric
    made = optuna.trial.create_trial(
        state=state,
        values=[trial.metrics[o.metric] for o in spec.objectives] if losses and state != optuna.trial.TrialState.FAIL else None,
        params={name: outward(spec.space[name], value) for name, value in trial.config.items()},
        distributions=distributions(spec.space, trial.config),
        user_attrs={_OURS: codec.to_plain(trial)},
        intermediate_values=_curve(spec, measured, metric),
        constraints={str(bound): bound.violation(trial.metrics) for bound in spec.constraints} or None,
    )
    made.datetime_start = _local(trial.started or trial.created)
    made.datetime_complete = _local(trial.ended or trial.created)
    return made


def _curve(spec: StudySpec, measured: Sequence[Measurement], metric: str) -> dict[int, float]:
    """Of one evaluation what it reported, of several their means at the steps that all have."""
    steps: dict[int, list[float]] = {}
    for m in measured:
        if metric in m.metrics:
            steps.setdefault(m.step, []).append(m.metrics[metric])
    return {step: sum(values) / len(values) for step, values in sorted(steps.items()) if len(values) == spec.evaluations}


# Inward


def _spec_of(study: optuna.Study, name: str, space: Mapping[str, Parameter] | None, metrics: Sequence[str]) -> StudySpec:
    import optuna

    from wichtel.tuning.function import ENTRY
    from wichtel.tuning.spaces import space_from_optuna

    count = len(study.directions)
    names = list(metrics or study.metric_names or (["value"] if count == 1 else [f"value_{i}" for i in range(count)]))
    if len(names) != count:
        raise InvalidInput(f"{len(names)} names for {count} objectives.", where="metrics")
    maximize = optuna.study.StudyDirection.MAXIMIZE
    better = [Expectation.LARGER if d == maximize else Expectation.SMALLER for d in study.directions]
    return StudySpec(
        id=id_of(name),
        name=name,
        space=space_from_optuna(study) if space is None else Space(space),
        objectives=tuple(Objective(metric=metric, better=b) for metric, b in zip(names, better, strict=True)),
        entry=ENTRY,
    )


def _inward(spec: StudySpec, given: optuna.trial.FrozenTrial, number: int) -> Trial:
    from wichtel.store import codec

    ours = given.user_attrs.get(_OURS)
    if ours is not None:
        return replace(codec.from_plain(ours, Trial), study=spec.id)
    config = _config(spec.space, given.params)
    try:
        spec.space.check(config)
    except InvalidInput as error:
        where = f"trial {given.number}, {error.where}" if error.where else f"trial {given.number}"
        raise InvalidInput(error.message, where=where, hint=error.hint) from None
    metrics = {o.metric: float(value) for o, value in zip(spec.objectives, given.values or (), strict=False)}
    steps = given.intermediate_values
    state, reason = _outcome(given)
    if state is RunState.STOPPED and not metrics and steps and len(spec.objectives) == 1:
        metrics = {spec.objectives[0].metric: float(steps[max(steps)])}
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad and state is RunState.SUCCEEDED:
        state, reason = RunState.FAILED, f"its {bad[0]} is {metrics[bad[0]]}"
    started = _aware(given.datetime_start or given.datetime_complete)
    return Trial(
        study=spec.id,
        number=number,
        config=config,
        state=state,
        origin=f"trial {given.number} of Optuna",
        metrics=metrics,
        reason=reason,
        searcher_state={"known": None, "order": number, "state": {}, "step": max(steps) if steps else None},
        created=started,
        started=started,
        ended=_aware(given.datetime_complete),
    )


def _config(space: Space, params: Mapping[str, Any]) -> Config:
    from wichtel.tuning.optuna_space import inward

    config: Config = {name: inward(space[name], value) if name in space else value for name, value in params.items()}
    for name, parameter in space.items():
        # Optuna knows nothing of what does not vary.
        if isinstance(parameter, Fixed) and name not in config and space.is_active(name, config):
            config[name] = parameter.value
    return config


def _outcome(given: optuna.trial.FrozenTrial) -> tuple[RunState, str]:
    from optuna.trial import TrialState

    if given.state == TrialState.COMPLETE:
        return RunState.SUCCEEDED, ""
    return (RunState.STOPPED, "pruned by Optuna") if given.state == TrialState.PRUNED else (RunState.FAILED, "it failed in Optuna")


def _keep(spec: StudySpec, trials: list[Trial], curves: Mapping[int, Mapping[int, float]], store: str | None, reason: str) -> StudyResult:
    from wichtel.tuning.results.kept import load_study, opened
    from wichtel.tuning.study.active import Active
    from wichtel.tuning.study.log import run_of

    home = Home.of(spec.name) if store is None else Home(store, KEPT.absolute())
    metric = spec.objectives[0].metric
    # Of several evaluations only the means are known, and no one of them has reported those.
    with_curve = [t for t in trials if curves.get(t.number)] if spec.evaluations == 1 else []
    runs = [
        Run(
            spec=run_of(spec, Active(number=t.number, config=t.config, budget=t.budget, parent=t.parent, origin=t.origin), 0),
            state=t.state,
            attempt=1,
            result=t.metrics if t.state is RunState.SUCCEEDED else None,
            error={"message": t.reason} if t.reason else None,
            created=t.created,
            started=t.started,
            ended=t.ended,
        )
        for t in with_curve
    ]
    measurements = [
        Measurement(run=t.run(), attempt=1, step=step, metrics={metric: float(value)})
        for t in with_curve
        for step, value in sorted(curves[t.number].items())
    ]
    with opened(home) as db, db.transaction() as tx:
        if tx.studies.by_name(spec.name) is not None or not tx.studies.add(spec):
            raise AlreadyExists(f"there is a study {spec.name!r} already.", where=db.url, hint="Choose another name.")
        tx.runs.add_many([run.spec for run in runs])
        tx.runs.update_many(runs)
        tx.measurements.add_many(measurements)
        tx.trials.put_many(trials)
        tx.studies.set_state(spec.id, StudyState.RUNNING)
        tx.studies.set_state(spec.id, StudyState.FINISHED, reason)
    return load_study(spec.name, store)


# Small things


def _local(time: datetime) -> datetime:
    """As Optuna writes times: where the machine is, without saying so."""
    return time.astimezone().replace(tzinfo=None)


def _aware(time: datetime | None) -> datetime:
    return datetime.now(UTC) if time is None else time.astimezone(UTC)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Optuna says of a new study, and that naming metrics is new."""
    import optuna

    level = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)
