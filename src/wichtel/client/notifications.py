"""Who is told of what, how, and what became of it; failures that somebody has to look into."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from wichtel.client.connection import Connection
from wichtel.domain import Channel, ExperimentStatus, Notification, NotificationState, SubjectKind, Watch
from wichtel.store import codec

if TYPE_CHECKING:
    from wichtel.experiments.notifications import NewChannel, Tried
    from wichtel.store import Case, TriageState


class Channels:
    """Ways to be told."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, kind: str, address: str = "", *, team: str | None = None, events: Sequence[ExperimentStatus] = ()) -> NewChannel:
        """Add one.

        Args:
            kind: ``email``, ``webhook``, ``slack``, or the kind of a plug-in.
            address: An e-mail address or a URL; empty for your own e-mail address.
            team: The team whose it is; by default it is your own.
            events: The endings that it hears of; none stand for all.

        Raises:
            InvalidInput: no such kind, or an address that cannot be told.
        """
        from wichtel.experiments.notifications import NewChannel

        body = {"kind": kind, "address": address, "team": team, "events": list(events)}
        return codec.read(self._connection.call("POST", "/v1/channels", body=body).content, NewChannel)

    def list(self, *, everyone: bool = False) -> builtins.list[Channel]:
        """Your own and those of your teams; with `everyone`, which needs the role admin, all."""
        return self._connection.all(Channel, "/v1/channels", everyone=everyone)

    def get(self, identity: str) -> Channel:
        """One channel.

        Raises:
            NotFound: there is none that you may know of.
        """
        return self._connection.get(Channel, f"/v1/channels/{quote(identity)}")

    def delete(self, identity: str) -> None:
        """Delete one; what waits for it is dropped.

        Raises:
            NotFound: there is none that you may know of.
        """
        self._connection.call("DELETE", f"/v1/channels/{quote(identity)}")

    def test(self, identity: str) -> Tried:
        """Send a test, and wait for what comes of it.

        Raises:
            NotFound: there is none that you may know of.
        """
        from wichtel.experiments.notifications import Tried

        return codec.read(self._connection.call("POST", f"/v1/channels/{quote(identity)}:test").content, Tried)


class Watches:
    """What you want to be told of beyond what is yours."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, kind: SubjectKind | str, subject: str) -> Watch:
        """Be told of an experiment, of a registration's experiments, of a model's.

        Args:
            kind: ``experiment``, ``registration`` or ``model``.
            subject: Its id or name.

        Raises:
            NotFound: there is no such thing.
        """
        answer = self._connection.call("POST", "/v1/watches", body={"kind": kind, "subject": subject})
        return codec.read(answer.content, Watch)

    def remove(self, kind: SubjectKind | str, subject: str) -> None:
        """Be told no more.

        Raises:
            NotFound: it was not watched.
        """
        self._connection.call("DELETE", "/v1/watches", query={"kind": kind, "subject": subject})

    def list(self) -> builtins.list[Watch]:
        """What you watch, the latest first."""
        return self._connection.all(Watch, "/v1/watches")


class Notifications:
    """What was told, and is to be told."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(
        self,
        *,
        experiment: str | None = None,
        state: NotificationState | None = None,
        everyone: bool = False,
        limit: int | None = 100,
    ) -> builtins.list[Notification]:
        """On your channels and those of your teams, the latest first.

        Args:
            experiment: Of this one.
            state: In this one.
            everyone: On all channels; needs the role admin.
            limit: None for all.
        """
        return self._connection.pages(
            Notification, "/v1/notifications", limit, experiment=experiment, state=state, everyone=everyone or None
        )


class Triage:
    """Failures that somebody has to look into."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, state: TriageState | None = None, limit: int | None = 100) -> builtins.list[Case]:
        """Cases, the latest first.

        Args:
            state: In this one.
            limit: None for all.
        """
        from wichtel.store import Case

        return self._connection.pages(Case, "/v1/triage", limit, state=state)

    def get(self, case: str) -> Case:
        """One case.

        Raises:
            NotFound: there is none.
        """
        from wichtel.store import Case

        return self._connection.get(Case, f"/v1/triage/{quote(case)}")

    def resolve(self, case: str, state: TriageState | str, note: str = "") -> Case:
        """Say what became of it; needs the role admin.

        Args:
            case: Its fingerprint.
            state: ``open``, ``known`` or ``fixed``.
            note: For whoever meets it next.

        Raises:
            NotFound: there is none.
        """
        from wichtel.store import Case

        body = {"state": state, "note": note}
        answer = self._connection.call("POST", f"/v1/triage/{quote(case)}:resolve", body=body)
        return codec.read(answer.content, Case)
