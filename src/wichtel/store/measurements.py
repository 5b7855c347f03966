"""Measurements: the learning curves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from wichtel.domain import Measurement
from wichtel.store.repository import Repository, begins_with
from wichtel.store.tables import measurements, runs


class Measurements(Repository):
    """What runs reported, by run, step and attempt."""

    def add_many(self, reported: Iterable[Measurement]) -> int:
        """Add those that are not there; return how many."""
        return self.insert(measurements, [{"run": m.run, "attempt": m.attempt, "step": m.step, "metrics": m.metrics} for m in reported])

    def of_run(self, run_id: str) -> list[Measurement]:
        """Its learning curve: in the order of steps, at each step what the latest attempt said."""
        return self._read(sa.select(measurements).where(measurements.c.run == run_id))

    def of_owner(self, prefix: str) -> list[Measurement]:
        """The learning curves of all runs whose owner begins with `prefix`, in the order of runs, then of steps."""
        query = sa.select(measurements).join(runs, runs.c.id == measurements.c.run).where(begins_with(runs.c.owner, prefix))
        return self._read(query)

    def _read(self, query: sa.Select[Any]) -> list[Measurement]:
        ordered = query.order_by(measurements.c.run, measurements.c.step, measurements.c.attempt)
        # A later attempt goes back to its checkpoint and repeats some steps: the last row of a step stays.
        curve = {(row.run, row.step): Measurement(**row._mapping) for row in self.connection.execute(ordered)}
        return list(curve.values())
