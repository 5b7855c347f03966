"""What the cleaner and the garbage collector ask of rows, whatever their noun: who lives, what is referred to, what is old."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from wichtel.domain import ExperimentState, ExperimentStatus, RunState, StudyState
from wichtel.store.repository import Repository, parts
from wichtel.store.tables import audit, events, experiments, jobs, measurements, metadata, runs, studies, trials
from wichtel.store.types import Json

#: A digest of an artifact, in any text.
DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
#: Of a source tree, whose manifest refers to further artifacts.
_TREE = re.compile(r'"tree":\s*"([0-9a-f]{64})"')

#: Tables whose texts never refer to an artifact, though they may look so, and which are too long to be read in vain. A table that is not
#: named here is read, so that what is added to the store is never collected by mistake.
_WITHOUT = frozenset({"audit", "events", "idempotency", "measurements", "request_stats", "runs", "tokens", "trials"})

_ENDED = [str(state) for state in RunState if state.ended]
_PAGE = 2000
_STREAM = {"yield_per": _PAGE}


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an experiment is."""

    state: ExperimentState
    status: ExperimentStatus | None
    generation: int
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class EndedRun:
    """What of a run that is over decides whether its files are kept."""

    id: str
    owner: str
    ended: datetime
    result: Any


class Marks:
    """Digests that something refers to, and which of them are source trees."""

    def __init__(self) -> None:
        self.digests: set[str] = set()
        self.trees: set[str] = set()

    def add(self, text: str) -> None:
        """All that `text` refers to."""
        self.digests.update(DIGEST.findall(text))
        self.trees.update(_TREE.findall(text))


