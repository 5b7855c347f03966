"""The order in which waiting runs are handed out."""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wichtel.domain import QuotaGroup, Resources, Run
from wichtel.fleet.room import Room

#: So far into a group's line a run is looked for that fits when the first does not.
_LOOK_AHEAD = 16

#: A run that was passed over by this many others has what it needs kept free for it.
_PATIENCE = 20

#: Sums of fractions are never exact.
_SLACK = 1e-9


@dataclass(slots=True)
class Job:
    """A run that has not ended, and what is going on with it. Times are seconds of the roster's clock."""

    run: Run
    #: Its place in the line; kept when it comes back.
    order: int
    #: Attempts that ended because its worker was lost or a system fault was raised; those a dead controller cut short do not count.
    lost: int = 0
    #: Why somebody canceled it.
    cancel: str | None = None
    #: Why its owner stopped it.
    stop: str | None = None
    not_before: float = 0.0
    deadline: float | None = None
    kill_at: float | None = None
    #: Last step of this attempt.
    step: int | None = None
    passed: int = 0
    #: The graphics processors that are its own while it is at work.
    devices: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.spec.id

    @property
    def place(self) -> tuple[int, int]:
        """What the line of its group is sorted by."""
        return -self.run.spec.priority, self.order


@dataclass(slots=True)
class Amount:
    """What a group's runs occupy, or may occupy still."""

    runs: float = 0.0
    cpus: float = 0.0
    gpus: float = 0.0
    memory_bytes: float = 0.0

    def add(self, need: Resources, sign: int = 1) -> None:
        """Make it larger by one run of `need`, or smaller."""
        self.runs += sign
        self.cpus += sign * need.cpus
        self.gpus += sign * need.gpus
        self.memory_bytes += sign * (need.memory_bytes or 0)

    def holds(self, need: Resources) -> bool:
        """Whether one more run of `need` fits."""
        return (
            self.runs >= 1
            and need.cpus <= self.cpus + _SLACK
            and need.gpus <= self.gpus + _SLACK
            and (need.memory_bytes or 0) <= self.memory_bytes
        )


class Shares:
    """What each group's runs occupy, and how much they may.

    Args:
        seats: The most workers at once.
        capacity: What all runs at once may occupy.
    """

    def __init__(self, seats: int, capacity: Resources) -> None:
        self._whole = Amount(seats, capacity.cpus, capacity.gpus, capacity.memory_bytes or 0)
        self._groups: Mapping[str, QuotaGroup] = {}
        self._used: dict[str, Amount] = defaultdict(Amount)

    def set(self, groups: Iterable[QuotaGroup]) -> bool:
        """Let these be the shares; those of groups that are not named are without limit. Return whether anything changed."""
        limited = {group.name: group for group in groups if group.shares_fleet}
        changed, self._groups = limited != self._groups, limited
        return changed

    def take(self, group: str, need: Resources) -> None:
        """A run of the group is at work."""
        self._used[group].add(need)

    def give(self, group: str, need: Resources) -> None:
        """It is no longer."""
        used = self._used[group]
        used.add(need, -1)
        if used.runs == 0:
            # Nothing is left of roundings.
            del self._used[group]

    def used(self, group: str) -> float:
        """Which part of the fleet the group occupies, of that of which it occupies the largest part (dominant resource fairness).

        Ghodsi et al., "Dominant Resource Fairness: Fair Allocation of Multiple Resource Types", NSDI 2011.
        """
        used, whole = self._used.get(group), self._whole
        if used is None:
            return 0.0
        parts = ((used.runs, whole.runs), (used.cpus, whole.cpus), (used.gpus, whole.gpus), (used.memory_bytes, whole.memory_bytes))
        return max(part / all_ for part, all_ in parts if all_ > 0)

    def left(self, group: str) -> Amount | None:
        """What it may occupy beyond what it does; None if there is no limit but the fleet's."""
        used = self._used.get(group) or Amount()
        return self._beyond(group, used)

    def may_hold(self, group: str, need: Resources) -> bool:
        """Whether a run of `need` fits into the group's share while nothing else of it runs."""
        whole = self._beyond(group, Amount())
        return whole is None or whole.holds(need)

    def _beyond(self, group: str, used: Amount) -> Amount | None:
        share = self._groups.get(group)
        if share is None:
            return None
        return Amount(
            _left(share.max_runs, used.runs),
            _left(share.max_cpus, used.cpus),
            _left(share.max_gpus, used.gpus),
            _left(share.max_memory_bytes, used.memory_bytes),
        )


def _left(most: float | None, used: float) -> float:
    return math.inf if most is None else most - used


@dataclass(slots=True)
class Line:
    """Waiting jobs.

    The group goes first that occupies the smallest part of the fleet, and of several those in turn: so a group gets as much of the fleet as
    any other that has work, whatever its runs are like and however many. Within a group the larger priority goes first; in one priority,
    first come, first served.

    A job that does not fit is passed over by later ones that do, up to a point: then what it needs is kept free until it fits.
    """

    shares: Shares
    #: Group → (place, job), sorted; of several groups the one at the front is next.
    _jobs: dict[str, list[tuple[tuple[int, int], Job]]] = field(default_factory=dict)
    _size: int = 0

    def __len__(self) -> int:
        return self._size

    def put(self, job: Job) -> None:
        """Let it wait."""
        insort(self._jobs.setdefault(job.run.spec.quota_group, []), (job.place, job), key=lambda entry: entry[0])
        self._size += 1

    def remove(self, job: Job) -> None:
        """Let it wait no longer."""
        name = job.run.spec.quota_group
        group = self._jobs[name]
        group.remove((job.place, job))
        if not group:
            del self._jobs[name]
        self._size -= 1

    def take(self, free: Room, now: float) -> Job | None:
        """The next job that fits into `free` and may start, which waits no longer. `free` is not to be reckoned with afterwards."""
        passed: list[Job] = []
        # Sorting keeps the order of equals, in which they take turns.
        for name in sorted(self._jobs, key=self.shares.used) if len(self._jobs) > 1 else list(self._jobs):
            left = self.shares.left(name)
            first = True
            for _, job in self._jobs[name][:_LOOK_AHEAD]:
                if job.not_before > now:
                    continue
                need = job.run.spec.resources
                own = left is None or left.holds(need)
                if own and free.holds(need):
                    self.remove(job)
                    if name in self._jobs:
                        self._jobs[name] = self._jobs.pop(name)
                    for one in passed:
                        one.passed += 1
                    return job
                if first:
                    first = False
                    passed.append(job)
                if job.passed >= _PATIENCE:
                    # Of the fleet only what its group's share has room for: its share is no reason for others to wait.
                    if own:
                        free.take(need)
                    elif left is not None and self.shares.may_hold(name, need):
                        left.add(need, -1)
        return None
