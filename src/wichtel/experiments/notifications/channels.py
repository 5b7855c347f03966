"""Channels, watches and notifications, as the API offers them."""

from __future__ import annotations

import builtins
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from wichtel.domain import (
    Channel,
    ExperimentStatus,
    InvalidInput,
    NotFound,
    Notification,
    NotificationState,
    OwnerKind,
    SubjectKind,
    TooManyRequests,
    Watch,
    did_you_mean,
)
from wichtel.experiments.ids import new_id
from wichtel.experiments.notifications.deliverer import attempt
from wichtel.experiments.notifications.message import Message
from wichtel.experiments.notifications.port import Notifier
from wichtel.experiments.principal import Principal
from wichtel.store import Database, Page

#: A principal or a team needs no more.
MOST_CHANNELS = 50
MOST_WATCHES = 1000
#: Tests that somebody may send in a minute: an address need not be their own, and whoever has it did not ask for mail.
MOST_TESTS = 10
_MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChannel:
    """A channel that was just added."""

    channel: Channel
    #: What its messages are signed with, told this once; empty if they are not.
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of trying a channel out."""

    #: ``sent``, or ``unknown`` if it may have arrived; ``failed`` if it surely did not.
    state: NotificationState
    error: str = ""


class Channels:
    """Who is told, and how.

    Args:
        db: Where they live.
        notifiers: By kind.
    """

    def __init__(self, db: Database, notifiers: Mapping[str, Notifier]) -> None:
        self._db = db
        self._notifiers = notifiers
        #: Principal → when they sent tests, by `time.monotonic`.
        self._tests: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of channels that can be added here."""
        return tuple(sorted(self._notifiers))

    def add(
        self,
        principal: Principal,
        kind: str,
        address: str = "",
        *,
        team: str | None = None,
        events: tuple[ExperimentStatus, ...] = (),
    ) -> NewChannel:
        """Add a channel.

        Args:
            principal: Who asks, and whose it is without a `team`.
            kind: Of a notifier.
            address: By default, of an e-mail, the principal's.
            team: Whose it is: it hears of all experiments that take this team's share.
            events: The endings that it hears of; none stand for all.

        Raises:
            InvalidInput: no such kind, an address that cannot or may not be told, or too many channels.
            NotPermitted: it is a team's, and `principal` is no editor there.
        """
        owner_kind, owner = (OwnerKind.USER, principal.name) if team is None else (OwnerKind.TEAM, team)
        self._permit(principal, owner_kind, owner)
        notifier = self._notifier(kind)
        if not address and kind == "email" and team is None:
            address = principal.email or ""
        address = notifier.check(address.strip())
        secret = "whsec_" + secrets.token_urlsafe(32) if notifier.signs else ""
        with self._db.transaction() as tx:
            there = tx.channels.of([owner] if team is None else [], [] if team is None else [owner])
            if len(there) >= MOST_CHANNELS:
                raise InvalidInput(f"{owner} has {len(there)} channels already.", hint="Delete one first.")
            channel = Channel(
                id=new_id("ch"),
                owner_kind=owner_kind,
                owner=owner,
                kind=kind,
                address=address,
                events=tuple(dict.fromkeys(events)),
                created=tx.now,
            )
            tx.channels.add(channel, secret)
            tx.audit.add(principal.name, "add_channel", channel.id, {"kind": kind, "owner": owner, "address": notifier.show(address)})
        return NewChannel(channel=self._shown(channel), secret=secret)

    def list(self, principal: Principal, *, everyone: bool = False) -> builtins.list[Channel]:
        """The principal's own and those of its teams.

        Args:
            principal: Who asks.
            everyone: All there are.

        Raises:
            NotPermitted: all are asked for, and `principal` is no admin.
        """
        if everyone:
            principal.permit("see_notifications")
        with self._db.read() as tx:
            found = tx.channels.list() if everyone else tx.channels.of([principal.name], principal.teams)
        return [self._shown(channel) for channel in found]

    def get(self, identity: str, principal: Principal) -> Channel:
        """One channel.

        Raises:
            NotFound: there is none, or none that `principal` may know of.
        """
        return self._shown(self._get(identity, principal))

    def delete(self, identity: str, principal: Principal) -> None:
        """Delete a channel; what waits for it is dropped.

        Raises:
            NotFound: there is none, or none that `principal` may know of.
            NotPermitted: it is another's.
        """
        channel = self._get_to_change(identity, principal)
        with self._db.transaction() as tx:
            tx.channels.delete(identity)
            tx.audit.add(principal.name, "delete_channel", identity, {"kind": channel.kind, "owner": channel.owner})

    def test(self, identity: str, principal: Principal) -> Tried:
        """Send a message that says that it is a test.

        Raises:
            NotFound: there is none, or none that `principal` may know of.
            NotPermitted: it is another's.
            TooManyRequests: the principal sent many of them just now.
        """
        channel = self._get_to_change(identity, principal)
        self._count_test(principal.name)
        with self._db.read() as tx:
            secret = tx.channels.secret(identity)
        message = Message(id=secrets.token_hex(16), items=(), test=True)
        state, error = attempt(self._notifier(channel.kind), message, channel.address, secret)
        return Tried(state=NotificationState.FAILED if state is NotificationState.WAITING else state, error=error)

    def _count_test(self, name: str) -> None:
        with self._lock:
            sent = self._tests.setdefault(name, deque(maxlen=MOST_TESTS))
            now = time.monotonic()
            if len(sent) == MOST_TESTS and now - sent[0] < _MINUTE:
                raise TooManyRequests(f"{name} sent {MOST_TESTS} tests within a minute.", hint="Wait a minute.")
            sent.append(now)

    def watch(self, kind: SubjectKind, subject: str, principal: Principal) -> Watch:
        """Be told of an experiment, of a registration's, of a model's. Doing it twice is doing it once.

        Raises:
            NotFound: there is no such thing.
            InvalidInput: too many.
        """
        principal.permit("watch")
        with self._db.transaction() as tx:
            if kind is SubjectKind.EXPERIMENT:
                tx.experiments.get(subject)
            elif kind is SubjectKind.REGISTRATION:
                tx.registrations.get(subject)
            else:
                tx.models.get(subject)
            watched = tx.watchers.of(principal.name)
            for watch in watched:
                if (watch.kind, watch.subject) == (kind, subject):
                    return watch
            if len(watched) >= MOST_WATCHES:
                raise InvalidInput(f"{principal.name} watches {len(watched)} things already.", hint="Stop watching one first.")
            tx.audit.add(principal.name, "watch", subject, {"kind": kind})
            return tx.watchers.add(kind, subject, principal.name)

    def unwatch(self, kind: SubjectKind, subject: str, principal: Principal) -> None:
        """Be told no more.

        Raises:
            NotFound: it was not watched.
        """
        principal.permit("watch")
        with self._db.transaction() as tx:
            if not tx.watchers.remove(kind, subject, principal.name):
                raise NotFound(f"{principal.name} does not watch {kind} {subject!r}.")
            tx.audit.add(principal.name, "unwatch", subject, {"kind": kind})

    def watches(self, principal: Principal) -> builtins.list[Watch]:
        """What the principal watches, the latest first."""
        with self._db.read() as tx:
            return tx.watchers.of(principal.name)

    def notifications(
        self,
        principal: Principal,
        *,
        everyone: bool = False,
        experiment: str | None = None,
        state: NotificationState | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Notification]:
        """What was told or is to be told on channels of the principal and its teams, the latest first.

        Args:
            principal: Who asks.
            everyone: On all channels.
            experiment: Of this one.
            state: In this one.
            limit: At most 1,000.
            cursor: `Page.cursor` of the page before.

        Raises:
            NotPermitted: all are asked for, and `principal` is no admin.
        """
        if everyone:
            principal.permit("see_notifications")
        users = None if everyone else [principal.name]
        with self._db.read() as tx:
            return tx.outbox.list(users=users, teams=principal.teams, experiment=experiment, state=state, limit=limit, cursor=cursor)

    def _get(self, identity: str, principal: Principal) -> Channel:
        with self._db.read() as tx:
            channel = tx.channels.find(identity)
        if channel is not None:
            mine = channel.owner == principal.name if channel.owner_kind is OwnerKind.USER else channel.owner in principal.teams
            if mine or principal.may("see_notifications"):
                return channel
        raise NotFound(f"there is no channel {identity!r}.", hint="See `wichtel channels list`.")

    def _get_to_change(self, identity: str, principal: Principal) -> Channel:
        try:
            channel = self._get(identity, principal)
        except NotFound:
            # Who could change no channel at all is told so.
            principal.permit("change_channel", owner=principal.name)
            raise
        self._permit(principal, channel.owner_kind, channel.owner)
        return channel

    def _permit(self, principal: Principal, owner_kind: OwnerKind, owner: str) -> None:
        if owner_kind is OwnerKind.USER:
            principal.permit("change_channel", owner=owner)
        else:
            principal.permit("change_channel", team=owner)

    def _notifier(self, kind: str) -> Notifier:
        if kind not in self._notifiers:
            raise InvalidInput(f"there is no kind of channel {kind!r}.", where="kind", hint=did_you_mean(kind, self._notifiers))
        return self._notifiers[kind]

    def _shown(self, channel: Channel) -> Channel:
        notifier = self._notifiers.get(channel.kind)
        return replace(channel, address=notifier.show(channel.address) if notifier is not None else "")
