"""What is to be told: a row for each event and channel, written in the transaction that makes the event.

A row is claimed before it is sent, by a conditional update, so that of any number of deliverers one sends it. A claim that nobody settles
is never claimed again: its message may have been sent.
"""

from __future__ import annotations

import builtins
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from wichtel.domain import Experiment, ExperimentState, Notification, NotificationState, OwnerKind
from wichtel.store.page import Page, Stage, fetch
from wichtel.store.repository import Repository
from wichtel.store.tables import experiments, notifications

_COLUMNS = tuple(notifications.c[field.name] for field in fields(Notification))
_WAITING, _SENDING = NotificationState.WAITING, NotificationState.SENDING
#: Most that one look finds: channels, events of each, and registrations whose events go together.
_CHANNELS, _EVENTS, _GROUPS = 100, 50, 2000


@dataclass(frozen=True, slots=True)
class Parcel:
    """What goes as one message: one event, or all of a registration that are there."""

    channel: str
    event: str = ""
    registration: str = ""


class Outbox(Repository):
    """Notifications, by event and channel."""

    def add(self, ended: Collection[Experiment]) -> int:
        """Tell of the end of each of `ended` on every channel that is to hear of it; return how many notifications that makes."""
        watching = self.tx.watchers.who(ended)
        people = {experiment.id: {experiment.owner, *watching.get(experiment.id, ())} for experiment in ended}
        everybody = set[str]().union(*people.values())
        channels = self.tx.channels.of(everybody - self.tx.principals.disabled(everybody), {experiment.quota_group for experiment in ended})
        told = [
            (experiment, channel)
            for channel in channels
            for experiment in ended
            if (channel.owner in people[experiment.id] if channel.owner_kind is OwnerKind.USER else channel.owner == experiment.quota_group)
            and (not channel.events or experiment.status in channel.events)
        ]
        rows = [
            {
                "event": f"experiment/{experiment.id}/finished",
                "channel": channel.id,
                "kind": channel.kind,
                "owner_kind": channel.owner_kind,
                "owner": channel.owner,
                "experiment": experiment.id,
                "registration": experiment.registration,
                "state": _WAITING,
                "attempts": 0,
                "due": self.now,
                "created": self.now,
                "claim": "",
                "error": "",
            }
            for experiment, channel in told
        ]
        return self.insert(notifications, rows)

    def ready(self, digested: Collection[str], wait: timedelta, *, without: Collection[str] = ()) -> builtins.list[Parcel]:
        """What is to be sent now, some of it for each channel.

        Args:
            digested: The kinds of channels whose notifications of a registration go together, once all its experiments have finished.
            wait: Or once the first has waited so long.
            without: Channels that are passed over.
        """
        table = notifications.c
        due = sa.and_(table.state == _WAITING, table.due <= self.now, table.channel.not_in(without))
        alone = sa.and_(due, table.kind.not_in(digested))
        waiting = sa.select(table.channel).where(alone).group_by(table.channel).order_by(sa.func.min(table.due)).limit(_CHANNELS)
        found: builtins.list[Parcel] = []
        for channel in self.connection.execute(waiting).scalars().all():
            events = sa.select(table.event).where(alone, table.channel == channel).order_by(table.due, table.event).limit(_EVENTS)
            found += [Parcel(channel, event=event) for event in self.connection.execute(events).scalars()]
        together = (
            sa.select(table.channel, table.registration, sa.func.max(table.attempts), sa.func.min(table.created))
            .where(due, table.kind.in_(digested))
            .group_by(table.channel, table.registration)
            .order_by(sa.func.min(table.due))
            .limit(_GROUPS)
        )
        groups = list(self.connection.execute(together))
        unfinished = self.unfinished({row.registration for row in groups})
        for channel, registration, attempts, first in groups:
            # One that was tried already does not wait for more.
            if attempts or first <= self.now - wait or registration not in unfinished:
                found.append(Parcel(channel, registration=registration))
        return found

    def unfinished(self, registrations: Collection[str]) -> set[str]:
        """Those of `registrations` that have an experiment that has not finished."""
        wanted = sorted(registrations)
        if not wanted:
            return set()
        going_on = sa.and_(experiments.c.registration.in_(wanted), experiments.c.state != ExperimentState.FINISHED)
        return set(self.connection.execute(sa.select(experiments.c.registration).where(going_on).distinct()).scalars())

    def claim(self, parcel: Parcel, claim: str) -> builtins.list[Notification]:
        """Take what belongs to `parcel` and waits, under the name `claim`; empty if another was first."""
        table = notifications.c
        this = table.event == parcel.event if parcel.event else table.registration == parcel.registration
        take = sa.update(notifications).where(table.channel == parcel.channel, this, table.state == _WAITING, table.due <= self.now)
        self.connection.execute(take.values(state=_SENDING, claim=claim, claimed=self.now, attempts=table.attempts + 1))
        return self.claimed(claim)

    def claimed(self, claim: str) -> builtins.list[Notification]:
        """What was taken under that name."""
        query = sa.select(*_COLUMNS).where(notifications.c.claim == claim).order_by(notifications.c.created, notifications.c.event)
        return [_read(row) for row in self.connection.execute(query)]

    def settle(self, claim: str, state: NotificationState, error: str = "", due: datetime | None = None) -> bool:
        """Note what came of the sending; False if it is too late, since it has been given up as unknown.

        Args:
            claim: What it was taken under.
            state: `WAITING` to try again at `due`.
            error: Why it is not `SENT`.
            due: When to try again.
        """
        change: dict[str, Any] = {"state": state, "error": error}
        change |= {"claim": "", "due": due or self.now} if state is _WAITING else {"ended": self.now}
        mine = (notifications.c.claim == claim, notifications.c.state == _SENDING)
        return bool(self.connection.execute(sa.update(notifications).where(*mine).values(change)).rowcount)

    def give_up_claims(self, before: datetime, error: str) -> int:
        """What was taken before then and never settled may have been sent: it is not sent again. Return how many those are."""
        late = (notifications.c.state == _SENDING, notifications.c.claimed < before)
        change = {"state": NotificationState.UNKNOWN, "ended": self.now, "error": error}
        return self.connection.execute(sa.update(notifications).where(*late).values(change)).rowcount

    def list(
        self,
        *,
        users: Collection[str] | None = None,
        teams: Collection[str] = (),
        experiment: str | None = None,
        state: NotificationState | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Notification]:
        """The latest first.

        Args:
            users: Of channels of these principals,
            teams: or of these teams; None for all channels.
            experiment: Of this one.
            state: In this one.
            limit: At most 1,000.
            cursor: `Page.cursor` of the page before.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        table = notifications.c
        query = sa.select(*_COLUMNS)
        if users is not None:
            mine = sa.and_(table.owner_kind == OwnerKind.USER, table.owner.in_(list(users)))
            ours = sa.and_(table.owner_kind == OwnerKind.TEAM, table.owner.in_(list(teams)))
            query = query.where(sa.or_(mine, ours))
        if experiment is not None:
            query = query.where(table.experiment == experiment)
        if state is not None:
            query = query.where(table.state == state)
        latest = Stage(query, (table.created, table.event, table.channel), descending=True)
        return fetch(self.connection, [latest], _read, limit=limit, cursor=cursor)


def _read(row: sa.Row[Any]) -> Notification:
    values = {column.name: row._mapping[column.name] for column in _COLUMNS}
    return Notification(**(values | {"state": NotificationState(values["state"]), "owner_kind": OwnerKind(values["owner_kind"])}))
