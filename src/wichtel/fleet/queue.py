"""The order in which waiting runs are handed out."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

from wichtel.domain import Run
from wichtel.fleet.room import Room

#: So far into a group's line a run is looked for that fits when the first does not.
_LOOK_AHEAD = 16

#: A run that was passed over by this many others has what it needs kept free for it.
_PATIENCE = 20


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


@dataclass(slots=True)
class Line:
    """Waiting jobs: larger priority first; within one priority the quota groups in turn; within a group, first come, first served.

    A job that does not fit is passed over by later ones that do, up to a point: then what it needs is kept free until it fits.
    """

    #: priority → group → (order, job), sorted; the group at the front is next.
    _jobs: dict[int, dict[str, list[tuple[int, Job]]]] = field(default_factory=dict)
    _size: int = 0

    def __len__(self) -> int:
        return self._size

    def put(self, job: Job) -> None:
        """Let it wait."""
        spec = job.run.spec
        group = self._jobs.setdefault(spec.priority, {}).setdefault(spec.quota_group, [])
        insort(group, (job.order, job), key=lambda entry: entry[0])
        self._size += 1

    def remove(self, job: Job) -> None:
        """Let it wait no longer."""
        spec = job.run.spec
        groups = self._jobs[spec.priority]
        group = groups[spec.quota_group]
        group.remove((job.order, job))
        if not group:
            del groups[spec.quota_group]
        if not groups:
            del self._jobs[spec.priority]
        self._size -= 1

    def take(self, free: Room, now: float) -> Job | None:
        """The next job that fits into `free` and may start, which waits no longer. `free` is not to be reckoned with afterwards."""
        first_passed: Job | None = None
        for priority in sorted(self._jobs, reverse=True):
            groups = self._jobs[priority]
            for name, group in groups.items():
                for _, job in group[:_LOOK_AHEAD]:
                    if job.not_before > now:
                        continue
                    if free.holds(job.run.spec.resources):
                        self.remove(job)
                        if name in groups:
                            groups[name] = groups.pop(name)
                        if first_passed is not None:
                            first_passed.passed += 1
                        return job
                    if first_passed is None:
                        first_passed = job
                    if job.passed >= _PATIENCE:
                        free.take(job.run.spec.resources)
        return None