class Garbage(Repository):
    """Questions over all rows."""

    def standings(self, experiment_ids: Collection[str]) -> dict[str, Standing]:
        """Of those of these experiments that there are."""
        found: dict[str, Standing] = {}
        columns = (experiments.c.id, experiments.c.state, experiments.c.status, experiments.c.generation, experiments.c.finished)
        for part in parts(sorted(experiment_ids)):
            for row in self.connection.execute(sa.select(*columns).where(experiments.c.id.in_(part))):
                status = None if row.status is None else ExperimentStatus(row.status)
                found[row.id] = Standing(ExperimentState(row.state), status, row.generation, row.finished)
        return found

    def study_states(self, study_ids: Collection[str]) -> dict[str, StudyState]:
        """Of those of these studies that there are."""
        found: dict[str, StudyState] = {}
        for part in parts(sorted(study_ids)):
            for row in self.connection.execute(sa.select(studies.c.id, studies.c.state).where(studies.c.id.in_(part))):
                found[row.id] = StudyState(row.state)
        return found

    def open_studies(self) -> list[tuple[str, datetime]]:
        """Id and creation of those that have not ended."""
        query = sa.select(studies.c.id, studies.c.created).where(studies.c.state.in_([s for s in StudyState if not s.ended]))
        return [(row.id, row.created) for row in self.connection.execute(query)]

    def open_runs(self) -> list[tuple[str, str, datetime]]:
        """Id, owner and creation of those that have not ended."""
        query = sa.select(runs.c.id, runs.c.owner, runs.c.created).where(runs.c.state.not_in(_ENDED)).order_by(runs.c.number)
        return [(row.id, row.owner, row.created) for row in self.connection.execute(query)]

    def runs_of_open_studies(self) -> list[str]:
        """The runs, ended or not, of studies that have not ended."""
        owners = [f"study/{study}" for study, _ in self.open_studies()]
        found: list[str] = []
        for part in parts(owners):
            found += self.connection.execute(sa.select(runs.c.id).where(runs.c.owner.in_(part))).scalars()
        return found

    def experiments_in_progress(self) -> list[str]:
        """The workflows of those experiments; empty ones left out."""
        query = sa.select(experiments.c.workflow).where(experiments.c.state == ExperimentState.IN_PROGRESS, experiments.c.workflow != "")
        return list(self.connection.execute(query).scalars())

    # -- policy ------------------------------------------------------------------------------------------------------------------------

    def ended_runs_with_files(self, before: datetime, after: int = 0) -> tuple[list[EndedRun], int | None]:
        """A page of the runs that ended before a time and whose result refers to artifacts, and where the next begins; None at the end."""
        text = sa.type_coerce(runs.c.result, sa.Text)
        files = sa.or_(*(text.contains(f'"{name}"', autoescape=True) for name in FILES))
        query = (
            sa.select(runs.c.number, runs.c.id, runs.c.owner, runs.c.ended, runs.c.result)
            .where(runs.c.number > after, runs.c.state.in_(_ENDED), runs.c.ended < before, files)
            .order_by(runs.c.number)
            .limit(_PAGE)
        )
        rows = list(self.connection.execute(query))
        found = [EndedRun(row.id, row.owner, row.ended, row.result) for row in rows if strip(row.result) != row.result]
        return found, (rows[-1].number if len(rows) == _PAGE else None)

    def strip_run(self, run: EndedRun) -> bool:
        """Let its result refer to no files any more; False if it has changed meanwhile."""
        change = sa.update(runs).where(runs.c.id == run.id, runs.c.ended == run.ended)
        return bool(self.connection.execute(change.values(result=strip(run.result))).rowcount)

    def strip_trials(self, study_id: str, numbers: Sequence[int]) -> None:
        """Let these trials refer to no files any more."""
        old = [trial for trial in self.tx.trials.of_study(study_id) if trial.number in numbers and trial.artifacts]
        self.tx.trials.put_many([replace(trial, artifacts={}) for trial in old])

    # -- marks -------------------------------------------------------------------------------------------------------------------------

    def mark(self, marks: Marks) -> None:
        """Add what any row refers to. What an ended run was *given* does not count: whoever still has it has a row of its own."""
        self._mark_runs(marks)
        self._mark(marks, sa.select(sa.type_coerce(trials.c.document, sa.Text)), like=trials.c.document)
        for table in metadata.sorted_tables:
            if table.name in _WITHOUT:
                continue
            for column in table.columns:
                if isinstance(column.type, sa.Text | sa.String | Json):
                    texts = self.connection.execute(sa.select(sa.type_coerce(column, sa.Text)), execution_options=_STREAM)
                    for text in texts.scalars():
                        if text is not None:
                            marks.add(text)
                            if column.name == "tree":
                                marks.trees.update(DIGEST.findall(text))

    def _mark_runs(self, marks: Marks) -> None:
        spec, result = sa.type_coerce(runs.c.spec, sa.Text), sa.type_coerce(runs.c.result, sa.Text)
        number = 0
        while True:
            query = (
                sa.select(runs.c.number, sa.case((runs.c.state.not_in(_ENDED), spec), else_="").label("given"), result.label("found"))
                .where(runs.c.number > number)
                .order_by(runs.c.number)
                .limit(_PAGE)
            )
            rows = list(self.connection.execute(query))
            for row in rows:
                marks.add(row.given)
                if row.found:
                    marks.add(row.found)
            if len(rows) < _PAGE:
                return
            number = rows[-1].number

    def _mark(self, marks: Marks, query: sa.Select[Any], *, like: sa.Column[Any]) -> None:
        # Most trials have no files, and their rows are many.
        having = sa.type_coerce(like, sa.Text).not_like('%"artifacts":{}%')
        for text in self.connection.execute(query.where(having), execution_options=_STREAM).scalars():
            marks.add(text)

    # -- old rows ----------------------------------------------------------------------------------------------------------------------

    def delete_events(self, before: datetime, limit: int) -> int:
        """Delete at most `limit` events from before a time, oldest first; return how many."""
        return self._delete(events, events.c.number, events.c.created < before, limit)

    def delete_audit(self, before: datetime, limit: int) -> int:
        """Likewise of the audit log."""
        return self._delete(audit, audit.c.number, audit.c.created < before, limit)

    def delete_measurements(self, before: datetime, limit: int, after: int = 0) -> tuple[int, int | None]:
        """Delete those of the next `limit` runs that ended before a time; return how many, and the next `after`, or None at the end.

        So all of them together pass over the runs once.
        """
        old = sa.select(runs.c.number, runs.c.id).where(runs.c.number > after, runs.c.ended < before)
        old = old.where(sa.exists().where(measurements.c.run == runs.c.id)).order_by(runs.c.number).limit(limit)
        rows = list(self.connection.execute(old))
        gone = self.connection.execute(sa.delete(measurements).where(measurements.c.run.in_([row.id for row in rows]))).rowcount
        return gone, (rows[-1].number if len(rows) == limit else None)

    def count_old(self, *, events_before: datetime, audit_before: datetime, measurements_before: datetime) -> dict[str, int]:
        """How many rows these would delete."""

        def count(query: Any) -> int:
            return int(self.connection.execute(query).scalar_one())

        number = sa.func.count()
        return {
            "events": count(sa.select(number).select_from(events).where(events.c.created < events_before)),
            "audit": count(sa.select(number).select_from(audit).where(audit.c.created < audit_before)),
            "measurements": count(
                sa.select(number)
                .select_from(measurements)
                .join(runs, runs.c.id == measurements.c.run)
                .where(runs.c.ended < measurements_before)
            ),
        }

    def delete_jobs(self, overdue_since: datetime) -> int:
        """Delete the rows of jobs that nobody carries out any more, such as those of machines that are gone; return how many."""
        return self.connection.execute(sa.delete(jobs).where(jobs.c.holder == "", jobs.c.due < overdue_since)).rowcount

    def _delete(self, table: sa.Table, key: sa.Column[Any], condition: sa.ColumnElement[bool], limit: int) -> int:
        old = sa.select(key).where(condition).order_by(key).limit(limit)
        return self.connection.execute(sa.delete(table).where(key.in_(old))).rowcount


#: Where results keep digests of files, and what stands there when these are gone.
FILES: dict[str, Callable[[], Any]] = {"model": lambda: None, "predictions": dict, "artifacts": dict}


def strip(result: Any) -> Any:
    """`result`, of a run, without its files."""
    if not isinstance(result, dict):
        return result
    return {name: FILES[name]() if name in FILES and _refers(value) else value for name, value in result.items()}


def _refers(value: Any) -> bool:
    if isinstance(value, str):
        return DIGEST.fullmatch(value) is not None
    return isinstance(value, dict) and any(_refers(inner) for inner in value.values())
