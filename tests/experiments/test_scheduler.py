"""What starts: random histories against the promises of the scheduler, on SQLite; and two schedulers at once, on PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import (
    Constraint,
    Expectation,
    Experiment,
    ExperimentConfig,
    ExperimentState,
    ExperimentStatus,
    Intent,
    Limit,
    LimitKind,
    Model,
    Pause,
    QuotaGroup,
    Registration,
)
from wichtel.experiments.scheduler import start_next
from wichtel.store import Database

INTENT = Intent(name="neutral", primary="auc", constraints=(Constraint(metric="auc", expectation=Expectation.LARGER, threshold=-0.01),))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
GROUPS, USERS, PROTOCOLS = ("ads", "maps", "play"), ("ana", "bob"), ("P", "Q")
DEFAULT_SHARE = 2


@dataclass
class World:
    """Experiments over a store, and the scheduler."""

    db: Database
    seconds: float = 0.0
    random: Random = field(default_factory=lambda: Random(0))
    count: int = 0
    #: In the order in which they started.
    started: list[str] = field(default_factory=list)
    next: datetime | None = None

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)

    def add(self, number: int = 1, *, group: str = "ads", owner: str = "ana", protocol: str = "P", priority: int = 0) -> list[str]:
        names = [f"e{self.count + i:04}" for i in range(number)]
        self.count += number
        with self.db.transaction() as tx:
            if tx.models.find("m") is None:
                tx.models.add(Model(name="m", owner="ana", team="ads", head="v-1", created=tx.now))
            registration = f"r-{names[0]}"
            tx.registrations.add(
                Registration(id=registration, owner=owner, models=("m",), protocols=(protocol,), experiments=tuple(names), created=tx.now)
            )
            tx.experiments.add_many([
                Experiment(
                    id=name,
                    registration=registration,
                    model="m",
                    target="v-1",
                    protocol=protocol,
                    config=ExperimentConfig(intent=INTENT, priority=priority),
                    owner=owner,
                    quota_group=group,
                    created=tx.now + timedelta(microseconds=i),
                )
                for i, name in enumerate(names)
            ])  # fmt: skip
        return names

    def schedule(self, most: int = 50) -> None:
        while True:
            with self.db.transaction() as tx:
                outcome = start_next(tx, self.random, default_share=DEFAULT_SHARE, most=most)
            self.started += [place.id for place, _ in outcome.started]
            self.next = outcome.next
            if not outcome.more:
                return

    def finish(self, name: str) -> None:
        with self.db.transaction() as tx:
            assert tx.experiments.finish(name, ExperimentStatus.UNSATISFIED, "")

    def put(self, *changed: QuotaGroup | Limit) -> None:
        with self.db.transaction() as tx:
            for one in changed:
                if isinstance(one, Limit):
                    tx.limits.put(one)
                else:
                    tx.quota_groups.put(one)

    def pause(self, group: str, *, to: bool) -> None:
        with self.db.transaction() as tx:
            tx.quota_groups.pause(group, Pause(by="ana", since=tx.now) if to else None, default_share=DEFAULT_SHARE)

    def all(self) -> list[Experiment]:
        with self.db.read() as tx:
            return list(tx.experiments.search("", limit=1000).items)

    def state(self, state: ExperimentState) -> list[Experiment]:
        return [e for e in self.all() if e.state is state]

    @property
    def in_progress(self) -> list[str]:
        return sorted(e.id for e in self.state(ExperimentState.IN_PROGRESS))


@pytest.fixture
def world() -> Iterator[World]:
    with_db = make()
    yield with_db
    with_db.db.close()


def make() -> World:
    made: list[World] = []
    db = Database.open("sqlite://", upgrade=True, clock=lambda: made[0].now() if made else BEGIN)
    made.append(World(db))
    return made[0]


class Bookkeeper:
    """The promises, checked against what the store says."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shares: dict[str, int] = {}
        self.paused: set[str] = set()
        self.limits: dict[tuple[str, LimitKind, str], Limit] = {}

    def that_hold(self, group: str, owner: str, protocol: str) -> Iterator[tuple[Limit, LimitKind, str, str]]:
        for scope in (group, "*"):
            for kind, name in ((LimitKind.USER, owner), (LimitKind.PROTOCOL, protocol)):
                limit = self.limits.get((scope, kind, name)) or self.limits.get((scope, kind, "*"))
                if limit is not None:
                    yield limit, kind, name, scope

    def counted(self, experiments: list[Experiment], kind: LimitKind, name: str, scope: str) -> list[Experiment]:
        of = "owner" if kind is LimitKind.USER else "protocol"
        return [e for e in experiments if getattr(e, of) == name and scope in ("*", e.quota_group)]

    def held_back(self, e: Experiment, everything: list[Experiment]) -> bool:
        if e.quota_group in self.paused:
            return True
        running = [o for o in everything if o.state is ExperimentState.IN_PROGRESS]
        if len([o for o in running if o.quota_group == e.quota_group]) >= self.shares.get(e.quota_group, DEFAULT_SHARE):
            return True
        return self.limited(e, everything)

    def limited(self, e: Experiment, everything: list[Experiment]) -> bool:
        running = [o for o in everything if o.state is ExperimentState.IN_PROGRESS]
        lately = [o for o in everything if o.started is not None and o.started > self.world.now() - HOUR]
        for limit, *who in self.that_hold(e.quota_group, e.owner, e.protocol):
            if limit.max_in_progress is not None and len(self.counted(running, *who)) >= limit.max_in_progress:
                return True
            if limit.max_starts_per_hour is not None and len(self.counted(lately, *who)) >= limit.max_starts_per_hour:
                return True
        return False

    def check(self, before: list[Experiment]) -> None:
        """After a look of the scheduler: nothing that it started is too much, and nothing that may start waits."""
        everything = self.world.all()
        started = {e.id for e in everything if e.state is ExperimentState.IN_PROGRESS} - {
            e.id for e in before if e.state is ExperimentState.IN_PROGRESS
        }
        running = Counter(e.quota_group for e in everything if e.state is ExperimentState.IN_PROGRESS)
        for e in everything:
            if e.id in started:
                assert e.quota_group not in self.paused
                assert running[e.quota_group] <= self.shares.get(e.quota_group, DEFAULT_SHARE)
                for limit, *who in self.that_hold(e.quota_group, e.owner, e.protocol):
                    mine = self.counted(everything, *who)
                    if limit.max_in_progress is not None:
                        assert len([o for o in mine if o.state is ExperimentState.IN_PROGRESS]) <= limit.max_in_progress
                    if limit.max_starts_per_hour is not None:
                        lately = [o for o in mine if o.started is not None and o.started > self.world.now() - HOUR]
                        assert len(lately) <= limit.max_starts_per_hour
            elif e.state is ExperimentState.ENQUEUED:
                assert self.held_back(e, everything), f"{e.id} waits, but nothing holds it back"
        # Whoever was passed over within its group was held back by a limit.
        for e in (e for e in everything if e.id in started):
            for o in everything:
                ahead = (-o.config.priority, o.created, o.id) < (-e.config.priority, e.created, e.id)
                if o.state is ExperimentState.ENQUEUED and o.quota_group == e.quota_group and ahead:
                    assert self.limited(o, everything), f"{e.id} started before {o.id}"
        # If only time holds somebody back, it is known when it ends, and something starts then.
        if self.world.next is not None:
            assert self.world.now() < self.world.next <= self.world.now() + HOUR


