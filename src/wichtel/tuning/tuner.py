"""`tune`: a study of a function of the user's, from the call to the result."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wichtel.domain import (
    Algorithm,
    Config,
    Expectation,
    InvalidInput,
    Objective,
    Parameter,
    Space,
    Study,
    StudySpec,
    StudyState,
    UserError,
)
from wichtel.tuning.function import ENTRY, Function, check_function, send
from wichtel.tuning.ports import Problem, Pruner, Searcher
from wichtel.tuning.progress import Progress
from wichtel.tuning.registry import make_pruner, make_searcher
from wichtel.tuning.result import StudyResult

#: Runs kept waiting per worker for searchers that do not learn.
_AHEAD = 8

AnySearcher = str | Algorithm | Searcher | Callable[[Problem], Searcher]
AnyPruner = str | Algorithm | Pruner | None


def tune(
    function: Function,
    space: Mapping[str, Parameter],
    *,
    maximize: str | None = None,
    minimize: str | None = None,
    trials: int = 100,
    workers: int = 1,
    searcher: AnySearcher = "tpe",
    pruner: AnyPruner = None,
    seed: int = 0,
    engine: str = "local",
    name: str | None = None,
    store: str | None = None,
    timeout_seconds: float | None = None,
    enqueue: Sequence[Config] = (),
    progress: bool | None = None,
) -> StudyResult:
    """Search `space` for the configuration with which `function` does best.

    `function` is called with a configuration's values by name, in a worker process. It may also ask, by a parameter's name, for ``report``
    (a `Reporter`), ``seed``, ``checkpoint_path``, ``resume`` and ``trial`` (its number). It returns the metric, or a dict of metrics, or
    None if it reported them.

    An exception in one trial fails that trial, and the study goes on. The same configuration is not evaluated twice.

    Args:
        function: May be defined anywhere, also in a notebook.
        space: Parameter's name → `Float`, `Int`, `Choice`, `Bool` or `Fixed`.
        maximize: The metric, if larger is better. Either this or `minimize`.
        minimize: The metric, if smaller is better.
        trials: How many configurations are evaluated.
        workers: How many at the same time. With one, the same call gives the same result; with more, so do searchers that do not learn.
        searcher: Who proposes: ``"random"``, ``"grid"``, ``"tpe"``, ``"cmaes"``, one that a plug-in registered, an `Algorithm` with
            options, a `Searcher`, or what makes one from a `Problem`.
        pruner: Who stops trials that report and will not come to anything: ``"median"``, ``"asha"``, a plug-in's, an `Algorithm` with
            options, or a `Pruner`.
        seed: Of the search, and of each trial's ``seed``.
        engine: ``"local"`` for worker processes, ``"inline"`` for this thread (one trial at a time; breakpoints work).
        name: A study with a name is kept under ``./.wichtel``. The same call resumes it after a crash; finished trials are not run again.
        store: A database to keep it in instead, as ``sqlite:///path`` or ``postgresql://…``.
        timeout_seconds: Limit on one trial.
        enqueue: Configurations to evaluate before the searcher is asked.
        progress: None for a live line on a terminal; True for a line per trial elsewhere, too; False for silence.

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
    space = Space(space)
    check_function(function, space)
    chosen, made = _choose_searcher(searcher)
    pruning, stopper = _choose_pruner(pruner)
    own = f"{getattr(function, '__name__', 'study').strip('<>')}-{uuid.uuid4().hex[:8]}"
    spec = StudySpec(
        id=name or own,
        name=name or own,
        space=space,
        objectives=(_objective(maximize, minimize),),
        entry=ENTRY,
        searcher=chosen,
        pruner=pruning,
        trials=trials,
        workers=1 if engine == "inline" else workers,
        seed=seed,
        enqueued=tuple(dict(config) for config in enqueue),
        timeout_seconds=timeout_seconds,
    )
    problem = Problem.of(spec)
    proposer = make_searcher(chosen, problem) if made is None else made(problem)
    if pruning is not None and stopper is None:
        stopper = make_pruner(pruning)
    with ExitStack() as stack:
        home = stack.enter_context(_home(name, store))
        result = _run(function, spec, proposer, stopper, engine, home, progress, stack)
    if result.study.state is not StudyState.FINISHED:
        raise _failure(result)
    return result


@dataclass(frozen=True, slots=True)
class _Home:
    """Where a study lives."""

    url: str
    folder: Path


