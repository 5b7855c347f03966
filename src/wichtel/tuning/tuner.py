"""`tune`: a study of a function of the user's, from the call to the result."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wichtel.domain import (
    Algorithm,
    Config,
    InvalidInput,
    MetricBound,
    NotFound,
    Resources,
    Run,
    RunState,
    Study,
    StudySpec,
    StudyState,
    SystemFault,
    Trial,
    UserError,
)
from wichtel.tuning import arguments
from wichtel.tuning.arguments import AnyPruner, AnySearcher, AnyTerminator
from wichtel.tuning.function import ENTRY, Function, check_function, send
from wichtel.tuning.guards.retraining import Retrained, carry_out, confirmation_runs, retraining_run
from wichtel.tuning.ports import Problem, Pruner, Searcher, Terminator
from wichtel.tuning.progress import Progress
from wichtel.tuning.progress import check_mode as check_progress
from wichtel.tuning.results.home import KEPT, Home, check_name, id_of
from wichtel.tuning.results.reading import best_of, read_result, transferred
from wichtel.tuning.results.result import StudyResult
from wichtel.tuning.spaces import as_space
from wichtel.tuning.study.log import metrics_in, owner_of
from wichtel.tuning.study.watcher import Watcher
from wichtel.tuning.trackers import Tracker, Trackers

if TYPE_CHECKING:
    from wichtel.fleet import Controller
    from wichtel.store import Database
    from wichtel.tuning.study.loop import StudyLoop

#: Runs kept waiting per worker for searchers that do not learn, and at least: so many that short trials become durable many at a time.
_AHEAD, _AHEAD_AT_LEAST = 8, 64

#: How often a study that runs is looked after.
_LOOK_SECONDS = 1.0

#: How long a thread may compute while others want to.
_SWITCH_SECONDS = 0.0005


def tune(
    function: Function,
    space: Mapping[str, Any],
    *,
    maximize: str | Sequence[str] = (),
    minimize: str | Sequence[str] = (),
    trials: int = 100,
    workers: int = 1,
    searcher: AnySearcher = "auto",
    pruner: AnyPruner = None,
    constraints: str | MetricBound | Sequence[str | MetricBound] = (),
    terminators: AnyTerminator | Sequence[AnyTerminator] = (),
    max_seconds: float | None = None,
    max_cost: float | None = None,
    cost_metric: str = "cost",
    folds: int = 1,
    repeats: int = 1,
    confirm: int = 0,
    warm_start: str | Sequence[str] | None = None,
    meta: Mapping[str, float] | None = None,
    model: Any = None,
    data: Any = None,
    seed: int = 0,
    engine: str = "local",
    name: str | None = None,
    store: str | None = None,
    gpus: float = 0.0,
    timeout_seconds: float | None = None,
    max_failed_share: float = 0.5,
    enqueue: Sequence[Config] = (),
    progress: bool | str | None = None,
    trackers: Sequence[str | Algorithm | Tracker] = (),
) -> StudyResult:
    """Search `space` for the configuration with which `function` does best.

    `function` is called with a configuration's values by name, in a worker process. It may also ask, by a parameter's name, for:

    - ``report``, a `Reporter`: says how it goes, which is what pruners judge by;
    - ``checkpoint_path``, a folder that outlives a crash, and ``resume``: whether an earlier attempt, or the trial that this one goes on
      from, left something there;
    - ``seed``, ``device`` (such as ``"cuda:1"``), ``trial`` (its number);
    - ``budget``: how far to train, for searchers that begin small, such as Hyperband;
    - ``fold`` of ``folds``, and ``repeat``, if it is evaluated several times; ``holdout``: whether this is the last judgement, on data that
      no trial saw (False in trials);
    - ``model`` and ``data``: what is given here under these names.

    It returns the metric, a dict of metrics, ``{"metrics": …, "artifacts": {name: path of a file}}``, or None if it reported its metrics.

    An exception in one trial fails that trial, and the study goes on. The same configuration is not evaluated twice.

    Args:
        function: May be defined anywhere, also in a notebook.
        space: Parameter's name → `Float`, `Int`, `Choice`, `Bool`, `Fixed` or a plain value; or a table of such, for a group.
            Also a ConfigSpace, or Optuna's distributions; see `wichtel.tuning.spaces`.
        maximize: The metric, or metrics, of which larger is better.
        minimize: The metric, or metrics, of which smaller is better. With several objectives, the result is the front of trials than which
            none is better in all.
        trials: How many configurations are evaluated.
        workers: How many evaluations at the same time. With one, the same call gives the same result; with more, so do searchers that do
            not learn.
        searcher: Who proposes: ``"auto"`` chooses for the space, the budget, the workers and the objectives, and says in the result's
            ``explanation`` what and why. Or a registered name, an `Algorithm` for a name with options, a `Searcher`, what makes one from a
            `Problem`, or a sampler of Optuna's.
        pruner: Who stops trials that report and will not come to anything: a registered name, an `Algorithm`, or a `Pruner`.
        constraints: What other metrics have to be, such as ``"latency <= 0.1"``. Trials that break one rank after all that break none.
        terminators: What ends the study early: a registered name, an `Algorithm` or a `Terminator`, or several.
        max_seconds: The study ends when it has run this long, crashes and pauses between included; trials at work are canceled.
        max_cost: No trial is begun when those so far have cost this much.
        cost_metric: The metric that says what an evaluation cost, if there is a `max_cost`; every trial has to give it.
        folds: Each trial is evaluated this many times, once for each ``fold``; its metrics are the means. The evaluations are runs of their
            own, at the same time if there are workers; they are pruned together.
        repeats: Each of these again so many times, with another ``seed``.
        confirm: When the search is over, the winner is evaluated so many times with fresh seeds, and told that this is the ``holdout``.
        warm_start: The name of an earlier study, or several, whose best configurations are tried first; ``"similar"`` looks for the most
            similar ones by `meta` and `space`. Each such trial's ``origin`` says where it comes from.
        meta: Numbers that describe the data set, by which similar studies are found; see `meta_features`.
        model: Given to a function that asks for ``model``: usually a function that makes one.
        data: Given to a function that asks for ``data``: usually a function that makes the data sets.
        seed: Of the search, and of each trial's ``seed``.
        engine: ``"local"`` for worker processes, ``"inline"`` for this thread (one trial at a time; breakpoints work).
        name: A study with a name is kept under ``./.wichtel``. The same call resumes it after a crash; finished trials are not run again.
            One that has ended goes on if it is given more trials, or another `max_seconds`, `max_cost` or `terminators`.
        store: A database to keep it in instead, as ``sqlite:///path`` or ``postgresql://…``.
        gpus: Graphics processors of one evaluation, whose first is its ``device``; with 0.5, two evaluations share one.
        timeout_seconds: Limit on one evaluation.
        max_failed_share: The study is given up when more than this share of its trials (of at least 5) failed; 1 for never.
        enqueue: Configurations to evaluate before the searcher is asked.
        progress: None for a live view on a terminal or in a notebook; True to have lines elsewhere, too; False for silence; or a mode of
            `Progress`.
        trackers: Where the study is mirrored to while it runs: registered names, or `Tracker` objects.

    Raises:
        InvalidInput: something does not fit, said before anything starts; or a study of this `name` searches for
            something else.
        UserError: the study failed: most of its trials did.

    Example:
        >>> import wichtel as wt
        >>> study = wt.tune(lambda x: (x - 2) ** 2, {"x": wt.Float(0, 4)}, minimize="loss", trials=20, engine="inline")
        >>> abs(study.best_config["x"] - 2) < 0.5
        True
    """
    space = as_space(space)
    check_function(function, space, model=model, data=data)
    check_progress(progress)
    chosen, make_searcher = arguments.searcher(searcher)
    pruning, stopper = arguments.pruner(pruner)
    ending, make_terminators = arguments.terminators(terminators)
    check_name(name)
    called = name or f"{getattr(function, '__name__', 'study').strip('<>')}-{uuid.uuid4().hex[:8]}"
    spec = StudySpec(
        id=id_of(called),
        name=called,
        space=space,
        objectives=arguments.objectives(maximize, minimize),
        constraints=arguments.constraints(constraints),
        entry=ENTRY,
        searcher=chosen,
        pruner=pruning,
        terminators=ending,
        trials=trials,
        max_seconds=max_seconds,
        max_cost=max_cost,
        cost_metric=cost_metric,
        workers=1 if engine == "inline" else workers,
        folds=folds,
        repeats=repeats,
        seed=seed,
        meta=dict(meta or {}),
        enqueued=tuple(space.flatten(config) for config in enqueue),
        resources=Resources(gpus=gpus),
        timeout_seconds=timeout_seconds,
        max_failed_share=max_failed_share,
    )
    problem = Problem.of(spec)
    task = _Task(
        spec=spec,
        function=function,
        model=model,
        data=data,
        searcher=make_searcher(problem),
        pruner=stopper,
        terminators=make_terminators(problem),
        engine=engine,
        progress=progress,
        trackers=trackers,
        confirm=confirm,
    )
    if confirm < 0 or (confirm and len(spec.objectives) > 1):
        what = "there is no one winner among several objectives" if confirm > 0 else f"{confirm} is no number of evaluations"
        raise InvalidInput(f"{what}.", where="confirm")
    with ExitStack() as stack:
        if store is not None:
            home = Home(store, KEPT.absolute())
        elif name is not None:
            home = Home.of(name)
            stack.enter_context(home.locked(name))
        else:
            home = Home.temporary()
        result = _run(task, home, stack, warm_start, store)
    if result.study.state is not StudyState.FINISHED:
        raise _failure(result)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What was asked for."""

    spec: StudySpec
    function: Function
    model: Any
    data: Any
    searcher: Searcher
    pruner: Pruner | None
    terminators: list[Terminator]
    engine: str
    progress: bool | str | None
    trackers: Sequence[str | Algorithm | Tracker]
    confirm: int