@settings(max_examples=60)
@given(st.data())
def test_whatever_happens_shares_limits_and_priorities_hold_and_nothing_waits_that_may_start(data: st.DataObject) -> None:
    world = make()
    model = Bookkeeper(world)
    few = st.integers(0, 3)
    try:
        for _ in range(data.draw(st.integers(1, 25), label="length")):
            what = data.draw(
                st.sampled_from(["add", "add", "finish", "finish", "share", "pause", "limit", "lift", "time", "requeue", "wake"])
            )
            group = data.draw(st.sampled_from(GROUPS))
            running = world.in_progress
            match what:
                case "add":
                    owner, protocol = data.draw(st.sampled_from(USERS)), data.draw(st.sampled_from(PROTOCOLS))
                    world.add(
                        data.draw(st.integers(1, 30 if data.draw(st.booleans()) else 3)),
                        group=group,
                        owner=owner,
                        protocol=protocol,
                        priority=data.draw(st.integers(-1, 2)),
                    )
                case "finish" if running:
                    world.finish(data.draw(st.sampled_from(running)))
                case "share":
                    model.shares[group] = data.draw(few)
                    world.put(QuotaGroup(name=group, max_in_progress=model.shares[group]))
                case "pause":
                    to = group not in model.paused
                    model.paused ^= {group}
                    model.shares.setdefault(group, DEFAULT_SHARE)
                    world.pause(group, to=to)
                case "limit":
                    kind = data.draw(st.sampled_from(LimitKind))
                    name = data.draw(st.sampled_from([*(USERS if kind is LimitKind.USER else PROTOCOLS), "*"]))
                    at_once, starts = data.draw(st.sampled_from([(1, None), (None, 2), (2, 3), (0, None), (None, 0)]))
                    scope = data.draw(st.sampled_from(["*", group]))
                    limit = Limit(kind=kind, name=name, quota_group=scope, max_in_progress=at_once, max_starts_per_hour=starts)
                    model.limits[limit.key] = limit
                    world.put(limit)
                case "lift" if model.limits:
                    key = data.draw(st.sampled_from(sorted(model.limits)))
                    del model.limits[key]
                    with world.db.transaction() as tx:
                        assert tx.limits.delete(*key)
                case "time":
                    world.seconds += data.draw(st.sampled_from([1, 600, 3600, 5000]))
                case "wake" if world.next is not None:
                    world.seconds = (world.next - BEGIN).total_seconds()
                case "requeue" if running:
                    with world.db.transaction() as tx:
                        name = data.draw(st.sampled_from(running))
                        assert tx.experiments.requeue(name, tx.experiments.get(name).generation)
                case _:
                    continue
            before = world.all()
            world.schedule(most=data.draw(st.sampled_from([1, 3, 50])))
            model.check(before)
        assert max(Counter((e.id, e.generation) for e in world.all()).values(), default=1) == 1
    finally:
        world.db.close()


