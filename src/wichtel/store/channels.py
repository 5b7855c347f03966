"""Channels, and who watches what."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from wichtel.domain import Channel, Experiment, NotificationState, OwnerKind, SubjectKind, Watch
from wichtel.store.repository import Repository, parts
from wichtel.store.tables import channels, notifications, watchers

_COLUMNS = tuple(channels.c[field.name] for field in fields(Channel))


class Channels(Repository):
    """Channels, by id."""

    def add(self, channel: Channel, secret: str) -> None:
        """Add `channel`, whose messages are signed with `secret`."""
        self.insert(channels, {**{c.name: getattr(channel, c.name) for c in _COLUMNS}, "secret": secret})

    def get(self, identity: str) -> Channel:
        """The channel of that id.

        Raises:
            NotFound: there is none.
        """
        found = self.find(identity)
        if found is None:
            raise self.not_found("channel", identity, channels.c.id)
        return found

    def find(self, identity: str) -> Channel | None:
        """The channel of that id, if there is one."""
        row = self.connection.execute(sa.select(*_COLUMNS).where(channels.c.id == identity)).one_or_none()
        return None if row is None else _read(row)

    def secret(self, identity: str) -> str:
        """What its messages are signed with."""
        found: str | None = self.connection.execute(sa.select(channels.c.secret).where(channels.c.id == identity)).scalar_one_or_none()
        return found or ""

    def of(self, users: Iterable[str], teams: Iterable[str]) -> list[Channel]:
        """The channels of these principals and teams, the oldest first."""
        query = sa.select(*_COLUMNS).where(
            sa.or_(
                sa.and_(channels.c.owner_kind == OwnerKind.USER, channels.c.owner.in_(list(users))),
                sa.and_(channels.c.owner_kind == OwnerKind.TEAM, channels.c.owner.in_(list(teams))),
            )
        )
        return [_read(row) for row in self.connection.execute(query.order_by(channels.c.created, channels.c.id))]

    def list(self) -> builtins.list[Channel]:
        """All of them, the oldest first."""
        return [_read(row) for row in self.connection.execute(sa.select(*_COLUMNS).order_by(channels.c.created, channels.c.id))]

    def delete(self, identity: str) -> None:
        """Delete it; what waits for it is dropped.

        Raises:
            NotFound: there is none.
        """
        if not self.connection.execute(sa.delete(channels).where(channels.c.id == identity)).rowcount:
            raise self.not_found("channel", identity, channels.c.id)
        waiting = sa.update(notifications).where(notifications.c.channel == identity, notifications.c.state == NotificationState.WAITING)
        self.connection.execute(waiting.values(state=NotificationState.DROPPED, ended=self.now))


class Watchers(Repository):
    """Who watches what."""

    def add(self, kind: SubjectKind, subject: str, principal: str) -> Watch:
        """Have `principal` told; being there already changes nothing."""
        watch = Watch(kind=kind, subject=subject, principal=principal, created=self.now)
        self.insert(watchers, {c.name: getattr(watch, c.name) for c in watchers.columns})
        return watch

    def remove(self, kind: SubjectKind, subject: str, principal: str) -> bool:
        """Whether it was there."""
        this = (watchers.c.kind == kind, watchers.c.subject == subject, watchers.c.principal == principal)
        return bool(self.connection.execute(sa.delete(watchers).where(*this)).rowcount)

    def of(self, principal: str) -> builtins.list[Watch]:
        """What `principal` watches, the latest first."""
        query = sa.select(watchers).where(watchers.c.principal == principal)
        rows = self.connection.execute(query.order_by(watchers.c.created.desc(), watchers.c.kind, watchers.c.subject))
        return [Watch(**(dict(row._mapping) | {"kind": SubjectKind(row.kind)})) for row in rows]

    def who(self, experiments: Collection[Experiment]) -> dict[str, set[str]]:
        """Experiment → those who watch it, its registration or its model; without those that nobody watches."""
        subjects: dict[SubjectKind, dict[str, set[str]]] = {kind: {} for kind in SubjectKind}
        for e in experiments:
            of = ((SubjectKind.EXPERIMENT, e.id), (SubjectKind.REGISTRATION, e.registration), (SubjectKind.MODEL, e.model))
            for kind, subject in of:
                subjects[kind].setdefault(subject, set()).add(e.id)
        found: dict[str, set[str]] = {}
        for kind, watched in subjects.items():
            for part in parts(list(watched)):
                query = sa.select(watchers.c.subject, watchers.c.principal).where(watchers.c.kind == kind, watchers.c.subject.in_(part))
                for row in self.connection.execute(query):
                    for experiment in watched[row.subject]:
                        found.setdefault(experiment, set()).add(row.principal)
        return found


def _read(row: sa.Row[Any]) -> Channel:
    values = dict(row._mapping)
    return Channel(**(values | {"owner_kind": OwnerKind(values["owner_kind"])}))
