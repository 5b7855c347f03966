"""Which ENQUEUED experiments start: of a random quota group that is not full its next; until no group has both work and room.

No group ever exceeds its share and no user or protocol a limit, because the groups are locked while experiments are chosen; no group
starves, because every group with work and room is as likely as any other, whatever the length of its queue (heinzelmaennchen, III-C).
Within a group the highest priority goes first, and within one priority who has waited longest. There is no ageing: who waits behind higher
priorities does so because the group's own members say so, and a priority that grows by itself would make theirs mean nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from wichtel.domain import ALL, Limit, LimitKind, QuotaGroup
from wichtel.store import Transaction
from wichtel.store.queue import Place

#: In one transaction, so that the first need not wait for the last of hundreds.
MOST_AT_ONCE = 50
#: Read of a line at first; more if limits hold these back.
_LOOK = 20
_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit that holds somebody back."""

    limit: Limit
    used: int
    most: int
    #: Whether it is that of starts, not that of what is in progress.
    per_hour: bool = False
    #: When it does so no longer, if only time has to pass.
    next: datetime | None = None


class Ledger:
    """What is in progress and what was started lately, against shares and limits.

    Args:
        groups: Those that somebody put.
        limits: All.
        in_progress: How many of a (group, owner, protocol).
        starts: Time, group, owner and protocol of those of the last hour, oldest first.
        now: The time.
        default_share: Of groups that nobody put.
    """

    def __init__(
        self,
        groups: Iterable[QuotaGroup],
        limits: Iterable[Limit],
        in_progress: Counter[tuple[str, str, str]],
        starts: Iterable[tuple[datetime, str, str, str]],
        now: datetime,
        *,
        default_share: int,
    ) -> None:
        self._groups = {group.name: group for group in groups}
        self._limits = {limit.key: limit for limit in limits}
        self._default_share = default_share
        self._now = now
        #: Of a group, and of whoever a limit may count.
        self._used: Counter[str] = Counter()
        self._counts: Counter[tuple[str, LimitKind, str]] = Counter()
        self._starts: dict[tuple[str, LimitKind, str], list[datetime]] = defaultdict(list)
        for who, number in in_progress.items():
            self._count(*who, number)
        for time, group, owner, protocol in starts:
            self._note_start(time, group, owner, protocol)

    @classmethod
    def read(cls, tx: Transaction, *, default_share: int) -> Ledger:
        """As the store has it."""
        limits = tx.limits.list()
        rated = [limit for limit in limits if limit.max_starts_per_hour is not None]
        starts = tx.queue.starts(tx.now - _WINDOW) if rated else []
        return cls(tx.quota_groups.list(), limits, tx.queue.in_progress(), starts, tx.now, default_share=default_share)

    def group(self, name: str) -> QuotaGroup:
        """The group of that name, with the share it has."""
        return self._groups.get(name) or QuotaGroup(name=name, max_in_progress=self._default_share)

    def groups(self, also: Iterable[str] = ()) -> list[QuotaGroup]:
        """Those that somebody put, that have something in progress, and `also`, in the order of names."""
        return [self.group(name) for name in sorted({*self._groups, *self._used, *also})]

    def used(self, group: str) -> int:
        """How many of its experiments are in progress."""
        return self._used[group]

    def room(self, group: str) -> int:
        """How many more of the group may start, as far as its share goes."""
        found = self.group(group)
        return 0 if found.paused is not None else max(0, found.max_in_progress - self._used[group])

    def reached(self, group: str, owner: str, protocol: str) -> list[Reached]:
        """The limits that keep an experiment of these from starting."""
        return [reached for limit, name in self._that_hold(group, owner, protocol) for reached in self._check(limit, name)]

    def start(self, group: str, owner: str, protocol: str) -> None:
        """Count one that starts now."""
        self._count(group, owner, protocol, 1)
        self._note_start(self._now, group, owner, protocol)

    def _that_hold(self, group: str, owner: str, protocol: str) -> Iterator[tuple[Limit, str]]:
        for scope in (group, ALL):
            for kind, name in ((LimitKind.USER, owner), (LimitKind.PROTOCOL, protocol)):
                limit = self._limits.get((scope, kind, name)) or self._limits.get((scope, kind, ALL))
                if limit is not None:
                    yield limit, name

    def _check(self, limit: Limit, name: str) -> Iterator[Reached]:
        key = (limit.quota_group, limit.kind, name)
        most = limit.max_in_progress
        if most is not None and self._counts[key] >= most:
            yield Reached(limit, self._counts[key], most)
        most = limit.max_starts_per_hour
        if most is not None:
            starts = [time for time in self._starts.get(key, ()) if time > self._now - _WINDOW]
            if len(starts) >= most:
                yield Reached(limit, len(starts), most, True, starts[-most] + _WINDOW if most else None)

    def _count(self, group: str, owner: str, protocol: str, number: int) -> None:
        self._used[group] += number
        for key in _keys(group, owner, protocol):
            self._counts[key] += number

    def _note_start(self, time: datetime, group: str, owner: str, protocol: str) -> None:
        for key in _keys(group, owner, protocol):
            self._starts[key].append(time)