def _run(task: _Task, home: Home, stack: ExitStack, warm_start: str | Sequence[str] | None, store: str | None) -> StudyResult:
    # Here, so that `import wichtel` does not wait for the database.
    from wichtel.store import Artifacts, Database

    db = Database.open(home.url, upgrade=home.url.startswith("sqlite"))
    stack.callback(db.close)
    with db.read() as tx:
        old = tx.studies.by_name(task.spec.name)
        ended = tx.trials.count(old.spec.id) if old is not None else 0
    spec = task.spec
    if old is not None:
        # What it was started from is decided once.
        spec = replace(spec, enqueued=spec.enqueued if warm_start is None else old.spec.enqueued, origins=old.spec.origins)
        _check_same(old, spec)
    elif warm_start is not None:
        from wichtel.tuning.transfer.earlier import warmed

        spec = warmed(spec, warm_start, store)
    goes_on = old is None or _goes_on(old, spec, ended)
    if goes_on:
        digest = send(task.function, Artifacts(home.artifacts_url), model=task.model, data=task.data)
        spec = replace(spec, payload={"function": digest, "metric": spec.objectives[0].metric})
        with db.transaction() as tx:
            if not tx.studies.add(spec):
                tx.studies.renew(spec)
    elif old is not None:
        spec = old.spec
    explanation = "; ".join(part for part in (getattr(task.searcher, "explanation", ""), transferred(spec)) if part)
    if goes_on or task.confirm:
        controller = stack.enter_context(_fleet(db, home, task.engine, spec.workers))
        if goes_on:
            _carry(replace(task, spec=spec), db, controller, explanation)
        _confirm(db, controller, spec, task.confirm)
    return read_result(db, spec.name, home, explanation)


