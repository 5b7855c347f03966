"""How much of everything there is: what the health of the service is told from. Each is answered from an index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from wichtel.domain import ExperimentState, RunState
from wichtel.store import schema
from wichtel.store.repository import Repository
from wichtel.store.tables import experiments, runs

_UNFINISHED_RUNS = (RunState.PENDING, RunState.RUNNING, RunState.PREEMPTED)


@dataclass(frozen=True, slots=True)
class Ending:
    """What is counted of an experiment."""

    #: Its status; its state, if it has not finished.
    standing: str
    seconds: float | None
    models_trained: int | None
    created: datetime


class Counts(Repository):
    """Counts over the tables."""

    def ping(self) -> None:
        """Ask the shortest question."""
        self.connection.execute(sa.text("SELECT 1"))

    def unfinished_experiments(self) -> dict[str, dict[str, int]]:
        """Quota group → state → how many."""
        c = experiments.c
        unfinished = [state.value for state in ExperimentState if state is not ExperimentState.FINISHED]
        query = sa.select(c.quota_group, c.state, sa.func.count()).where(c.state.in_(unfinished)).group_by(c.quota_group, c.state)
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for group, state, count in self.connection.execute(query):
            found[group][state] = count
        return dict(found)

    def finished_experiments(self) -> dict[str, int]:
        """Status → how many ended with it."""
        c = experiments.c
        query = sa.select(c.status, sa.func.count()).where(c.status.is_not(None)).group_by(c.status)
        return {status: count for status, count in self.connection.execute(query)}  # noqa: C416 -- rows are no pairs to mypy

    def unfinished_runs(self) -> dict[str, int]:
        """State → how many runs are in it."""
        c = runs.c
        query = sa.select(c.state, sa.func.count()).where(c.state.in_([s.value for s in _UNFINISHED_RUNS])).group_by(c.state)
        return {state.value: 0 for state in _UNFINISHED_RUNS} | {state: count for state, count in self.connection.execute(query)}  # noqa: C416

    def by_protocol(self) -> dict[str, int]:
        """Protocol → how many experiments there have been."""
        c = experiments.c
        query = sa.select(c.protocol, sa.func.count()).group_by(c.protocol)
        return {protocol: count for protocol, count in self.connection.execute(query)}  # noqa: C416

    def latest_of(self, protocols: Sequence[str], most: int) -> dict[str, list[Ending]]:
        """Protocol → its `most` newest experiments, the newest first."""
        c = experiments.c
        found: dict[str, list[Ending]] = {name: [] for name in protocols}
        for name in found:
            query = sa.select(sa.func.coalesce(c.status, c.state), c.duration_seconds, c.models_trained, c.created)
            query = query.where(c.protocol == name).order_by(c.created.desc(), c.id.desc()).limit(most)
            found[name] = [Ending(*row) for row in self.connection.execute(query)]
        return found

    def workflows(self) -> dict[str, int]:
        """How many workflows are ``enqueued``, and how many ``underway``; those that wait for a time are neither."""
        table = "workflow_status" if self.connection.dialect.name == "sqlite" else "dbos.workflow_status"
        query = f"SELECT status, count(*) FROM {table} WHERE status IN ('ENQUEUED', 'PENDING') GROUP BY status"  # noqa: S608 -- ours
        found = {status: count for status, count in self.connection.execute(sa.text(query))}  # noqa: C416
        return {"enqueued": found.get("ENQUEUED", 0), "underway": found.get("PENDING", 0)}

    def revisions(self) -> tuple[str, str, str]:
        """The revision of the tables, that of this code, and the oldest whose code can use the tables; empty where there is none."""
        return schema.revision(self.connection) or "", schema.HEAD, schema.oldest_code(self.connection) or ""
