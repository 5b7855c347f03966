"""Runs, as the fleet's log keeps them."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from wichtel.domain import Run, RunSpec, RunState
from wichtel.store.repository import Repository, begins_with, parts
from wichtel.store.tables import cancellations, runs

_COLUMNS = tuple(runs.c[name] for name in ("spec", "state", "attempt", "worker", "result", "error", "created", "started", "ended"))
_ENDED = [state for state in RunState if state.ended]


class Runs(Repository):
    """Runs, by id, in the order in which they were submitted."""

    def add(self, spec: RunSpec) -> bool:
        """Submit `spec`; False if that id was submitted before."""
        return bool(self.add_many([spec]))

    def add_many(self, specs: Iterable[RunSpec]) -> int:
        """Submit those of `specs` that were not before; return how many."""
        new = {"state": RunState.PENDING, "attempt": 0, "worker": "", "created": self.now}
        own = ("id", "owner", "priority", "quota_group")
        return self.insert(runs, [new | {name: getattr(spec, name) for name in own} | {"spec": spec} for spec in specs])

    def find(self, run_id: str) -> Run | None:
        """The run of that id, if there is one."""
        row = self.connection.execute(sa.select(*_COLUMNS).where(runs.c.id == run_id)).one_or_none()
        return None if row is None else _read(row)

    def get(self, run_id: str) -> Run:
        """The run of that id.

        Raises:
            NotFound: there is none.
        """
        run = self.find(run_id)
        if run is None:
            raise self.not_found("run", run_id, runs.c.id)
        return run

    def list(
        self,
        *,
        owner: str | None = None,
        state: RunState | Collection[RunState] | None = None,
        prefix: str = "",
        limit: int = 100,
        after: str | None = None,
    ) -> builtins.list[Run]:
        """In the order of submission, from the one after run `after`.

        Args:
            owner: Exactly this.
            state: This, or one of these.
            prefix: What the id begins with.
        """
        query = sa.select(*_COLUMNS).where(begins_with(runs.c.id, prefix)).order_by(runs.c.number).limit(limit)
        if owner is not None:
            query = query.where(runs.c.owner == owner)
        if state is not None:
            query = query.where(runs.c.state.in_([state] if isinstance(state, RunState) else list(state)))
        if after is not None:
            query = query.where(runs.c.number > sa.select(runs.c.number).where(runs.c.id == after).scalar_subquery())
        return [_read(row) for row in self.connection.execute(query)]

    def ids(self, owner: str) -> builtins.list[str]:
        """Those of all runs of this owner, in the order of submission."""
        query = sa.select(runs.c.id).where(runs.c.owner == owner).order_by(runs.c.number)
        return builtins.list(self.connection.execute(query).scalars())

    def times(self, owners: Sequence[str], limit: int = 10_000) -> builtins.list[tuple[str, datetime, datetime | None]]:
        """Of runs of these owners that began: id, and when the latest attempt began and ended. Far less to read than the runs."""
        c = runs.c
        found: builtins.list[tuple[str, datetime, datetime | None]] = []
        for part in parts(owners):
            query = sa.select(c.id, c.started, c.ended).where(c.owner.in_(part), c.started.is_not(None))
            found += [(row.id, row.started, row.ended) for row in self.connection.execute(query.order_by(c.owner, c.number).limit(limit))]
        return found

    def many(self, run_ids: Sequence[str]) -> builtins.list[Run]:
        """The runs with these ids, in their order; those that are not there are left out."""
        found: dict[str, Run] = {}
        for part in parts(run_ids):
            query = sa.select(*_COLUMNS).where(runs.c.id.in_(part))
            found |= {run.spec.id: run for run in map(_read, self.connection.execute(query))}
        return [found[run_id] for run_id in run_ids if run_id in found]

    def workers(self, run_ids: Sequence[str]) -> dict[str, str]:
        """Run → the worker of its latest attempt; those that none took up are left out."""
        found: dict[str, str] = {}
        for part in parts(run_ids):
            query = sa.select(runs.c.id, runs.c.worker).where(runs.c.id.in_(part), runs.c.worker != "")
            found |= {row.id: row.worker for row in self.connection.execute(query)}
        return found

    def claimable(self, limit: int = 100) -> builtins.list[Run]:
        """Those that wait for an attempt: the highest priority first, within one the first submitted."""
        query = (
            sa.select(*_COLUMNS)
            .where(runs.c.state.in_([RunState.PENDING, RunState.PREEMPTED]))
            .order_by(runs.c.priority.desc(), runs.c.number)
            .limit(limit)
        )
        return [_read(row) for row in self.connection.execute(query)]

    def waiting_after(self, number: int) -> tuple[builtins.list[Run], int]:
        """Those that wait for their first attempt and were submitted after the one with this number; and the latest number there is.

        On PostgreSQL a transaction that began earlier may commit a smaller number later: look at `claimable` too, though less often.
        """
        query = sa.select(runs.c.number, *_COLUMNS).where(runs.c.number > number).order_by(runs.c.number).limit(1000)
        found, latest = [], number
        for row in self.connection.execute(query):
            latest = row.number
            if row.state == RunState.PENDING:
                found.append(_read(row))
        return found, latest

    def latest_number(self) -> int:
        """The number of the run that was submitted last; 0 if there is none."""
        return self.connection.execute(sa.select(sa.func.max(runs.c.number))).scalar_one() or 0

    def request_cancel(self, run_id: str, reason: str) -> bool:
        """Ask the fleet's leader, in whatever process it is, to cancel the run; False if it has ended or is not there."""
        state = self.connection.execute(sa.select(runs.c.state).where(runs.c.id == run_id)).scalar_one_or_none()
        if state is None or RunState(state).ended:
            return False
        self.insert(cancellations, {"run": run_id, "reason": reason})
        return True

    def cancel_requests(self) -> builtins.list[tuple[str, str]]:
        """The runs that are to be canceled, with the reason."""
        return [(row.run, row.reason) for row in self.connection.execute(sa.select(cancellations))]

    def settle_cancel(self, run_ids: Sequence[str]) -> None:
        """The requests for these runs are settled."""
        self.connection.execute(sa.delete(cancellations).where(cancellations.c.run.in_(run_ids)))

    def update_many(self, changed: Sequence[Run]) -> int:
        """Write state, attempt, worker, result, error and times of each; return how many were written.

        One that has ended, or has a later attempt, stays as it is: a late word of an old attempt changes nothing.
        """
        rows: list[dict[str, Any]] = [{"key": run.spec.id} | {f"{name}_": getattr(run, name) for name in _CHANGING} for run in changed]
        return self.execute_many(_UPDATE, rows)


_CHANGING = ("state", "attempt", "worker", "result", "error", "started", "ended")

# Made once: the fleet executes it hundreds of times a second, and making it takes as long as executing it.
_UPDATE = (
    sa.update(runs)
    .where(runs.c.id == sa.bindparam("key"), runs.c.attempt <= sa.bindparam("attempt_"), *(runs.c.state != state for state in _ENDED))
    .values({name: sa.bindparam(f"{name}_") for name in _CHANGING})
)


def _read(row: sa.Row[Any]) -> Run:
    values = {column.name: row._mapping[column] for column in _COLUMNS}
    return Run(**(values | {"state": RunState(values["state"])}))