def test_a_group_with_little_work_is_drawn_as_often_as_one_with_much(world: World) -> None:
    world.add(40, group="ads")
    world.add(4, group="maps")
    world.put(QuotaGroup(name="ads", max_in_progress=40), QuotaGroup(name="maps", max_in_progress=4))
    world.schedule(most=1)
    # All four of the small group are among the first few: the length of the other line does not matter.
    small = [world.started.index(e.id) for e in world.all() if e.quota_group == "maps"]
    assert max(small) < 20


def test_the_highest_priority_goes_first_and_within_it_who_has_waited_longest(world: World) -> None:
    world.put(QuotaGroup(name="ads", max_in_progress=1))
    for priority in (0, 5, 0, 5, -3):
        world.seconds += 1
        world.add(priority=priority)
    for _ in range(5):
        world.schedule()
        world.finish(world.started[-1])
    assert world.started == ["e0001", "e0003", "e0000", "e0002", "e0004"]


def test_those_whom_a_limit_holds_back_are_passed_over_however_many_they_are(world: World) -> None:
    world.put(QuotaGroup(name="ads", max_in_progress=9), Limit(kind=LimitKind.USER, name="bob", max_in_progress=1))
    world.add(200, owner="bob")
    world.seconds += 1
    world.add(3, owner="ana")
    world.schedule()
    assert Counter(e.owner for e in world.state(ExperimentState.IN_PROGRESS)) == {"bob": 1, "ana": 3}


def test_a_limit_of_starts_lets_the_next_go_on_when_the_hour_is_over_and_not_before(world: World) -> None:
    world.put(QuotaGroup(name="ads", max_in_progress=100), Limit(kind=LimitKind.PROTOCOL, name="*", max_starts_per_hour=2))
    world.add(1)
    world.schedule()
    world.seconds += 600
    world.add(2)
    world.add(1, protocol="Q")
    world.schedule()
    assert len(world.in_progress) == 3
    assert world.next == BEGIN + HOUR
    world.seconds = 3599
    world.schedule()
    assert len(world.in_progress) == 3
    world.seconds = 3600
    world.schedule()
    assert len(world.in_progress) == 4
    assert world.next is None


def test_a_limit_with_a_name_stands_for_that_of_all_others(world: World) -> None:
    world.put(
        QuotaGroup(name="ads", max_in_progress=100),
        Limit(kind=LimitKind.USER, name="*", max_in_progress=1),
        Limit(kind=LimitKind.USER, name="ana", max_in_progress=3),
    )
    world.add(5, owner="ana")
    world.add(5, owner="bob")
    world.schedule()
    assert Counter(e.owner for e in world.state(ExperimentState.IN_PROGRESS)) == {"ana": 3, "bob": 1}


def test_two_schedulers_at_once_exceed_no_share_and_no_limit_and_start_everything_once(database: Database) -> None:
    world = World(database)
    shares = {"ads": 1, "maps": 3, "play": 5}
    world.put(*(QuotaGroup(name=name, max_in_progress=share) for name, share in shares.items()))
    world.put(Limit(kind=LimitKind.USER, name="bob", max_in_progress=2))
    for group, number in (("ads", 4), ("maps", 12), ("play", 20)):
        world.add(number, group=group, owner="bob" if group == "play" else "ana")
    stop = threading.Event()
    most: Counter[str] = Counter()

    def scheduler(seed: int) -> list[str]:
        mine: list[str] = []
        while not stop.is_set():
            with database.transaction() as tx:
                outcome = start_next(tx, Random(seed + len(mine)), default_share=DEFAULT_SHARE, most=3)
            mine += [place.id for place, _ in outcome.started]
            time.sleep(0.002)
        return mine

    with ThreadPoolExecutor(2) as pool:
        schedulers = [pool.submit(scheduler, seed) for seed in (1, 2)]
        try:
            random = Random(3)
            end = time.monotonic() + 60
            while unfinished := [e for e in world.all() if e.state is not ExperimentState.FINISHED]:
                assert time.monotonic() < end
                running = [e for e in unfinished if e.state is ExperimentState.IN_PROGRESS]
                for name, number in Counter(e.quota_group for e in running).items():
                    most[name] = max(most[name], number)
                if running:
                    world.finish(random.choice(running).id)
        finally:
            stop.set()
    started = [name for one in schedulers for name in one.result()]
    assert sorted(started) == sorted(e.id for e in world.all())
    assert most["ads"] == 1
    assert most["maps"] <= 3
    assert most["play"] <= 2
