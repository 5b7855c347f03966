"""Studies that are kept under their names, and who runs them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from wichtel.domain import (
    Algorithm,
    Expectation,
    IllegalTransition,
    InvalidInput,
    NotFound,
    Study,
    StudyState,
    SystemFault,
    did_you_mean,
)
from wichtel.store import Database
from wichtel.tuning.results.home import KEPT, Home, folder_of, url_in
from wichtel.tuning.results.reading import read_result
from wichtel.tuning.results.result import StudyResult
from wichtel.tuning.trackers import Tracker


def kept_studies() -> list[str]:
    """The names of the studies under ``./.wichtel``, the one that was changed last first."""
    folder = KEPT.absolute() / "studies"
    found = [place for place in folder.iterdir() if (place / "study.db").exists()] if folder.is_dir() else []
    found.sort(key=lambda place: (-_changed(place), place.name))
    return [unquote(place.name) for place in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A study that is kept under its name."""

    study: Study
    #: How many of its trials have ended.
    trials: int
    #: The process on this machine that runs it, if one does.
    process: int | None


def kept_study(name: str) -> Kept:
    """How a study stands, without its trials.

    Raises:
        NotFound: there is no study of that name.
    """
    home = home_of(name)
    with opened(home) as db, db.read() as tx:
        study = tx.studies.by_name(name)
        if study is None:
            raise NotFound("there is no study in it.", where=str(home.folder))
        return Kept(study=study, trials=tx.trials.count(study.spec.id), process=runner_of(home))


def load_study(name: str, store: str | None = None) -> StudyResult:
    """A study that was given a name, as far as it has come; it may be running.

    Args:
        name: What `tune` was given.
        store: The database that `tune` was given, if it was given one.

    Raises:
        NotFound: there is no study of that name.
    """
    home = home_of(name, store)
    with opened(home) as db:
        return read_result(db, name, home)


def resume_study(
    name: str,
    store: str | None = None,
    *,
    trials: int | None = None,
    workers: int | None = None,
    max_seconds: float | None = None,
    confirm: int = 0,
    engine: str = "local",
    progress: str | bool | None = None,
    trackers: Sequence[str | Algorithm | Tracker] = (),
) -> StudyResult:
    """Go on with a kept study as it was begun: with the function that is kept with it, unless that has changed on the disk since.

    Args:
        name: What `tune` was given.
        store: Likewise.
        trials: So many in all; as many as before by default. More go on with a study that has ended.
        workers: So many at once; as before by default.
        max_seconds: A new limit; as before by default.
        confirm: As in `tune`.
        engine: As in `tune`.
        progress: As in `tune`.
        trackers: As in `tune`; which there were is not kept.

    Raises:
        NotFound: there is no study of that name.
        UserError: its function cannot be loaded any more, its searcher was an object, or it was not begun by `tune`.
    """
    from wichtel.tuning.function import ENTRY, fetch
    from wichtel.tuning.tuner import tune

    found = load_study(name, store)
    spec = found.spec
    if spec.entry != ENTRY or "function" not in spec.payload or found.home is None:
        raise InvalidInput("its function is not kept with it.", where=f"study {name!r}", hint="Call tune with the function and this name.")
    sent = fetch(spec.payload["function"], found.home.artifacts)
    return tune(
        sent.function,
        spec.space,
        maximize=[o.metric for o in spec.objectives if o.better is Expectation.LARGER],
        minimize=[o.metric for o in spec.objectives if o.better is Expectation.SMALLER],
        trials=trials or spec.trials,
        workers=workers or spec.workers,
        searcher=spec.searcher,
        pruner=spec.pruner,
        constraints=spec.constraints,
        terminators=spec.terminators,
        max_seconds=max_seconds or spec.max_seconds,
        max_cost=spec.max_cost,
        cost_metric=spec.cost_metric,
        folds=spec.folds,
        repeats=spec.repeats,
        confirm=confirm,
        meta=spec.meta,
        model=sent.model,
        data=sent.data,
        seed=spec.seed,
        engine=engine,
        name=name,
        store=store,
        gpus=spec.resources.gpus,
        timeout_seconds=spec.timeout_seconds,
        max_failed_share=spec.max_failed_share,
        enqueue=spec.enqueued,
        progress=progress,
        trackers=trackers,
    )


def stop_study(name: str, *, seconds: float = 30.0) -> Study:
    """Have the process that runs a kept study stop, as ctrl-C would: trials at work are given up, and the study can be resumed.

    Args:
        name: What `tune` was given.
        seconds: How long to wait for it.

    Raises:
        NotFound: there is no study of that name.
        IllegalTransition: nobody runs it on this machine.
        SystemFault: it does not stop in time.
    """
    home = home_of(name)
    process = runner_of(home)
    if process is None:
        raise IllegalTransition("nobody runs it.", where=f"study {name!r}", hint="A study that runs elsewhere is stopped there.")
    os.kill(process, signal.SIGINT)
    deadline = time.monotonic() + seconds
    while runner_of(home) == process:
        if time.monotonic() > deadline:
            raise SystemFault(f"process {process} has not stopped after {seconds:g} s.", where=f"study {name!r}")
        time.sleep(0.05)
    return load_study(name).study


def cancel_study(name: str) -> Study:
    """End a kept study before its time: what runs is stopped, and its state is CANCELED.

    Raises:
        NotFound: there is no study of that name.
        IllegalTransition: it has ended.
    """
    home = home_of(name)
    if runner_of(home) is not None:
        stop_study(name)
    with home.locked(name), opened(home) as db, db.transaction() as tx:
        study = tx.studies.by_name(name)
        if study is None or study.state.ended:
            raise IllegalTransition("it has ended.", where=f"study {name!r}")
        tx.studies.set_state(study.spec.id, StudyState.CANCELED, "it was canceled")
    return load_study(name).study


def home_of(name: str, store: str | None = None) -> Home:
    """Where a study of that name is kept.

    Raises:
        NotFound: there is no such place.
    """
    if store is not None:
        return Home(store, KEPT.absolute())
    folder = folder_of(name)
    if not (folder / "study.db").exists():
        raise NotFound(f"there is no study {name!r}.", where=str(folder.parent), hint=did_you_mean(name, kept_studies()))
    return Home(url_in(folder), folder)


@contextmanager
def opened(home: Home) -> Iterator[Database]:
    """The database of a home."""
    db = Database.open(home.url, upgrade=home.url.startswith("sqlite"))
    try:
        yield db
    finally:
        db.close()


def runner_of(home: Home) -> int | None:
    """The process on this machine that runs the study of this home; None if none does."""
    import fcntl

    # It may hold the lock and not have said its number yet.
    with suppress(OSError, ValueError, IndexError), (home.folder / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return int(lock.read().split()[0])
    return None


def _changed(place: Path) -> float:
    files = [place / "study.db-wal", place / "study.db"]
    return max(file.stat().st_mtime for file in files if file.exists())
