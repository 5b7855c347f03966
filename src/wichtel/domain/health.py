"""How the service stands: its processes, who leads, what waits, what its workers do, its database. All times are aware, UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaHealth:
    """One process of the service."""

    id: str
    roles: tuple[str, ...]
    #: Of its Wichtel.
    version: str
    #: ``draining``: it stops soon, and is not to be sent requests. ``silent``: not heard of for too long; its work is taken over.
    state: Literal["working", "draining", "silent"]
    started: datetime
    #: When it last said that it lives.
    beat: datetime
    #: Where its API listens; empty if it has none.
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderHealth:
    """Who holds a lease."""

    name: str
    #: The replica, or what is known of it; empty if nobody leads.
    holder: str
    #: Goes up with each change of leader.
    token: int
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupHealth:
    """What waits and what goes on in a quota group."""

    name: str
    enqueued: int
    in_progress: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersHealth:
    """The workers of the controller that leads."""

    #: The controller's replica.
    replica: str
    busy: int = 0
    idle: int = 0
    #: Starting or ending.
    changing: int = 0
    quarantined: int = 0
    #: Runs that wait for a worker.
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHealth:
    """A periodic job."""

    name: str
    due: datetime
    started: datetime | None = None
    ended: datetime | None = None
    #: Who carries it out now; empty if nobody.
    holder: str = ""
    #: Why the latest one failed, and how many have since one went well.
    error: str = ""
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseHealth:
    """The database."""

    kind: str
    #: The shortest question, there and back.
    latency_ms: float
    #: The revision of its tables, that of the answering code, and the oldest whose code can use it.
    revision: str
    code: str
    oldest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemHealth:
    """All of it."""

    #: ``ok`` if there are no `problems`.
    status: Literal["ok", "degraded"]
    time: datetime
    #: In words, what somebody should look at.
    problems: tuple[str, ...] = ()
    replicas: tuple[ReplicaHealth, ...] = ()
    leaders: tuple[LeaderHealth, ...] = ()
    groups: tuple[GroupHealth, ...] = ()
    #: State → how many runs are in it, of those that have not ended.
    runs: dict[str, int] = field(default_factory=dict)
    #: None while no controller leads.
    workers: WorkersHealth | None = None
    #: Workflows that are ``enqueued`` and ``underway``.
    workflows: dict[str, int] = field(default_factory=dict)
    jobs: tuple[JobHealth, ...] = ()
    database: DatabaseHealth
