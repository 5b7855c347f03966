"""`wichtel studies`: those that are kept here under their names, and those of a service."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wichtel.cli.command import Here, command, group
from wichtel.cli.output import duration

if TYPE_CHECKING:
    from wichtel.client import Client
    from wichtel.domain import Study
    from wichtel.tuning import StudyResult

app = group("Studies: searches and their trials; those kept under ./.wichtel by name, and a service's by name or id.")

STORE = typer.Option(help="The database that it is kept in, if `tune` was given one.")
TO = typer.Option("--to", help="The file: .csv, .json, .parquet, or .log for a journal of Optuna; standard output, as CSV, by default.")
TRACKER = typer.Option("--tracker", help="As in `wichtel tune`; may be given again.")


@command(app, "list")
def list_(
    here: Here,
    state: Annotated[str | None, typer.Option(help="PENDING, RUNNING, FINISHED, FAILED, CANCELED.")] = None,
    name: Annotated[str | None, typer.Option(help="Part of the study's name.")] = None,
) -> None:
    """Studies, the newest first: those kept here, and those of the service if there is one."""
    from wichtel.cli.choices import one_of
    from wichtel.domain import NotFound, StudyState
    from wichtel.store import codec
    from wichtel.tuning.results.kept import kept_studies, kept_study

    wanted = one_of(StudyState, state, "--state")
    found: list[tuple[str, Study, int]] = []
    for one in kept_studies() if here.url is None else ():
        # One that is just being made has no row yet.
        with suppress(NotFound):
            kept = kept_study(one)
            if wanted not in (None, kept.study.state) or (name or "").lower() not in kept.study.spec.name.lower():
                continue
            found.append(("here" if kept.process is None else f"here, process {kept.process}", kept.study, kept.trials))
    with _service(here) as client:
        if client is not None:
            found += [("service", s, s.spec.trials) for s in client.studies.list(state=wanted, name=name)]
    found.sort(key=lambda row: row[1].created, reverse=True)
    here.out.table(
        [{"where": where.partition(",")[0], **codec.to_plain(s)} for where, s, _ in found],
        ["where", "study", "state", "objectives", "trials", "searcher", "took", "reason"],
        (
            (
                where,
                s.spec.name if where != "service" else s.spec.id,
                s.state,
                [o.metric for o in s.spec.objectives],
                trials if where == "service" else f"{trials}/{s.spec.trials}",
                s.spec.searcher.name,
                duration(s.started, s.ended),
                s.reason,
            )
            for where, s, trials in found
        ),
    )


@command(app, "add")
def add(
    here: Here,
    file: Annotated[Path, typer.Argument(help="TOML or JSON: name, space, objectives, entry, and what else a study has.")],
) -> None:
    """Submit a study to the service, whose workers must be able to import its entry."""
    import uuid

    from wichtel.cli.files import read_table
    from wichtel.domain import InvalidInput, StudySpec
    from wichtel.store import codec

    try:
        spec = codec.from_plain({"id": f"s-{uuid.uuid4().hex[:12]}", **read_table(file)}, StudySpec)
    except InvalidInput as error:
        raise InvalidInput(error.message, where=f"{file}, {error.where}" if error.where else str(file), hint=error.hint) from None
    with here.client() as client:
        s = client.studies.add(spec)
    here.out.fields(s, [("study", s.spec.id), ("name", s.spec.name), ("state", s.state)])


@command(app, "show")
def show(
    here: Here,
    study: str,
    best: Annotated[int | None, typer.Option(min=1, help="Only so many, the best first.")] = None,
    store: Annotated[str | None, STORE] = None,
) -> None:
    """A study with its trials."""
    result = _result(here, study, store)
    trials = result.trials if best is None else result.leaders(best)
    s = result.study
    if not here.json:
        here.out.say(f"{s.spec.name} ({s.spec.id}): {s.state}. {s.reason}".rstrip())
    here.out.table(
        {"study": s, "trials": trials},
        ["trial", "state", "configuration", "metrics", "reason"],
        ((t.number, t.state, t.config, t.metrics, t.reason.partition("\n")[0]) for t in trials),
    )


@command(app, "resume")
def resume(
    here: Here,
    study: str,
    trials: Annotated[int | None, typer.Option(min=1, help="So many in all; more go on with a study that has ended.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="So many at once.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="A new limit.")] = None,
    confirm: Annotated[int, typer.Option(min=0, help="Evaluate the winner so often again, on held-out data.")] = 0,
    engine: Annotated[str, typer.Option(help="local, or inline for this process.")] = "local",
    store: Annotated[str | None, STORE] = None,
    tracker: Annotated[list[str] | None, TRACKER] = None,
    progress: Annotated[str | None, typer.Option(help="live, bar, lines, json or quiet.")] = None,
) -> None:
    """Go on with a study that is kept here, with the function that is kept with it."""
    from wichtel.cli.algorithms import algorithm
    from wichtel.cli.tune import interruptible, progress_of
    from wichtel.cli.tune import show as show_result
    from wichtel.tuning.results.kept import resume_study

    _only_here(here)
    result = interruptible(
        here,
        study,
        store,
        lambda: resume_study(
            study,
            store,
            trials=trials,
            workers=workers,
            max_seconds=max_seconds,
            confirm=confirm,
            engine=engine,
            progress=progress_of(here, progress),
            trackers=[algorithm(text, "--tracker") for text in tracker or ()],
        ),
    )
    show_result(here, result, quiet=progress == "json")


@command(app, "stop")
def stop(here: Here, study: str) -> None:
    """Stop a study that runs on this machine; `wichtel studies resume` goes on with it."""
    from wichtel.tuning.results.kept import stop_study

    _only_here(here)
    s = stop_study(study)
    here.out.fields(s, [("study", s.spec.name), ("state", s.state), ("to go on", f"wichtel studies resume {study}")])


@command(app, "cancel")
def cancel(here: Here, study: str) -> None:
    """End a study now, with its runs."""
    if _is_here(here, study):
        from wichtel.tuning.results.kept import cancel_study

        s = cancel_study(study)
    else:
        with here.client() as client:
            s = client.studies.cancel(study)
    here.out.fields(s, [("study", s.spec.id), ("state", s.state), ("reason", s.reason)])


@command(app, "export")
def export(
    here: Here,
    study: str,
    to: Annotated[Path | None, TO] = None,
    store: Annotated[str | None, STORE] = None,
) -> None:
    """A study's trials for other programs."""
    from wichtel.domain import InvalidInput

    writers = {".csv": _csv, ".json": _json, ".parquet": _parquet, ".log": _journal}
    if to is not None and to.suffix not in writers:
        raise InvalidInput(
            f"there is no way to write {to.suffix or 'a file without a suffix'}.", where="--to", hint=", ".join(writers) + "."
        )
    if to is not None and to.exists():
        raise InvalidInput("it is there already.", where=str(to), hint="Choose another name.")
    result = _result(here, study, store)
    if to is None:
        here.out.text(_table(result), study=result.study, trials=result.trials)
        return
    try:
        writers[to.suffix](result, to)
    except OSError as error:
        raise InvalidInput(f"it cannot be written: {error.strerror}.", where=str(to)) from None
    here.out.fields({"file": str(to), "trials": len(result.trials)}, [("file", to), ("trials", len(result.trials))])


