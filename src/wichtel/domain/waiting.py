"""What waits, and why, in words and in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wichtel.domain.quota import Limit, Pause, QuotaGroup
from wichtel.domain.states import ExperimentState


class WaitKind(StrEnum):
    """What an experiment waits for."""

    #: Its group is paused.
    PAUSED = "paused"
    #: As many of its group are in progress as may be.
    GROUP_FULL = "group_full"
    #: A limit of its user or protocol is reached.
    LIMIT = "limit"
    #: Nothing: it is started with the scheduler's next look.
    STARTING = "starting"
    #: Its runs: for a free worker.
    WORKER = "worker"
    #: Its runs: for other runs of its group, which occupy all of the group's share of the fleet.
    FLEET_SHARE = "fleet_share"
    #: Its baseline, which a run trains that another experiment submitted.
    BASELINE = "baseline"
    #: Nothing: workers are at its runs, or its steps go on.
    AT_WORK = "at_work"
    #: Nothing: it has finished.
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitReason:
    """One thing that an experiment waits for."""

    kind: WaitKind
    #: In words.
    text: str
    paused: Pause | None = None
    limit: Limit | None = None
    #: How many there are of what is limited, and how many there may be.
    used: float | None = None
    most: float | None = None
    #: When a limit of starts lets it start at the earliest.
    next: datetime | None = None
    #: The run of another experiment that it waits for, and that experiment.
    run: str = ""
    experiment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Why an experiment waits. All that it waits for has to come about; the first reason is the one that takes longest, as far as known."""

    experiment: str
    state: ExperimentState
    quota_group: str
    owner: str
    protocol: str
    model: str
    priority: int
    #: Since when it has been in this state.
    since: datetime
    #: In words, all the reasons.
    text: str
    reasons: tuple[WaitReason, ...]
    #: Of an ENQUEUED one: its place in the line of its group, from 1. Those before it that a limit holds back are counted.
    position: int | None = None
    #: Of one IN_PROGRESS: its runs that wait, and the runs of its group that are before the first of them.
    runs_waiting: int = 0
    runs_before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatus:
    """How a group stands."""

    group: QuotaGroup
    in_progress: int
    #: ENQUEUED.
    waiting: int
    #: When the one was registered that has waited longest.
    oldest_waiting: datetime | None = None
    #: Of its runs: those at work with what they occupy, and those that wait for a worker.
    runs: int = 0
    cpus: float = 0.0
    gpus: float = 0.0
    memory_bytes: int = 0
    runs_waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The groups, and a page of the experiments that are ENQUEUED: group by group, each in the order in which they start."""

    groups: tuple[GroupStatus, ...]
    items: tuple[Waiting, ...]
    #: For the next page; None if this is the last.
    cursor: str | None = None
