"""Experiments: their life is a row of conditional updates, so that of two that want to move one, exactly one does."""

from __future__ import annotations

import builtins
from dataclasses import fields, replace
from typing import Any

import sqlalchemy as sa

from wichtel.domain import AlreadyExists, Experiment, ExperimentResult, ExperimentState, ExperimentStatus, Query, Sort, parse_query
from wichtel.store.page import Page, count, fetch
from wichtel.store.repository import Repository
from wichtel.store.search import condition, stages
from wichtel.store.tables import experiments
from wichtel.store.types import Time

# The others are there to be searched by, or are the exporter's.
_OWN_COLUMNS = tuple(experiments.c[field.name] for field in fields(Experiment))
_NEWEST_FIRST = Sort()
_ENQUEUED, _IN_PROGRESS, _FINISHED = ExperimentState.ENQUEUED, ExperimentState.IN_PROGRESS, ExperimentState.FINISHED


class Experiments(Repository):
    """Experiments, by id. Each move is also an event ``experiment.added|started|requeued|finished`` on ``experiment/<id>``."""

    def add(self, experiment: Experiment) -> None:
        """Add `experiment`.

        Raises:
            AlreadyExists: the id is taken.
        """
        row: dict[str, Any] = {column.name: getattr(experiment, column.name) for column in _OWN_COLUMNS}
        if not self.insert(experiments, row | {"intent": experiment.config.intent.name}):
            raise AlreadyExists(f"there is an experiment {experiment.id!r} already.")
        self._event("added", experiment.id, model=experiment.model, protocol=experiment.protocol, owner=experiment.owner)

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
        wanted = parse_query(query) if isinstance(query, str) else query
        fit = sa.select(*_OWN_COLUMNS).where(condition(wanted, now=self.now, dialect=self.connection.dialect.name))
        page = fetch(self.connection, stages(sort, fit), _read, limit=limit, cursor=cursor, name=str(sort))
        return replace(page, total=count(self.connection, fit)) if total else page

    def in_progress_counts(self) -> dict[str, int]:
        """Quota group → how many of its experiments are IN_PROGRESS; without those that have none."""
        query = sa.select(experiments.c.quota_group, sa.func.count()).where(experiments.c.state == _IN_PROGRESS)
        return {row[0]: row[1] for row in self.connection.execute(query.group_by(experiments.c.quota_group))}

    def groups_waiting(self) -> builtins.list[str]:
        """The quota groups that have an ENQUEUED experiment, in the order of names."""
        query = sa.select(experiments.c.quota_group).where(experiments.c.state == _ENQUEUED).distinct()
        return list(self.connection.execute(query.order_by(experiments.c.quota_group)).scalars())

    def oldest_enqueued(self, group: str) -> Experiment | None:
        """The one of `group` that has waited longest."""
        query = (
            sa.select(*_OWN_COLUMNS)
            .where(experiments.c.state == _ENQUEUED, experiments.c.quota_group == group)
            .order_by(experiments.c.created, experiments.c.id)
            .limit(1)
        )
        row = self.connection.execute(query).one_or_none()
        return None if row is None else _read(row)

    def start(self, experiment_id: str) -> Experiment | None:
        """ENQUEUED → IN_PROGRESS, in a new generation; None if it is not ENQUEUED."""
        change = {"state": _IN_PROGRESS, "generation": experiments.c.generation + 1, "workflow": "", "started": self.now, "began": None}
        if not self._change(experiment_id, change, experiments.c.state == _ENQUEUED):
            return None
        started = self.get(experiment_id)
        self._event("started", experiment_id, generation=started.generation)
        return started

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


def _read(row: sa.Row[Any]) -> Experiment:
    values = {column.name: row._mapping[column.name] for column in _OWN_COLUMNS}
    status = values["status"]
    return Experiment(
        **(values | {"state": ExperimentState(values["state"]), "status": None if status is None else ExperimentStatus(status)})
    )
