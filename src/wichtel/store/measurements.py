"""Measurements: the learning curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from wichtel.domain import Measurement
from wichtel.store.page import Page, Stage, fetch
from wichtel.store.repository import Repository
from wichtel.store.tables import measurements, runs


class Measurements(Repository):
    """What runs reported, by run, step and attempt."""

    def add_many(self, reported: Iterable[Measurement]) -> int:
        """Add those that are not there; return how many."""
        return self.insert(measurements, [{"run": m.run, "attempt": m.attempt, "step": m.step, "metrics": m.metrics} for m in reported])

    def of_run(self, run_id: str) -> list[Measurement]:
        """Its learning curve: in the order of steps, at each step what the latest attempt said."""
        query = sa.select(*_COLUMNS).where(measurements.c.run == run_id)
        return list(self._latest(query.order_by(measurements.c.step, measurements.c.attempt)))

    def page(self, run_id: str, *, limit: int = 1000, cursor: str | None = None) -> Page[Measurement]:
        """The same, page by page.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        same = measurements.alias()
        latest = (
            sa.select(sa.func.max(same.c.attempt))
            .where(same.c.run == measurements.c.run, same.c.step == measurements.c.step)
            .scalar_subquery()
        )
        query = sa.select(*_COLUMNS).where(measurements.c.run == run_id, measurements.c.attempt == latest)
        by_step = Stage(query, (measurements.c.step,))
        return fetch(self.connection, [by_step], lambda row: Measurement(**row._mapping), limit=limit, cursor=cursor)

    def curves(self, owner: str) -> Iterator[Measurement]:
        """The learning curves of all runs of just this owner, in the order in which these were submitted, then of steps."""
        query = sa.select(*_COLUMNS).join(runs, runs.c.id == measurements.c.run).where(runs.c.owner == owner)
        return self._latest(query.order_by(runs.c.number, measurements.c.step, measurements.c.attempt))

    def _latest(self, ordered: sa.Select[Any]) -> Iterator[Measurement]:
        # A later attempt goes back to its checkpoint and repeats some steps: the last row of a step stays.
        last: tuple[str, int, int, dict[str, float]] | None = None
        for run, step, attempt, metrics in self.connection.execute(ordered):
            if last is not None and (last[1] != step or last[0] != run):
                yield Measurement(run=last[0], step=last[1], attempt=last[2], metrics=last[3])
            last = run, step, attempt, metrics
        if last is not None:
            yield Measurement(run=last[0], step=last[1], attempt=last[2], metrics=last[3])


_COLUMNS = (measurements.c.run, measurements.c.step, measurements.c.attempt, measurements.c.metrics)