def _keys(group: str, owner: str, protocol: str) -> Iterator[tuple[str, LimitKind, str]]:
    for scope in (group, ALL):
        yield scope, LimitKind.USER, owner
        yield scope, LimitKind.PROTOCOL, protocol


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one look of the scheduler came to."""

    #: What was started, in the order in which it was drawn, with its generation.
    started: tuple[tuple[Place, int], ...] = ()
    #: Whether another look may start more.
    more: bool = False
    #: When a limit of starts lets somebody go on who waits now; None if nothing waits for the time alone.
    next: datetime | None = None


def start_next(tx: Transaction, random: Random, *, default_share: int, most: int = MOST_AT_ONCE) -> Outcome:
    """Move experiments from ENQUEUED to IN_PROGRESS, in `tx`: up to `most`, or until no group has work that may start."""
    if not tx.queue.groups():
        return Outcome()
    tx.quota_groups.lock_all()
    # Again: another scheduler may have been here while this one waited.
    waiting = tx.queue.groups()
    ledger = Ledger.read(tx, default_share=default_share)
    lines = [_Line(tx, name, ledger) for name in waiting if ledger.room(name)]
    held = list(lines)
    chosen: list[Place] = []
    while lines and len(chosen) < most:
        line = random.choice(lines)
        place = line.take()
        if place is not None:
            chosen.append(place)
        if place is None or not ledger.room(line.group):
            lines.remove(line)
    generations = tx.experiments.start_many([place.id for place in chosen])
    started = tuple((place, generations[place.id]) for place in chosen if place.id in generations)
    # One that was canceled just now left room for another.
    more = bool(lines) or len(started) < len(chosen)
    return Outcome(started, more, min((line.next for line in held if line.next is not None), default=None))


class _Line:
    """The line of one group, from which those are passed over that a limit holds back."""

    def __init__(self, tx: Transaction, group: str, ledger: Ledger) -> None:
        self.group = group
        #: When a limit of starts lets the first of those go on that it holds back.
        self.next: datetime | None = None
        self._tx = tx
        self._ledger = ledger
        self._taken: set[str] = set()
        self._held: dict[LimitKind, set[str]] = {kind: set() for kind in LimitKind}
        self._read: list[Place] = []
        self._exhausted = False

    def take(self) -> Place | None:
        """The next that may start; None if there is none."""
        while True:
            while self._read:
                place = self._read.pop(0)
                if place.id not in self._taken and self._may_start(place):
                    self._taken.add(place.id)
                    self._ledger.start(place.quota_group, place.owner, place.protocol)
                    return place
            if self._exhausted:
                return None
            # Those that were taken still stand there. Each further look passes over more owners or protocols, so it comes to an end.
            size = len(self._taken) + min(_LOOK, self._ledger.room(self.group) + 1)
            held = self._held
            self._read = self._tx.queue.next_of(self.group, size, not_owners=held[LimitKind.USER], not_protocols=held[LimitKind.PROTOCOL])
            self._exhausted = len(self._read) < size

    def _may_start(self, place: Place) -> bool:
        reached = self._ledger.reached(place.quota_group, place.owner, place.protocol)
        for limit in reached:
            kind = limit.limit.kind
            self._held[kind].add(place.owner if kind is LimitKind.USER else place.protocol)
            if limit.next is not None:
                self.next = limit.next if self.next is None else min(self.next, limit.next)
        return not reached
