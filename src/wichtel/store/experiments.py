"""Experiments: their life is a row of conditional updates, so that of two that want to move one, exactly one does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from wichtel.domain import (
    AlreadyExists,
    Experiment,
    ExperimentResult,
    ExperimentState,
    ExperimentStatus,
    Failure,
    Outline,
    Query,
    Sort,
    Tally,
    parse_query,
)
from wichtel.store import codec
from wichtel.store.page import Page, count, fetch
from wichtel.store.repository import Repository, parts
from wichtel.store.search import condition, sift, stages
from wichtel.store.tables import experiments
from wichtel.store.tables import models as known
from wichtel.store.types import Time
from wichtel.store.written import Written

T = TypeVar("T")

# The others are there to be searched by, or are the exporter's.
_OWN_COLUMNS = tuple(experiments.c[field.name] for field in fields(Experiment))
_NAMES = tuple(column.name for column in _OWN_COLUMNS)
_OUTLINE = tuple(experiments.c[field.name] for field in fields(Outline))
_WRITTEN = Written(_OWN_COLUMNS)
_NEWEST_FIRST = Sort()
_ENQUEUED, _IN_PROGRESS, _FINISHED = ExperimentState.ENQUEUED, ExperimentState.IN_PROGRESS, ExperimentState.FINISHED


class Experiments(Repository):
    """Experiments, by id. Each move is also an event ``experiment.added|started|requeued|finished`` on ``experiment/<id>``."""

    def add(self, experiment: Experiment) -> None:
        """Add `experiment`.

        Raises:
            AlreadyExists: the id is taken.
        """
        self.add_many([experiment])

    def add_many(self, added: Sequence[Experiment]) -> None:
        """Add all of `added`, at a fraction of the cost of one after the other.

        Raises:
            AlreadyExists: an id is taken.
        """
        rows = [
            {column.name: getattr(e, column.name) for column in _OWN_COLUMNS}
            | {"intent": e.config.intent.name, "priority": e.config.priority}
            for e in added
        ]
        if self.insert(experiments, rows) != len(rows):
            which = f"an experiment {added[0].id!r}" if len(added) == 1 else "one of these experiments"
            raise AlreadyExists(f"there is {which} already.")
        for e in added:
            self._event("added", e.id, model=e.model, protocol=e.protocol, owner=e.owner)

    def find(self, experiment_id: str) -> Experiment | None:
        """The experiment of that id, if there is one."""
        row = self.connection.execute(sa.select(*_OWN_COLUMNS).where(experiments.c.id == experiment_id)).one_or_none()
        return None if row is None else _read(row)

    def get(self, experiment_id: str) -> Experiment:
        """The experiment of that id.

        Raises:
            NotFound: there is none.
        """
        experiment = self.find(experiment_id)
        if experiment is None:
            raise self.not_found("experiment", experiment_id, experiments.c.id)
        return experiment

    def many(self, experiment_ids: Sequence[str]) -> list[Experiment]:
        """The experiments with these ids, in their order; those that are not there are left out."""
        found: dict[str, Experiment] = {}
        for part in parts(experiment_ids):
            rows = self.connection.execute(sa.select(*_OWN_COLUMNS).where(experiments.c.id.in_(part)))
            found |= {experiment.id: experiment for experiment in map(_read, rows)}
        return [found[identity] for identity in experiment_ids if identity in found]

    def groups_of(self, registration: str) -> list[str]:
        """The quota groups of a registration's experiments, in the order of names."""
        query = sa.select(experiments.c.quota_group).where(experiments.c.registration == registration).distinct()
        return list(self.connection.execute(query.order_by(experiments.c.quota_group)).scalars())

    def tallies(self, registrations: Sequence[str]) -> dict[str, Tally]:
        """Registration → how its experiments stand."""
        c = experiments.c
        counts: dict[str, Counter[str]] = {identity: Counter() for identity in registrations}
        teams: dict[str, set[str]] = {identity: set() for identity in registrations}
        standing = sa.func.coalesce(c.status, c.state)
        for part in parts(list(counts)):
            query = sa.select(c.registration, c.quota_group, standing, sa.func.count()).where(c.registration.in_(part))
            for identity, team, stands, number in self.connection.execute(query.group_by(c.registration, c.quota_group, standing)):
                counts[identity][stands] += number
                teams[identity].add(team)
        return {identity: Tally(counts=dict(counts[identity]), teams=tuple(sorted(teams[identity]))) for identity in counts}

    def outlines(self, experiment_ids: Sequence[str]) -> dict[str, Outline]:
        """How those of these ids stand, by id: a fraction of what reading them whole takes."""
        found: dict[str, Outline] = {}
        for part in parts(experiment_ids):
            rows = self.connection.execute(sa.select(*_OUTLINE).where(experiments.c.id.in_(part)))
            found |= {row.id: Outline(**_with_states(dict(row._mapping))) for row in rows}
        return found

    def latest_of(self, names: Sequence[str], *, judged: bool = False) -> dict[str, Outline]:
        """Model → how the newest of its experiments stands, or of those with a verdict; models that have none are left out."""
        found: dict[str, Outline] = {}
        for part in parts(names):
            newest = (
                sa.select(experiments.c.id)
                .where(experiments.c.model == known.c.name)
                .order_by(experiments.c.created.desc(), experiments.c.id.desc())
                .limit(1)
                .correlate(known)
            )
            if judged:
                newest = newest.where(experiments.c.status.in_((ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED)))
            # Of each model one entry of an index, whatever there is of it.
            those = sa.select(newest.scalar_subquery()).where(known.c.name.in_(part))
            for row in self.connection.execute(sa.select(*_OUTLINE).where(experiments.c.id.in_(those))):
                found[row.model] = Outline(**_with_states(dict(row._mapping)))
        return found

    def descendants(self, experiment: Experiment, limit: int = 20) -> tuple[list[Experiment], list[Experiment]]:
        """Those that repeat `experiment`, and those that start from its candidate, oldest first, among the next 2000 on its model."""
        c = experiments.c
        later = (
            sa.select(c.id, c.target, c.config)
            .where(c.model == experiment.model, c.created >= experiment.created, c.id != experiment.id)
            .order_by(c.created, c.id)
            .limit(2000)
            .subquery()
        )
        repeats = sa.type_coerce(later.c.config, sa.Text).contains(f'"rerun_of":{codec.encode(experiment.id).decode()}', autoescape=True)
        made = experiment.result.candidate if experiment.result is not None else ""
        builds = sa.and_(later.c.target == made, ~repeats) if made and made != experiment.target else sa.false()
        # Of few rows the rest is read.
        found = [list(self.connection.execute(sa.select(later.c.id).where(which).limit(limit)).scalars()) for which in (repeats, builds)]
        return self.many(found[0]), self.many(found[1])

    def search(
        self,
        query: Query | str = "",
        *,
        sort: Sort = _NEWEST_FIRST,
        limit: int = 100,
        cursor: str | None = None,
        total: bool = False,
    ) -> Page[Experiment]:
        """Those that fit.

        Args:
            query: As a value or as text.
            sort: Their order.
            limit: At most 1,000.
            cursor: `Page.cursor` of the page before.
            total: Whether to count them.

        Raises:
            InvalidInput: text that says no query, a limit out of range, or something that is no cursor.
        """
        return self._search(_OWN_COLUMNS, _read, query, sort, limit, cursor, total)

    def search_written(
        self,
        query: Query | str = "",
        *,
        sort: Sort = _NEWEST_FIRST,
        limit: int = 100,
        cursor: str | None = None,
        total: bool = False,
    ) -> Page[msgspec.Raw]:
        """As `search`, but each as `codec` writes it, for whoever hands it on; see `Written`."""
        return self._search(_WRITTEN.columns, _WRITTEN.read, query, sort, limit, cursor, total)

    def _search(
        self,
        columns: Sequence[sa.ColumnElement[Any]],
        read: Callable[[sa.Row[Any]], T],
        query: Query | str,
        sort: Sort,
        limit: int,
        cursor: str | None,
        total: bool,
    ) -> Page[T]:
        wanted = parse_query(query) if isinstance(query, str) else query
        dialect = self.connection.dialect.name
        rest, words = sift(wanted, now=lambda: self.now, dialect=dialect)
        fit = sa.select(*columns).where(condition(rest, now=lambda: self.now, dialect=dialect))
        page = fetch(self.connection, stages(sort, fit, words), read, limit=limit, cursor=cursor, name=str(sort))
        return replace(page, total=count(self.connection, fit if words is None else fit.where(words.indexed))) if total else page

    def start(self, experiment_id: str) -> Experiment | None:
        """ENQUEUED → IN_PROGRESS, in a new generation; None if it is not ENQUEUED."""
        return self.get(experiment_id) if self.start_many([experiment_id]) else None

    def start_many(self, experiment_ids: Collection[str]) -> dict[str, int]:
        """ENQUEUED → IN_PROGRESS, in a new generation each; return those that were ENQUEUED, with their generation."""
        rows = self.lock(experiment_ids, _ENQUEUED)
        if rows:
            change = {"state": _IN_PROGRESS, "generation": experiments.c.generation + 1, "workflow": "", "started": self.now, "began": None}
            self.connection.execute(sa.update(experiments).where(experiments.c.id.in_(rows)).values(change))
        for identity, generation in rows.items():
            self._event("started", identity, generation=generation + 1)
        return {identity: generation + 1 for identity, generation in rows.items()}

    def lock(self, experiment_ids: Collection[str], *states: ExperimentState) -> dict[str, int]:
        """Keep others from moving those that are in one of `states` until the end of this transaction; return them with their generation.

        Whoever moves several in one transaction asks for this first: it takes them in the order of their ids, so that two that do so never
        wait for each other in a circle.
        """
        found: dict[str, int] = {}
        for part in parts(sorted(experiment_ids)):
            query = sa.select(experiments.c.id, experiments.c.generation).where(experiments.c.id.in_(part), experiments.c.state.in_(states))
            rows = self.connection.execute(query.order_by(experiments.c.id).with_for_update())
            found |= {row.id: row.generation for row in rows}
        return found

    def set_workflow(self, experiment_id: str, generation: int, workflow: str) -> bool:
        """Note that `workflow` has taken it up; False if it is not IN_PROGRESS in that generation."""
        # The first step is the first that says so.
        change = {"workflow": workflow, "began": sa.func.coalesce(experiments.c.began, sa.literal(self.now, Time()))}
        return self._change(experiment_id, change, experiments.c.state == _IN_PROGRESS, experiments.c.generation == generation)

    def requeue(self, experiment_id: str, generation: int) -> bool:
        """IN_PROGRESS → ENQUEUED; False if it is not IN_PROGRESS in that generation, or a workflow has taken it up."""
        done = self._change(
            experiment_id,
            {"state": _ENQUEUED, "started": None},
            experiments.c.state == _IN_PROGRESS,
            experiments.c.generation == generation,
            experiments.c.workflow == "",
        )
        if done:
            self._event("requeued", experiment_id, generation=generation)
        return done

    def finish(
        self,
        experiment_id: str,
        status: ExperimentStatus,
        cause: str,
        result: ExperimentResult | None = None,
        *,
        failure: Failure | None = None,
    ) -> bool:
        """Any state → FINISHED; False if it is FINISHED already, and nothing changes.

        Raises:
            NotFound: there is none of that id.
        """
        change = {"state": _FINISHED, "status": status, "cause": cause, "result": result, "failure": failure, "finished": self.now}
        if self._change(experiment_id, change, experiments.c.state != _FINISHED):
            self._note_numbers(experiment_id, result)
            self._event("finished", experiment_id, status=str(status), cause=cause)
            return True
        self.get(experiment_id)
        return False

    def finish_many(self, experiment_ids: Collection[str], status: ExperimentStatus, cause: str) -> list[Experiment]:
        """Any state → FINISHED, without a result, at a fraction of the cost of one after the other; return those that this finished."""
        ended = [
            replace(before, state=_FINISHED, status=status, cause=cause, finished=self.now)
            for before in self.many(list(self.lock(experiment_ids, _ENQUEUED, _IN_PROGRESS)))
        ]
        rows = [
            {
                "key": e.id,
                "status_": status,
                "cause_": cause,
                "finished_": self.now,
                "duration_": None if e.started is None else (self.now - e.started).total_seconds(),
            }
            for e in ended
        ]
        self.execute_many(_FINISH, rows)
        for e in ended:
            self._event("finished", e.id, status=str(status), cause=cause)
        return ended

    def _note_numbers(self, experiment_id: str, result: ExperimentResult | None) -> None:
        """What a finished experiment is searched by."""
        began = self.connection.execute(sa.select(experiments.c.started).where(experiments.c.id == experiment_id)).scalar_one()
        numbers: dict[str, Any] = {"duration_seconds": None if began is None else (self.now - began).total_seconds()}
        if result is not None:
            numbers["models_trained"] = result.models_trained
            self.tx.metric_deltas.add(experiment_id, result)
        self._change(experiment_id, numbers)

    def _change(self, experiment_id: str, values: dict[str, Any], *conditions: sa.ColumnElement[bool]) -> bool:
        return bool(
            self.connection.execute(sa.update(experiments).where(experiments.c.id == experiment_id, *conditions).values(values)).rowcount
        )

    def _event(self, kind: str, experiment_id: str, **data: Any) -> None:
        self.tx.events.add(f"experiment.{kind}", f"experiment/{experiment_id}", data)


_FINISH = (
    sa.update(experiments)
    .where(experiments.c.id == sa.bindparam("key"))
    .values(
        state=_FINISHED,
        status=sa.bindparam("status_"),
        cause=sa.bindparam("cause_"),
        finished=sa.bindparam("finished_"),
        duration_seconds=sa.bindparam("duration_"),
    )
)


def _read(row: sa.Row[Any]) -> Experiment:
    # They come first, whatever else was asked for.
    return Experiment(**_with_states(dict(zip(_NAMES, row, strict=False))))


def _with_states(values: dict[str, Any]) -> dict[str, Any]:
    status = values["status"]
    return values | {"state": ExperimentState(values["state"]), "status": None if status is None else ExperimentStatus(status)}