@command(app, "report")
def report(
    here: Here,
    study: str,
    to: Annotated[Path | None, typer.Option("--to", help="The file; <study>.html by default.")] = None,
    store: Annotated[str | None, STORE] = None,
) -> None:
    """A study as one HTML file with pictures."""
    result = _result(here, study, store)
    path = result.report(to or Path(f"{study.replace('/', '-')}.html"))
    here.out.fields({"file": str(path)}, [("file", path)])


# Where studies are


def _is_here(here: Here, study: str) -> bool:
    from wichtel.tuning.results.kept import kept_studies

    return here.url is None and study in kept_studies()


def _only_here(here: Here) -> None:
    from wichtel.domain import InvalidInput

    if here.url is not None:
        hint = "A service carries on its studies by itself; `wichtel studies cancel` ends one."
        raise InvalidInput("this is about studies of this machine.", where="--url", hint=hint)


@contextmanager
def _service(here: Here) -> Iterator[Client | None]:
    """The service, if one was named or serves the home."""
    from wichtel.server.home import serving

    settings = here.settings()
    named = any(s.name == "url" and s.origin != "default" for s in settings.describe())
    if not (named or here.local or serving(settings.home) is not None):
        yield None
        return
    with here.client() as client:
        yield client


def _result(here: Here, study: str, store: str | None) -> StudyResult:
    """A study that is kept here, or else the service's.

    Raises:
        NotFound: there is none of that name.
    """
    from wichtel.tuning import StudyResult
    from wichtel.tuning.results.kept import load_study

    if store is not None or _is_here(here, study):
        return load_study(study, store)
    with _service(here) as client:
        if client is not None:
            found = client.studies.get(study)
            return StudyResult(study=found, trials=client.studies.trials(found.spec.id))
    return load_study(study)


# Writing


def _table(result: StudyResult) -> str:
    rows = result.rows()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _csv(result: StudyResult, path: Path) -> None:
    path.write_text(_table(result), encoding="utf-8")


def _json(result: StudyResult, path: Path) -> None:
    from wichtel.store import codec

    found: dict[str, Any] = {"study": result.study, "trials": result.trials}
    path.write_text(json.dumps(codec.to_plain(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _parquet(result: StudyResult, path: Path) -> None:
    from wichtel.domain import UserError

    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise UserError("Parquet needs pyarrow.", where="--to", hint="Install pyarrow, or export to .csv.") from error
    rows = result.rows()
    columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for row in rows for name in row}
    for name, values in columns.items():
        kinds = {type(value) for value in values if value is not None}
        # The options of a choice may be of several types, which a column is not.
        if len(kinds) > 1:
            convert = float if kinds == {int, float} else str
            columns[name] = [value if value is None else convert(value) for value in values]
    pyarrow.parquet.write_table(pa.table(columns), path)


def _journal(result: StudyResult, path: Path) -> None:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    result.to_optuna(JournalStorage(JournalFileBackend(str(path))))
