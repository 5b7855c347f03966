"""Who is told of what, by which way, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wichtel.domain.states import ExperimentStatus


class OwnerKind(StrEnum):
    """Whose a channel is."""

    #: One principal's: it hears of what that one owns or watches.
    USER = "user"
    #: A team's: it hears of all experiments that take the team's share.
    TEAM = "team"


class SubjectKind(StrEnum):
    """What can be watched."""

    EXPERIMENT = "experiment"
    REGISTRATION = "registration"
    MODEL = "model"


class NotificationState(StrEnum):
    """Where a notification stands."""

    #: To be sent, for the first time or again.
    WAITING = "waiting"
    #: Being sent.
    SENDING = "sending"
    SENT = "sent"
    #: It was sent, or about to be, when the connection or the service broke: it may have arrived, and is not sent again.
    UNKNOWN = "unknown"
    #: Refused again and again, for a day.
    FAILED = "failed"
    #: Its channel was deleted before it was sent.
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A way to tell somebody. Times are aware, UTC."""

    id: str
    owner_kind: OwnerKind
    #: Name of the principal or team.
    owner: str
    #: Name of a notifier: ``email``, ``webhook``, ``slack``.
    kind: str
    #: An e-mail address or a URL.
    address: str
    #: The endings that it hears of; none stand for all.
    events: tuple[ExperimentStatus, ...] = ()
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Somebody wants to be told."""

    kind: SubjectKind
    #: Id of the experiment or registration, or name of the model.
    subject: str
    principal: str
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One event for one channel. Times are aware, UTC."""

    #: Such as ``experiment/e-1/finished``.
    event: str
    channel: str
    kind: str
    owner_kind: OwnerKind
    owner: str
    experiment: str
    registration: str
    state: NotificationState
    #: How often it was tried.
    attempts: int
    #: When it may be tried next.
    due: datetime
    created: datetime
    #: When the latest attempt began.
    claimed: datetime | None = None
    #: When its state became one that stays.
    ended: datetime | None = None
    #: What came of the latest attempt, if it was no success.
    error: str = ""