def retrain(result: StudyResult, trial: Trial, budget: float | None, engine: str) -> Retrained:
    """See `StudyResult.retrain`."""
    from wichtel.store import Database

    home = result.home
    if home is None:
        raise NotFound("it is not kept anywhere.", where=f"study {result.spec.name!r}", hint="Give a study a name to keep it.")
    with ExitStack() as stack:
        if home.folder != KEPT.absolute():
            stack.enter_context(home.locked(result.spec.name))
        db = Database.open(home.url)
        stack.callback(db.close)
        failed = 0
        with db.read() as tx:
            # One that failed is tried again when somebody asks again: the cause may be mended.
            while (run := tx.runs.find(retraining_run(result.spec, trial, budget, failed).id)) and _in_vain(run):
                failed += 1
        controller = stack.enter_context(_fleet(db, home, engine, 1))
        (run,) = carry_out(controller, db, [retraining_run(result.spec, trial, budget, failed)])
    if run.state is not RunState.SUCCEEDED:
        error = run.error or {}
        raise UserError(
            f"the training failed: {error.get('message', run.state)}", where=f"trial {trial.number}", hint=error.get("traceback")
        )
    value = run.result if isinstance(run.result, dict) else {}
    metrics = metrics_in(run.result, result.spec.objectives[0].metric)
    return Retrained(trial=trial.number, budget=budget, metrics=metrics, artifacts=value.get("artifacts") or {})


def _in_vain(run: Run) -> bool:
    return run.state.ended and run.state is not RunState.SUCCEEDED


def _confirm(db: Database, controller: Controller, spec: StudySpec, times: int) -> None:
    """Evaluate the winner anew, unless that was done."""
    with db.read() as tx:
        ended = tx.studies.get(spec.id).state is StudyState.FINISHED
        best = best_of(spec, tx.trials.of_study(spec.id)) if ended and times else None
    if best is not None:
        carry_out(controller, db, confirmation_runs(spec, best, times))


