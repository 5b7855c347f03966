"""Exports: each is a number that finished experiments are given once, and the files that were written of them."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from wichtel.domain import Experiment, ExperimentState
from wichtel.store.experiments import _OWN_COLUMNS, _read
from wichtel.store.repository import Repository, parts
from wichtel.store.tables import experiments, exports, runs, trials

#: Experiments that are read at once.
_PAGE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Finished experiments as the exporter wrote them down. All times are aware, UTC."""

    number: int
    rows: int
    #: Day of finish, such as ``2026-11-22`` → bytes of that day's file.
    files: dict[str, int] = field(default_factory=dict)
    created: datetime
    #: None until all its files are there.
    written: datetime | None = None


class Ending(NamedTuple):
    """What is counted of a finished experiment."""

    id: str
    owner: str
    quota_group: str
    protocol: str
    status: str
    created: datetime
    started: datetime | None
    #: When the first step of its workflow began.
    began: datetime | None
    finished: datetime
    generation: int
    #: None for one without a result.
    models_trained: int | None


class Exports(Repository):
    """Exports, by number."""

    def claim(self, limit: int) -> Export | None:
        """Give the next number to at most `limit` finished experiments that have none; None if there are none.

        What is committed later, though it finished earlier, is given a later number.
        """
        waiting = sa.and_(experiments.c.export.is_(None), experiments.c.state == ExperimentState.FINISHED)
        if self.connection.execute(sa.select(experiments.c.id).where(waiting).limit(1)).one_or_none() is None:
            return None
        while True:
            number = (self.connection.execute(sa.select(sa.func.max(exports.c.number))).scalar_one() or 0) + 1
            # Another that takes this number at the same time is waited for.
            if self.insert(exports, {"number": number, "rows": 0, "files": {}, "created": self.now}):
                break
        chosen = sa.select(experiments.c.id).where(waiting).order_by(experiments.c.finished, experiments.c.id).limit(limit)
        found = self.connection.execute(
            sa.update(experiments).where(experiments.c.id.in_(chosen), experiments.c.export.is_(None)).values(export=number)
        )
        self.connection.execute(sa.update(exports).where(exports.c.number == number).values(rows=found.rowcount))
        return self.get(number)

    def finish(self, number: int, files: Mapping[str, int]) -> None:
        """Note that its files are there. A second time changes nothing."""
        change = sa.update(exports).where(exports.c.number == number, exports.c.written.is_(None))
        self.connection.execute(change.values(files=dict(files), written=self.now))

    def get(self, number: int) -> Export:
        """The export of that number.

        Raises:
            NotFound: there is none.
        """
        row = self.connection.execute(sa.select(exports).where(exports.c.number == number)).one_or_none()
        if row is None:
            raise self.not_found("export", number, exports.c.number)
        return Export(**row._mapping)

    def list(self) -> builtins.list[Export]:
        """All, in the order of numbers."""
        return [Export(**row._mapping) for row in self.connection.execute(sa.select(exports).order_by(exports.c.number))]

    def waiting(self) -> int:
        """How many finished experiments are in no export."""
        query = sa.select(sa.func.count()).where(experiments.c.export.is_(None), experiments.c.state == ExperimentState.FINISHED)
        return self.connection.execute(query).scalar_one()

    def experiments(
        self, number: int | None, *, since: datetime | None = None, before: datetime | None = None, team: str | None = None
    ) -> Iterator[builtins.list[Experiment]]:
        """Those of an export, or the finished ones that are in none, in the order in which they finished, some at a time.

        Args:
            since: Not those that finished earlier.
            before: Only those that finished earlier.
            team: Only those that took its share.
        """
        c = experiments.c
        query = _ended(sa.select(*_OWN_COLUMNS), number, since, before, team)
        query = query.order_by(c.finished, c.id).limit(_PAGE)
        page = [_read(row) for row in self.connection.execute(query)]
        while page:
            yield page
            if len(page) < _PAGE:
                return
            last = page[-1]
            after = sa.or_(c.finished > last.finished, sa.and_(c.finished == last.finished, c.id > last.id))
            page = [_read(row) for row in self.connection.execute(query.where(after))]

    def outlines(
        self, number: int | None, *, since: datetime | None = None, before: datetime | None = None, team: str | None = None
    ) -> builtins.list[Ending]:
        """As `experiments`, all at once and in no order; only what is counted, so that there may be a hundred thousand."""
        columns = [experiments.c[name] for name in Ending._fields]
        return [Ending(*row) for row in self.connection.execute(_ended(sa.select(*columns), number, since, before, team))]

    def models_trained(self, ended: Mapping[str, int], entry: str) -> dict[str, int]:
        """Experiment → the trainings that began for it: its runs of `entry`, and the trials of its study that were not copied.

        Args:
            ended: Experiment → generation.
            entry: Of the runs that train.
        """
        found = dict.fromkeys(ended, 0)
        owners = {f"experiment/{e}/run/{generation}": e for e, last in ended.items() for generation in range(1, last + 1)}
        training = sa.type_coerce(runs.c.spec, sa.Text).contains(f'"entry":"{entry}"', autoescape=True)
        for part in parts(builtins.list(owners)):
            query = sa.select(runs.c.owner, sa.func.count()).where(runs.c.owner.in_(part), runs.c.attempt > 0, training)
            for owner, count in self.connection.execute(query.group_by(runs.c.owner)):
                found[owners[owner]] += count
        # A trial that was answered by an earlier one trained nothing.
        own = sa.type_coerce(trials.c.document, sa.Text).contains('"copied_from":null', autoescape=True)
        for part in parts([f"{e}/study" for e in ended]):
            query = sa.select(trials.c.study, sa.func.count()).where(trials.c.study.in_(part), trials.c.state != "PENDING", own)
            for study, count in self.connection.execute(query.group_by(trials.c.study)):
                found[study.removesuffix("/study")] += count
        return found


def _ended(query: sa.Select[Any], number: int | None, since: datetime | None, before: datetime | None, team: str | None) -> sa.Select[Any]:
    c = experiments.c
    query = query.where(c.state == ExperimentState.FINISHED, c.export.is_(None) if number is None else c.export == number)
    if since is not None:
        query = query.where(c.finished >= since)
    if before is not None:
        query = query.where(c.finished < before)
    return query if team is None else query.where(c.quota_group == team)
