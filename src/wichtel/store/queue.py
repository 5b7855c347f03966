"""What waits: experiments in the lines of their groups, runs for workers."""

from __future__ import annotations

import base64
import builtins
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import msgspec
import sqlalchemy as sa

from wichtel.domain import ExperimentState, InvalidInput, RunSpec, RunState
from wichtel.store.repository import Repository
from wichtel.store.tables import experiments, runs

_ENQUEUED, _IN_PROGRESS = ExperimentState.ENQUEUED, ExperimentState.IN_PROGRESS
_WAITING_RUNS = (RunState.PENDING, RunState.PREEMPTED)
#: A line: the highest priority first, within one who has waited longest.
_C = experiments.c
_ORDER = (_C.priority.desc(), _C.created, _C.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An experiment, as far as its place in line goes."""

    id: str
    quota_group: str
    owner: str
    protocol: str
    model: str
    priority: int
    created: datetime
    started: datetime | None
    state: ExperimentState
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The line of a group: how many, and since when the first of them to come has waited."""

    waiting: int
    oldest: datetime


_COLUMNS = tuple(_C[field.name] for field in fields(Place))


class Queue(Repository):
    """What waits. Only asks; what starts is moved by `Experiments` and by the fleet's log."""

    def lines(self) -> dict[str, Line]:
        """Quota group → the line of its ENQUEUED experiments; without those where nobody waits."""
        query = sa.select(_C.quota_group, sa.func.count().label("n"), sa.func.min(_C.created, type_=_C.created.type).label("oldest"))
        query = query.where(_C.state == _ENQUEUED).group_by(_C.quota_group).order_by(_C.quota_group)
        return {row.quota_group: Line(waiting=row.n, oldest=row.oldest) for row in self.connection.execute(query)}

    def groups(self) -> builtins.list[str]:
        """The quota groups that have an ENQUEUED experiment, in the order of names."""
        query = sa.select(_C.quota_group).where(_C.state == _ENQUEUED).distinct()
        return list(self.connection.execute(query.order_by(_C.quota_group)).scalars())

    def in_progress(self) -> Counter[tuple[str, str, str]]:
        """How many experiments of a (group, owner, protocol) are IN_PROGRESS."""
        query = sa.select(_C.quota_group, _C.owner, _C.protocol, sa.func.count()).where(_C.state == _IN_PROGRESS)
        rows = self.connection.execute(query.group_by(_C.quota_group, _C.owner, _C.protocol))
        return Counter({(row[0], row[1], row[2]): row[3] for row in rows})

    def starts(self, since: datetime) -> builtins.list[tuple[datetime, str, str, str]]:
        """Time, group, owner and protocol of each start after `since` that did not come to nothing, oldest first."""
        query = sa.select(_C.started, _C.quota_group, _C.owner, _C.protocol).where(_C.started > since).order_by(_C.started)
        return [(row[0], row[1], row[2], row[3]) for row in self.connection.execute(query)]

    def started_before(self, before: datetime) -> builtins.list[tuple[str, int, bool]]:
        """IN_PROGRESS experiments that were started before: id, generation, whether a workflow has taken it up."""
        query = sa.select(_C.id, _C.generation, _C.workflow != "").where(_C.state == _IN_PROGRESS, _C.started < before).order_by(_C.id)
        return [(row[0], row[1], bool(row[2])) for row in self.connection.execute(query)]

    def unfinished_before(self, before: datetime, limit: int) -> builtins.list[str]:
        """The first `limit` of those that were registered before and have not finished; nobody else moves them meanwhile."""
        query = sa.select(_C.id).where(_C.state.in_([_ENQUEUED, _IN_PROGRESS]), _C.created < before).order_by(_C.id).limit(limit)
        return list(self.connection.execute(query.with_for_update()).scalars())

    def next_of(
        self, group: str, limit: int, *, not_owners: Collection[str] = (), not_protocols: Collection[str] = ()
    ) -> builtins.list[Place]:
        """The first `limit` of a group's line, passing over those of some owners and protocols."""
        query = sa.select(*_COLUMNS).where(_C.state == _ENQUEUED, _C.quota_group == group).order_by(*_ORDER).limit(limit)
        if not_owners:
            query = query.where(_C.owner.not_in(sorted(not_owners)))
        if not_protocols:
            query = query.where(_C.protocol.not_in(sorted(not_protocols)))
        return [_place(row) for row in self.connection.execute(query)]

    def position(self, place: Place) -> int:
        """Its place in the line of its group, from 1."""
        before = sa.or_(
            _C.priority > place.priority,
            sa.and_(
                _C.priority == place.priority,
                sa.or_(_C.created < place.created, sa.and_(_C.created == place.created, _C.id < place.id)),
            ),
        )
        query = sa.select(sa.func.count()).where(_C.state == _ENQUEUED, _C.quota_group == place.quota_group, before)
        return int(self.connection.execute(query).scalar_one()) + 1

    def place(self, experiment_id: str) -> Place:
        """Where an experiment stands.

        Raises:
            NotFound: there is none of that id.
        """
        row = self.connection.execute(sa.select(*_COLUMNS).where(_C.id == experiment_id)).one_or_none()
        if row is None:
            raise self.not_found("experiment", experiment_id, _C.id)
        return _place(row)

    def page(
        self, limit: int, cursor: str | None = None, *, group: str | None = None
    ) -> tuple[builtins.list[tuple[Place, int]], str | None]:
        """ENQUEUED experiments with their places in line, group by group; and where to go on, if there are more.

        Args:
            limit: At most so many.
            cursor: As the page before gave it.
            group: Of this one alone.

        Raises:
            InvalidInput: it is no cursor.
        """
        query = sa.select(*_COLUMNS).where(_C.state == _ENQUEUED).order_by(_C.quota_group, *_ORDER).limit(limit + 1)
        if group is not None:
            query = query.where(_C.quota_group == group)
        position = 0
        if cursor is not None:
            name, priority, created, identity, position = _read_cursor(cursor)
            after = sa.or_(
                _C.priority < priority,
                sa.and_(_C.priority == priority, sa.or_(_C.created > created, sa.and_(_C.created == created, _C.id > identity))),
            )
            query = query.where(sa.or_(_C.quota_group > name, sa.and_(_C.quota_group == name, after)))
        else:
            name = ""
        found: list[tuple[Place, int]] = []
        for place in map(_place, self.connection.execute(query)):
            # Counted on from the page before: who left the line meanwhile makes it a little too large, for this one look.
            position = position + 1 if place.quota_group == name else 1
            name = place.quota_group
            found.append((place, position))
        if len(found) <= limit:
            return found, None
        last, position = found[limit - 1]
        return found[:limit], _cursor(last, position)

    # Runs

    def runs_at_work(self) -> builtins.list[RunSpec]:
        """Those that workers carry out."""
        return list(self.connection.execute(sa.select(runs.c.spec).where(runs.c.state == RunState.RUNNING)).scalars())

    def runs_waiting(self) -> Counter[str]:
        """Quota group → runs that wait for a worker."""
        query = sa.select(runs.c.quota_group, sa.func.count()).where(runs.c.state.in_(_WAITING_RUNS)).group_by(runs.c.quota_group)
        return Counter({row[0] or "": row[1] for row in self.connection.execute(query)})

    def runs_of(self, owners: Sequence[str]) -> tuple[int, int, RunSpec | None]:
        """Of the runs of these owners: how many are at work, how many wait, and the first of those that wait."""
        mine = runs.c.owner.in_(owners)
        query = sa.select(runs.c.state, sa.func.count()).where(mine, runs.c.state.in_([RunState.RUNNING, *_WAITING_RUNS]))
        counts = {row[0]: row[1] for row in self.connection.execute(query.group_by(runs.c.state))}
        first = sa.select(runs.c.spec).where(mine, runs.c.state.in_(_WAITING_RUNS)).order_by(runs.c.priority.desc(), runs.c.number).limit(1)
        spec: RunSpec | None = self.connection.execute(first).scalar_one_or_none()
        return counts.get(RunState.RUNNING, 0), sum(counts.get(state, 0) for state in _WAITING_RUNS), spec

    def runs_before(self, spec: RunSpec) -> int:
        """How many waiting runs of its group are handed out before it."""
        number = sa.select(runs.c.number).where(runs.c.id == spec.id).scalar_subquery()
        before = sa.or_(runs.c.priority > spec.priority, sa.and_(runs.c.priority == spec.priority, runs.c.number < number))
        query = sa.select(sa.func.count()).where(runs.c.state.in_(_WAITING_RUNS), runs.c.quota_group == spec.quota_group, before)
        return int(self.connection.execute(query).scalar_one())


def _place(row: sa.Row[tuple[object, ...]]) -> Place:
    return Place(**(dict(row._mapping) | {"state": ExperimentState(row.state)}))


def _cursor(place: Place, position: int) -> str:
    plain = (place.quota_group, place.priority, place.created, place.id, position)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(plain)).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[str, int, datetime, str, int]:
    try:
        plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        read = msgspec.msgpack.decode(plain, type=tuple[str, int, datetime, str, int])
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput(f"{cursor!r} is no cursor.", where="cursor", hint="Give the one that came with the page before.") from error
    if read[2].tzinfo is None:
        raise InvalidInput(f"{cursor!r} is no cursor.", where="cursor")
    return read