def _run(
    function: Function,
    spec: StudySpec,
    searcher: Searcher,
    pruner: Pruner | None,
    engine: str,
    home: _Home,
    progress: bool | None,
    stack: ExitStack,
) -> StudyResult:
    # Here, so that `import wichtel` does not wait for the database.
    from wichtel.fleet import Controller, FleetSettings, open_engine
    from wichtel.store import Artifacts, Database
    from wichtel.tuning.host import StudyHost

    db = Database.open(home.url, upgrade=home.url.startswith("sqlite"))
    stack.callback(db.close)
    with db.read() as tx:
        old = tx.studies.by_name(spec.name)
    if old is not None:
        _check_same(old, spec)
    if old is None or not old.state.ended:
        artifacts_url = str(home.folder / "artifacts")
        digest = send(function, Artifacts(artifacts_url))
        spec = replace(spec, payload={"function": digest, "metric": spec.objectives[0].metric})
        with db.transaction() as tx:
            tx.studies.add(spec)
        options = {} if engine == "inline" else {"workers": spec.workers}
        controller = Controller(db, open_engine(engine, **options), artifacts_url, FleetSettings(state_dir=home.folder / "fleet"))
        stack.callback(controller.stop)
        controller.start()
        if not controller.leading:
            hint = "Use another store, or none."
            raise InvalidInput("another process carries out the runs of this store.", where=db.url, hint=hint)
        host = StudyHost(db, controller)
        stack.callback(host.stop)
        with Progress(spec, progress) as shown:
            with db.read() as tx:
                shown.resume(tx.trials.of_study(spec.id))
            ahead = _AHEAD * spec.workers
            loop = host.carry(spec, searcher=searcher, pruner=pruner, ahead=ahead, on_trial=shown)
            controller.serve(loop.done)
        host.flush()
    with db.read() as tx:
        study = tx.studies.by_name(spec.name)
        assert study is not None
        return StudyResult(study=study, trials=tx.trials.of_study(study.spec.id))


@contextmanager
def _home(name: str | None, store: str | None) -> Iterator[_Home]:
    folder = Path(".wichtel").absolute()
    if store is not None:
        yield _Home(store, folder)
    elif name is None:
        folder = Path(tempfile.mkdtemp(prefix="wichtel-"))
        try:
            yield _Home(f"sqlite:///{folder / 'study.db'}", folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    else:
        # A database of its own: its controller leads whatever else is served or tuned beside it.
        folder = folder / "studies" / quote(name, safe="")
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                # The system gives it back however the process ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InvalidInput(
                    f"another process is running the study {name!r}.", where=str(folder), hint="Wait for it, or choose another name."
                ) from error
            yield _Home(f"sqlite:///{folder / 'study.db'}", folder)


def _check_same(old: Study, new: StudySpec) -> None:
    """A study is resumed only as what it is. While it has not ended, more trials, other workers and a mended function are welcome."""
    for field in ("objectives", "seed", "searcher", "enqueued"):
        before, now = getattr(old.spec, field), getattr(new, field)
        if before != now:
            raise _other(old, f"its {field} is {before!r}, not {now!r}")
    if old.spec.space.to_json() != new.space.to_json():
        raise _other(old, "it searches another space")
    if old.state.ended and new.trials > old.spec.trials:
        raise _other(old, f"it has ended with {old.spec.trials} trials, and cannot be given {new.trials}")


def _other(old: Study, difference: str) -> InvalidInput:
    return InvalidInput(f"{difference}.", where=f"study {old.spec.name!r}", hint="Choose another name for another search.")


def _objective(maximize: str | None, minimize: str | None) -> Objective:
    if (maximize is None) == (minimize is None):
        raise InvalidInput("say what is better: maximize=… or minimize=… with the metric's name, one of the two.", where="tune")
    if maximize is not None:
        return Objective(metric=maximize, better=Expectation.LARGER)
    return Objective(metric=str(minimize), better=Expectation.SMALLER)


def _choose_searcher(given: AnySearcher) -> tuple[Algorithm, Callable[[Problem], Searcher] | None]:
    if isinstance(given, str):
        return Algorithm(name=given), None
    if isinstance(given, Algorithm):
        return given, None
    if isinstance(given, Searcher) and not isinstance(given, type):
        return Algorithm(name=_called(given)), lambda _: given
    if callable(given):
        return Algorithm(name=_called(given)), partial(_made, given)
    raise InvalidInput(f"{given!r} is no searcher.", where="tune", hint="It needs sample(n) and update(results).")


def _made(factory: Callable[[Problem], Searcher], problem: Problem) -> Searcher:
    searcher = factory(problem)
    if not isinstance(searcher, Searcher):
        raise InvalidInput(f"{searcher!r} is no searcher.", where="tune", hint="It needs sample(n) and update(results).")
    return searcher


def _choose_pruner(given: AnyPruner) -> tuple[Algorithm | None, Pruner | None]:
    if given is None or isinstance(given, Algorithm):
        return given, None
    if isinstance(given, str):
        return Algorithm(name=given), None
    if isinstance(given, Pruner) and not isinstance(given, type):
        return Algorithm(name=_called(given)), given
    raise InvalidInput(f"{given!r} is no pruner.", where="tune", hint="It needs decide(curves, trial); pass an instance.")


def _called(thing: Any) -> str:
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"


def _failure(result: StudyResult) -> UserError:
    traces = [t.reason.partition("\n")[2] for t in result.trials if "\n" in t.reason]
    hint = f"The last failure:\n{traces[-1]}" if traces else None
    return UserError(
        f"the study ended as {result.study.state}: {result.study.reason}.", where=f"study {result.study.spec.name!r}", hint=hint
    )