@contextmanager
def _fleet(db: Database, home: Home, engine: str, workers: int) -> Iterator[Controller]:
    """A controller of this home's runs."""
    from wichtel.fleet import Controller, FleetSettings, open_engine

    options: dict[str, Any] = {} if engine == "inline" else {"workers": workers}
    if engine == "local":
        # What a function is called with, and what reads one that was sent.
        options["preload"] = [ENTRY.partition(":")[0], "wichtel.store.artifacts", "cloudpickle"]
    settings = FleetSettings(state_dir=home.state_dir)
    with Controller(db, open_engine(engine, **options), home.artifacts_url, settings) as controller:
        if not controller.leading:
            raise InvalidInput("another process carries out the runs of this store.", where=db.url, hint="Use another store, or none.")
        yield controller


def _carry(task: _Task, db: Database, controller: Controller, explanation: str) -> None:
    from wichtel.tuning.study.host import StudyHost

    spec = task.spec
    with db.read() as tx:
        resumed = tx.studies.get(spec.id).started is not None
    shown = Progress(spec, task.progress, explanation)
    mirror = Trackers(task.trackers, spec, resumed=resumed)
    with ExitStack() as stack:
        stack.enter_context(shown)
        stack.enter_context(mirror)
        host = StudyHost(db, controller)
        # Before these two end: nothing more comes to them then.
        stack.callback(host.stop)
        loop = host.carry(
            spec,
            searcher=task.searcher,
            pruner=task.pruner,
            terminators=task.terminators,
            ahead=max(_AHEAD_AT_LEAST, _AHEAD * spec.workers),
            watcher=_watcher(shown, mirror),
        )
        _wait(controller, loop)
        host.flush()
        with db.read() as tx:
            study = tx.studies.get(spec.id)
        shown.finished(study.state, study.reason)
        mirror.finished(study.state, study.reason)


@contextmanager
def _nimble() -> Iterator[None]:
    """While here, a thread that computes lets others in sooner: the controller must not wait 5 ms each time for a searcher that thinks."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _watcher(shown: Progress, mirror: Trackers) -> Watcher:
    def on_resume(trials: Sequence[Trial]) -> None:
        shown.resume(trials)
        mirror.resume(trials)

    def on_begin(number: int, config: Config) -> None:
        shown.begun(number, config)
        mirror.begun(number, config)

    def on_measurement(number: int, step: int, metrics: Mapping[str, float]) -> None:
        shown.measured(number, step, metrics)
        mirror.measured(number, step, metrics)

    def on_trial(trial: Trial) -> None:
        shown(trial)
        mirror(trial)

    return Watcher(on_resume=on_resume, on_begin=on_begin, on_measurement=on_measurement, on_trial=on_trial)


def _wait(controller: Controller, loop: StudyLoop) -> None:
    """Wait for the end of a study.

    Raises:
        SystemFault: a fault of ours: nobody carries it on any more.
    """
    while not controller.serve(loop.done, _LOOK_SECONDS):
        heard = controller.alive and controller.attached(owner_of(loop.spec.id))
        if not heard and not loop.done.is_set():
            hint = "The log says why. The same call goes on with it, if it has a name."
            raise SystemFault("nobody carries it on any more.", where=f"study {loop.spec.name!r}", hint=hint)


#: What makes a study the one that it is.
_SAME = ("objectives", "constraints", "seed", "searcher", "enqueued", "folds", "repeats")
#: What may end a study before it has all its trials.
_LIMITS = ("max_seconds", "max_cost", "cost_metric", "terminators")


def _check_same(old: Study, new: StudySpec) -> None:
    """A study is resumed only as what it is. More trials, other limits, other workers and a mended function are welcome."""
    for field in _SAME:
        before, now = getattr(old.spec, field), getattr(new, field)
        if before != now:
            difference = f"its {field} is {before!r}, not {now!r}"
            break
    else:
        if old.spec.space.to_json() == new.space.to_json():
            return
        difference = "it searches another space"
    raise InvalidInput(f"{difference}.", where=f"study {old.spec.name!r}", hint="Choose another name for another search.")


def _goes_on(old: Study, new: StudySpec, ended: int) -> bool:
    """Whether there is anything to do for a study that is there."""
    if not old.state.ended:
        return True
    wider = new.trials > old.spec.trials or any(getattr(old.spec, limit) != getattr(new, limit) for limit in _LIMITS)
    return wider and ended < new.trials


def _failure(result: StudyResult) -> UserError:
    traces = [t.reason.partition("\n")[2] for t in result.trials if "\n" in t.reason]
    hint = f"The last failure:\n{traces[-1]}" if traces else None
    return UserError(
        f"the study ended as {result.study.state}: {result.study.reason}.", where=f"study {result.study.spec.name!r}", hint=hint
    )
