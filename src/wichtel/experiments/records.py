"""Finished experiments as rows of a table: what an export holds, and what the usage of the system is computed from."""

from __future__ import annotations

import builtins
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from wichtel.domain import Experiment, InvalidInput, NotFound
from wichtel.experiments.principal import Principal
from wichtel.protocols import protocols
from wichtel.protocols.submission import TRAIN
from wichtel.store import Database, Export, Files, Transaction, codec
from wichtel.store.exports import Ending

if TYPE_CHECKING:
    import polars as pl

Format = Literal["parquet", "csv"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One finished experiment. What has no fixed set of names is JSON."""

    id: str
    registration: str
    model: str
    target: str
    protocol: str
    #: The protocol's: basic, tuning and so on; empty if it is no longer installed.
    kind: str
    intent: str
    #: The metric that the intent is about.
    metric: str
    owner: str
    team: str
    status: str
    cause: str
    #: Of one that failed; empty otherwise.
    failure_category: str
    failure_step: str
    created: datetime
    started: datetime | None
    #: When the first step of its workflow began.
    began: datetime | None
    finished: datetime
    generation: int
    models_trained: int
    baseline: str
    candidate: str
    study: str
    #: JSON: the protocol's parameters; all of the configuration.
    parameters: str
    config: str
    #: JSON: metric → candidate minus baseline; and both.
    deltas: str
    baseline_metrics: str
    candidate_metrics: str


#: What is known of an experiment without its configuration and result, which are much longer.
_OUTLINE = ("id", "owner", "team", "protocol", "kind", "status", "created", "started", "began", "finished", "models_trained")


def records_of(tx: Transaction, ended: Sequence[Experiment]) -> list[Record]:
    """The rows of `ended`, all of them finished."""
    counted = tx.exports.models_trained({e.id: e.generation for e in ended if e.result is None}, TRAIN)
    kinds = {name: protocol.kind for name, protocol in protocols().items()}
    return [_record(e, counted.get(e.id, 0), kinds.get(e.protocol, "")) for e in ended]


def _record(experiment: Experiment, trained: int, kind: str) -> Record:
    e, result = experiment, experiment.result
    assert e.finished is not None, "only what is finished is exported"
    baseline = result.baseline_metrics if result else {}
    candidate = result.candidate_metrics if result else {}
    return Record(
        id=e.id,
        registration=e.registration,
        model=e.model,
        target=e.target,
        protocol=e.protocol,
        kind=kind,
        intent=e.config.intent.name,
        metric=e.config.intent.primary,
        owner=e.owner,
        team=e.quota_group,
        status=str(e.status),
        cause=e.cause,
        failure_category=e.failure.category if e.failure else "",
        failure_step=e.failure.step if e.failure else "",
        created=e.created,
        started=e.started,
        began=e.began,
        finished=e.finished,
        generation=e.generation,
        models_trained=result.models_trained if result else trained,
        baseline=result.baseline if result else "",
        candidate=result.candidate if result else "",
        study=result.study if result else "",
        parameters=codec.encode(e.config.parameters).decode(),
        config=codec.encode(e.config).decode(),
        deltas=codec.encode({name: candidate[name] - baseline[name] for name in sorted(candidate.keys() & baseline.keys())}).decode(),
        baseline_metrics=codec.encode(baseline).decode(),
        candidate_metrics=codec.encode(candidate).decode(),
    )


@cache
def _schema() -> dict[str, Any]:
    import polars as pl

    kinds = {"str": pl.String, "int": pl.Int64, "datetime": pl.Datetime("us", "UTC")}
    return {field.name: kinds[str(field.type).partition(" |")[0]] for field in fields(Record)}


def frame_of(records: Iterable[Record]) -> pl.DataFrame:
    """`records` as a table."""
    import polars as pl

    schema = _schema()
    return pl.DataFrame([[getattr(r, name) for name in schema] for r in records], schema=schema, orient="row")


def parquet_of(frame: pl.DataFrame) -> bytes:
    """`frame` as a Parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def file_name(number: int, day: str) -> str:
    """Where the file of an export's day lies: the same name whenever it is written."""
    return f"experiments/day={day}/export-{number:06d}.parquet"


class Exports:
    """What was exported, and everything that has finished, exported or not.

    Args:
        db: Where experiments live.
        files: Where exports are written.
    """

    def __init__(self, db: Database, files: Files) -> None:
        self._db = db
        self._files = files

    def list(self, principal: Principal) -> list[Export]:
        """The exports that are complete, by number.

        Raises:
            NotPermitted: the principal may not read.
        """
        principal.permit("read")
        with self._db.read() as tx:
            return [export for export in tx.exports.list() if export.written is not None]

    def file(self, number: int, day: str, principal: Principal) -> bytes:
        """One file of an export, Parquet.

        Raises:
            NotFound: there is no such export, or it has no file of that day.
            NotPermitted: the principal may not read.
        """
        principal.permit("read")
        with self._db.read() as tx:
            export = tx.exports.get(number)
        if export.written is None or day not in export.files:
            raise NotFound(f"export {number} has no file of {day!r}.", hint=f"It has: {', '.join(sorted(export.files)) or 'none yet'}.")
        return self._files.get(file_name(number, day))

    def records(
        self,
        principal: Principal,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        team: str | None = None,
        format: Format = "parquet",  # noqa: A002
    ) -> bytes:
        """Every experiment that finished in a span of time, as one file."""
        principal.permit("read")
        frame = self.frame(since=since, before=before, team=team)
        return parquet_of(frame) if format == "parquet" else frame.write_csv().encode()

    def frame(
        self, *, since: datetime | None = None, before: datetime | None = None, team: str | None = None, columns: Sequence[str] = ()
    ) -> pl.DataFrame:
        """Every experiment that finished from `since` to before `before`, from the exported files and, for the rest, from the database.

        Args:
            since: Aware.
            before: Aware.
            team: Only those that took its share.
            columns: These only; none for all.

        Raises:
            InvalidInput: a time without a zone.
        """
        import polars as pl

        for name, given in (("since", since), ("before", before)):
            if given is not None and given.tzinfo is None:
                raise InvalidInput(f"{given} needs a time zone.", where=name, hint=f"For example {given.isoformat()}Z.")
        wanted = list(dict.fromkeys([*(columns or _schema()), "id", "finished", "team"]))
        rows = self._outlined if set(wanted) <= set(_OUTLINE) else self._of_rows
        with self._db.read() as tx:
            # In this order: what is exported in between is then found twice rather than never.
            parts = [frame_of([]), *rows(tx, None, since, before, team)]
            listed = tx.exports.list()
            for export in listed:
                if export.written is None:
                    parts += rows(tx, export.number, since, before, team)
        parts = [part.select(wanted) for part in parts]
        for export in listed:
            if export.written is not None:
                parts += [_between(part.select(wanted), since, before, team) for part in self._read(export, since, before)]
        frame = pl.concat(parts).unique("id", keep="first", maintain_order=True).sort("finished", "id")
        return frame.select(columns) if columns else frame

    def _of_rows(
        self, tx: Transaction, number: int | None, since: datetime | None, before: datetime | None, team: str | None
    ) -> builtins.list[pl.DataFrame]:
        pages = tx.exports.experiments(number, since=since, before=before, team=team)
        return [frame_of(records_of(tx, page)) for page in pages]

    def _outlined(
        self, tx: Transaction, number: int | None, since: datetime | None, before: datetime | None, team: str | None
    ) -> builtins.list[pl.DataFrame]:
        import polars as pl

        rows = tx.exports.outlines(number, since=since, before=before, team=team)
        counted = tx.exports.models_trained({row.id: row.generation for row in rows if row.models_trained is None}, TRAIN)
        kinds = {name: protocol.kind for name, protocol in protocols().items()}
        of = dict(zip(Ending._fields, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(Ending._fields, ())
        made = {
            **{name: of[name] for name in _OUTLINE if name in of},
            "team": of["quota_group"],
            "kind": [kinds.get(name, "") for name in of["protocol"]],
            "status": [str(status) for status in of["status"]],
            "models_trained": [counted.get(row.id, 0) if row.models_trained is None else row.models_trained for row in rows],
        }
        schema = _schema()
        return [pl.DataFrame({name: pl.Series(made[name], dtype=schema[name]) for name in _OUTLINE})]

    def _read(self, export: Export, since: datetime | None, before: datetime | None) -> Iterator[pl.DataFrame]:
        import polars as pl

        for day in export.files:
            # The whole day may be outside, by UTC, which names it.
            begin = datetime.combine(date.fromisoformat(day), time(), tzinfo=export.created.tzinfo)
            if (before is not None and begin >= before) or (since is not None and begin + timedelta(days=1) <= since):
                continue
            try:
                yield pl.read_parquet(io.BytesIO(self._files.get(file_name(export.number, day))))
            except NotFound:
                # Somebody moved the files away, or they are another machine's; the database has it all as well.
                with self._db.read() as tx:
                    yield from self._of_rows(tx, export.number, since, before, None)
                return


def _between(frame: pl.DataFrame, since: datetime | None, before: datetime | None, team: str | None) -> pl.DataFrame:
    import polars as pl

    if since is not None:
        frame = frame.filter(pl.col("finished") >= since)
    if before is not None:
        frame = frame.filter(pl.col("finished") < before)
    return frame if team is None else frame.filter(pl.col("team") == team)
