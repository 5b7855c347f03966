"""The decisions of a controller, played on a simulated clock."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import QuotaGroup, Resources, RetryPolicy, Run, RunSpec, RunState, may_move
from wichtel.fleet import FleetSettings
from wichtel.fleet.devices import count_gpus
from wichtel.fleet.effects import Ended, Kill, Launch, Measured, Note, Save, Send
from wichtel.fleet.messages import Ack, Assign, Cancel, Heartbeat, Hello, Reported, Result
from wichtel.fleet.room import Room
from wichtel.fleet.roster import Roster

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = FleetSettings(retry_seconds=0.1, heartbeat_timeout_seconds=10, cancel_grace_seconds=2)


def make_run(name: str = "a", **fields: Any) -> Run:
    return Run(spec=RunSpec(id=name, entry="m:f", **fields), created=NOW)


class World:
    """A roster, and a controller around it that does as it says at once."""

    def __init__(self, seats: int = 2, capacity: Resources | None = None) -> None:
        self.now = 100.0
        self.roster = Roster(
            seats=seats,
            capacity=capacity or Resources(cpus=seats),
            settings=SETTINGS,
            epoch=5,
            clock=lambda: self.now,
            utc=lambda: NOW,
        )
        #: Workers that live, with what they were handed and have not answered.
        self.workers: dict[str, list[Assign]] = {}
        self.states: dict[str, list[RunState]] = {}
        self.ended: list[Run] = []
        self.sent: list[tuple[str, Any]] = []
        self.notes: list[Note] = []
        self.measured: list[Measured] = []
        #: Every assignment there ever was.
        self.assigned: list[tuple[str, Assign]] = []
        self.killed: list[str] = []

    def settle(self) -> None:
        while effects := self.roster.drain():
            for effect in effects:
                match effect:
                    case Launch(worker):
                        self.workers[worker] = []
                        self.roster.hear(worker, Hello(1))
                    case Kill(worker, _):
                        self.killed.append(worker)
                        self.die(worker, settle=False)
                    case Send(worker, Assign() as assign):
                        at_work = [a.run for assigns in self.workers.values() for a in assigns]
                        assert assign.run not in at_work, "two workers on one run"
                        self.workers[worker].append(assign)
                        self.assigned.append((worker, assign))
                    case Send(worker, message):
                        self.sent.append((worker, message))
                    case Save(run) | Ended(run, _):
                        states = self.states.setdefault(run.spec.id, [RunState.PENDING])
                        assert may_move(states[-1], run.state), (states, run.state)
                        states.append(run.state)
                        if isinstance(effect, Ended):
                            self.ended.append(run)
                    case Measured():
                        self.measured.append(effect)
                    case Note():
                        self.notes.append(effect)

    def add(self, *runs: Run) -> None:
        self.roster.add(runs)
        self.settle()

    def die(self, worker: str, *, settle: bool = True) -> None:
        if self.workers.pop(worker, None) is not None:
            self.roster.gone(worker, "it was killed by SIGKILL")
        if settle:
            self.settle()

    def answer(self, worker: str, assign: Assign, state: str = "SUCCEEDED", **fields: Any) -> None:
        if worker in self.workers and assign in self.workers[worker]:
            self.workers[worker].remove(assign)
        fields = {"value": [assign.attempt, assign.epoch]} | fields
        self.roster.hear(worker, Result(assign.run, assign.attempt, assign.epoch, state, **fields))
        self.settle()

    def run_out(self) -> None:
        """Answer everything until nothing is left."""
        for _ in range(2000):
            self.now += 1
            for worker, assigns in list(self.workers.items()):
                self.roster.hear(worker, Heartbeat())
                for assign in list(assigns):
                    self.answer(worker, assign)
            self.roster.tick()
            self.settle()
            if not self.roster.jobs:
                return
        raise AssertionError(f"left over: {self.roster.jobs}")

    @property
    def order(self) -> list[str]:
        return [assign.run for _, assign in self.assigned]


def test_groups_in_turn_then_larger_priority_then_first_come() -> None:
    world = World(seats=1)
    world.add(make_run("busy", quota_group="b"))
    world.add(
        *(make_run(f"a{n}", quota_group="a") for n in range(3)),
        make_run("b0", quota_group="b"),
        make_run("urgent", priority=5, quota_group="a"),
    )
    world.run_out()
    assert world.order == ["busy", "urgent", "b0", "a0", "a1", "a2"]


def test_a_group_that_occupies_less_goes_first_whatever_its_runs_are_like() -> None:
    world = World(seats=8, capacity=Resources(cpus=8))
    world.add(*(make_run(f"big{n}", quota_group="a", resources=Resources(cpus=2)) for n in range(4)))
    world.add(*(make_run(f"more{n}", quota_group="a", resources=Resources(cpus=2)) for n in range(4)))
    world.add(*(make_run(f"small{n}", quota_group="b") for n in range(8)))
    # Whenever one of the big ones ends, the other group catches up.
    for worker, assign in world.assigned[:2]:
        world.answer(worker, assign)
    assert world.order[4:] == ["small0", "small1", "small2", "small3"]


def test_a_group_keeps_to_its_share_of_the_fleet_and_others_use_the_rest() -> None:
    world = World(seats=4, capacity=Resources(cpus=8, gpus=4))
    world.roster.share([QuotaGroup(name="a", max_runs=3, max_gpus=1.0)])
    world.add(*(make_run(f"a{n}", quota_group="a", resources=Resources(gpus=0.5)) for n in range(4)), make_run("cpu", quota_group="a"))
    world.add(make_run("b0", quota_group="b", resources=Resources(gpus=2)))
    assert sorted(world.order) == ["a0", "a1", "b0", "cpu"]
    # A larger share counts at once.
    world.answer(*next(entry for entry in world.assigned if entry[1].run == "b0"))
    world.roster.share([QuotaGroup(name="a", max_runs=4, max_gpus=1.5)])
    world.settle()
    assert sorted(world.order) == ["a0", "a1", "a2", "b0", "cpu"]
    world.run_out()


def test_a_run_that_its_groups_share_never_holds_waits_and_keeps_nobody_from_work() -> None:
    world = World(seats=2, capacity=Resources(cpus=4))
    world.roster.share([QuotaGroup(name="a", max_cpus=1)])
    world.add(make_run("never", quota_group="a", resources=Resources(cpus=2)), *(make_run(f"s{n:02}", quota_group="a") for n in range(60)))
    for _ in range(70):
        for worker, assigns in list(world.workers.items()):
            for assign in list(assigns):
                world.answer(worker, assign)
    assert len(world.ended) == 60
    assert list(world.roster.jobs) == ["never"]
    world.roster.share([])
    world.settle()
    world.run_out()
    assert world.order[-1] == "never"


def test_a_large_run_is_not_passed_over_for_ever_by_small_ones_of_its_group() -> None:
    world = World(seats=4, capacity=Resources(cpus=4))
    world.roster.share([QuotaGroup(name="a", max_cpus=2)])
    world.add(make_run("first", quota_group="a"))
    world.add(make_run("big", quota_group="a", resources=Resources(cpus=2)), *(make_run(f"s{n:02}", quota_group="a") for n in range(60)))
    while "big" not in world.order:
        at_work = [(w, a) for w, assigns in world.workers.items() for a in assigns]
        world.answer(*min(at_work, key=world.assigned.index))
        assert len(world.order) < 40
    world.run_out()
    assert len(world.ended) == 62


@given(data=st.data())
def test_whatever_happens_no_group_is_given_more_than_its_share_and_all_come_to_their_end(data: st.DataObject) -> None:
    seats = data.draw(st.integers(1, 4))
    world = World(seats=seats, capacity=Resources(cpus=4, gpus=2))
    shares: dict[str, QuotaGroup] = {}
    needs: dict[str, Resources] = {}
    amounts = st.sampled_from([None, 0, 1, 2])
    for step in range(data.draw(st.integers(1, 30))):
        before = len(world.assigned)
        match data.draw(st.sampled_from(["add", "add", "answer", "answer", "share", "die", "tick"])):
            case "add":
                name, group = f"r{step}", data.draw(st.sampled_from("abc"))
                needs[name] = Resources(cpus=data.draw(st.sampled_from([0.5, 1, 2])), gpus=data.draw(st.sampled_from([0, 0.5, 1])))
                priority = data.draw(st.integers(0, 2))
                world.add(make_run(name, quota_group=group, resources=needs[name], priority=priority, retry=RetryPolicy(max_attempts=50)))
            case "answer" if at_work := [(w, a) for w, assigns in world.workers.items() for a in assigns]:
                world.answer(*data.draw(st.sampled_from(at_work)))
            case "share":
                name = data.draw(st.sampled_from("abc"))
                shares[name] = QuotaGroup(name=name, max_runs=data.draw(amounts), max_cpus=data.draw(amounts), max_gpus=data.draw(amounts))
                world.roster.share(shares.values())
                world.settle()
            case "die" if world.workers:
                world.die(data.draw(st.sampled_from(sorted(world.workers))))
            case "tick":
                world.now += 1
                for worker in world.workers:
                    world.roster.hear(worker, Heartbeat())
                world.roster.tick()
                world.settle()
            case _:
                continue
        running = [seat.job for seat in world.roster.seats if seat.job is not None]
        given_now = {assign.run for _, assign in world.assigned[before:]}
        for name, share in shares.items():
            mine = [job.run.spec.resources for job in running if job.run.spec.quota_group == name]
            if not any(job.id in given_now for job in running if job.run.spec.quota_group == name):
                # A share that was made smaller takes nothing away from runs that are at work.
                continue
            assert share.max_runs is None or len(mine) <= share.max_runs
            assert share.max_cpus is None or sum(need.cpus for need in mine) <= share.max_cpus
            assert share.max_gpus is None or sum(need.gpus for need in mine) <= share.max_gpus
    # Nothing is lost of what was reckoned: with all shares lifted, everything is carried out.
    world.roster.share([])
    world.settle()
    world.run_out()
    assert Counter(run.spec.id for run in world.ended) == Counter(list(needs))
    assert world.roster.free == Room.of(Resources(cpus=4, gpus=2))
    assert [world.roster.shares.used(name) for name in "abc"] == [0.0, 0.0, 0.0]


def test_what_does_not_fit_waits_and_small_ones_pass_but_not_for_ever() -> None:
    world = World(seats=2, capacity=Resources(cpus=2))
    world.add(make_run("first"))
    world.add(make_run("big", resources=Resources(cpus=2)), *(make_run(f"s{n:02}") for n in range(60)))
    # One worker after the other answers, so that there never are two free by chance.
    while "big" not in world.order:
        worker, assign = min(
            ((w, a) for w, assigns in world.workers.items() for a in assigns), key=lambda entry: world.assigned.index((entry[0], entry[1]))
        )
        world.answer(worker, assign)
        assert len(world.order) < 40
    world.run_out()
    assert len(world.ended) == 62


def test_each_run_has_graphics_processors_of_its_own_and_halves_share_one() -> None:
    world = World(seats=4, capacity=Resources(cpus=8, gpus=2))
    need = {"h0": 0.5, "h1": 0.5, "none": 0.0, "one": 1.0, "two": 2.0, "mixed": 1.5}
    world.add(*(make_run(name, resources=Resources(gpus=gpus)) for name, gpus in need.items()))
    devices = {assign.run: assign.devices for _, assign in world.assigned}
    assert devices == {"h0": [0], "h1": [0], "none": [], "one": [1]}
    world.run_out()
    devices = {assign.run: assign.devices for _, assign in world.assigned}
    assert sorted(devices["two"]) == [0, 1]
    assert len(devices["mixed"]) == 2
    assert world.roster.free == Room.of(Resources(cpus=8, gpus=2))


def test_two_halves_on_two_graphics_processors_are_not_a_whole_one() -> None:
    world = World(seats=4, capacity=Resources(cpus=8, gpus=2))
    world.add(*(make_run(name, resources=Resources(gpus=0.6)) for name in ("a", "b")), make_run("c", resources=Resources(gpus=0.7)))
    assert world.order == ["a", "b"]
    world.answer(*world.assigned[0])
    assert (world.order, world.assigned[-1][1].devices) == (["a", "b", "c"], [0])


@given(
    needs=st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0]), st.booleans()), max_size=30),
    gpus=st.integers(1, 4),
)
def test_no_graphics_processor_is_given_away_twice(needs: list[tuple[float, bool]], gpus: int) -> None:
    room = Room.of(Resources(cpus=100, gpus=gpus))
    taken: list[tuple[Resources, tuple[int, ...]]] = []
    for amount, back in needs:
        need = Resources(gpus=amount)
        if room.holds(need):
            taken.append((need, room.take(need)))
        if back and taken:
            room.give(*taken.pop(0))
        load = [0.0] * gpus
        for some, devices in taken:
            assert len(set(devices)) == len(devices) == -(-some.gpus // 1)
            for place, device in enumerate(devices):
                load[device] += min(1.0, some.gpus - place)
        assert all(share <= 1 + 1e-6 for share in load)
        assert room.gpus == pytest.approx([1 - share for share in load])


def test_the_graphics_processors_of_a_machine_are_counted(tmp_path: Path) -> None:
    assert count_gpus({}, tmp_path / "none") == 0
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    assert [count_gpus(env, tmp_path) for env in ({}, {"CUDA_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": "1"})] == [2, 0, 1]
    assert count_gpus({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, tmp_path) == 1


def test_what_never_fits_fails_at_once_and_says_so() -> None:
    world = World(seats=1, capacity=Resources(cpus=2))
    world.add(make_run(resources=Resources(cpus=2, gpus=1)))
    (run,) = world.ended
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert "gpus=1" in run.error["message"]


def test_a_lost_worker_gives_its_run_back_until_the_attempts_are_used_up() -> None:
    world = World(seats=1)
    world.add(make_run(retry=RetryPolicy(max_attempts=3)))
    for _ in range(3):
        for _ in range(100):
            world.now += 0.5
            world.roster.tick()
            world.settle()
            if any(world.workers.values()):
                break
        (worker,) = world.workers
        world.die(worker)
    (run,) = world.ended
    assert (run.state, run.attempt) == (RunState.FAILED, 3)
    assert run.error is not None
    assert run.error["code"] == "worker_lost"
    assert "3 attempts" in run.error["message"]
    assert [note.kind for note in world.notes].count("worker.quarantined") == 1


def test_a_worker_that_never_lives_is_tried_for_ever() -> None:
    world = World(seats=1)
    world.add(make_run(retry=RetryPolicy(max_attempts=3000)))
    for _ in range(2500):
        world.now += 61
        world.roster.tick()
        world.settle()
        (worker,) = world.workers
        world.die(worker)
    assert world.roster.jobs["a"].lost == 2500


def test_attempts_that_a_dead_controller_cut_short_are_not_held_against_the_run() -> None:
    run = make_run(retry=RetryPolicy(max_attempts=1))
    for attempt in range(1, 6):
        world = World(seats=1)
        world.states["a"] = [run.state]
        world.add(run)
        assert world.assigned[-1][1].attempt == attempt
        run = world.roster.jobs["a"].run
        assert run.state is RunState.RUNNING
    world.run_out()
    assert world.ended[0].state is RunState.SUCCEEDED


def test_late_words_of_an_old_attempt_change_nothing() -> None:
    world = World(seats=2)
    world.add(make_run())
    worker, old = world.assigned[0]
    world.roster.hear(worker, Heartbeat("a", 1, 4, [Reported(1, {"x": 1.0})]))
    world.roster.hear("stranger", Result("a", 1, 5, "SUCCEEDED"))
    world.settle()
    assert world.measured == []
    assert world.ended == []
    world.die(worker)
    world.now += 1
    world.roster.tick()
    world.settle()
    new_worker, new = world.assigned[1]
    assert (old.attempt, new.attempt) == (1, 2)
    world.roster.hear(new_worker, Result("a", 1, 5, "SUCCEEDED", "old"))
    world.settle()
    assert world.ended == []
    world.answer(new_worker, new, value="new")
    assert [run.result for run in world.ended] == ["new"]
    assert [note.kind for note in world.notes].count("worker.late") == 3


def test_a_result_sent_again_is_acknowledged_only_when_it_is_durable() -> None:
    world = World(seats=1)
    world.add(make_run())
    worker, assign = world.assigned[0]
    world.answer(worker, assign)
    world.answer(worker, assign)
    assert [m for _, m in world.sent if isinstance(m, Ack)] == []
    world.roster.durable(world.ended[0])
    world.answer(worker, assign)
    assert [m for _, m in world.sent if isinstance(m, Ack)] == [Ack("a", 1)]
    assert len(world.ended) == 1


def test_a_silent_worker_loses_its_run() -> None:
    world = World(seats=1)
    world.add(make_run())
    for _ in range(60):
        world.now += 0.25
        world.roster.tick()
        world.settle()
    assert world.killed == ["w5.0.1"]
    assert world.assigned[-1][1].attempt == 2


def test_a_machine_that_slept_does_not_lose_its_workers() -> None:
    world = World(seats=1)
    world.add(make_run())
    world.now += 3600
    world.roster.tick()
    world.settle()
    assert world.killed == []


def test_cancel_waits_for_a_report_then_uses_force() -> None:
    world = World(seats=1)
    world.add(make_run("a"), make_run("b"))
    world.roster.cancel("b", "why not")
    world.roster.cancel("a", "enough")
    world.settle()
    assert [run.spec.id for run in world.ended] == ["b"]
    assert world.sent[-1] == ("w5.0.1", Cancel("a", 1, "enough"))
    for _ in range(30):
        world.now += 0.1
        world.roster.hear("w5.0.1", Heartbeat())
        world.roster.tick()
        world.settle()
    assert world.killed == ["w5.0.1"]
    assert [(run.spec.id, run.state) for run in world.ended] == [("b", RunState.CANCELED), ("a", RunState.CANCELED)]


def test_a_run_over_its_time_fails_and_its_worker_is_replaced() -> None:
    world = World(seats=1)
    world.add(make_run("a", timeout_seconds=3), make_run("b"))
    for _ in range(40):
        world.now += 0.1
        world.roster.tick()
        world.settle()
    (run,) = world.ended
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert "limit of 3 s" in run.error["message"]
    assert world.order == ["a", "b"]


def test_what_was_read_before_a_run_ended_does_not_run_it_again() -> None:
    world = World(seats=1)
    stale = make_run()
    world.add(stale)
    world.run_out()
    world.add(stale)
    assert world.order == ["a"]


def test_an_orderly_close_leaves_runs_to_the_next_controller() -> None:
    world = World(seats=1)
    world.add(make_run("a"), make_run("b"))
    world.roster.close()
    world.settle()
    assert world.states == {"a": [RunState.PENDING, RunState.RUNNING, RunState.PREEMPTED]}


@given(data=st.data(), count=st.integers(1, 6), seats=st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_whatever_dies_and_whatever_comes_late_each_run_ends_once(data: st.DataObject, count: int, seats: int) -> None:
    world = World(seats=seats)
    names = [f"r{n}" for n in range(count)]
    world.add(*(make_run(name, retry=RetryPolicy(max_attempts=data.draw(st.integers(1, 4)))) for name in names))
    for _ in range(data.draw(st.integers(0, 40))):
        event = data.draw(st.sampled_from(["answer", "again", "die", "tick", "report", "cancel", "stale", "hang"]))
        workers = sorted(world.workers)
        current = [(w, a) for w in workers for a in world.workers[w]]
        match event:
            case "answer" if current:
                worker, assign = data.draw(st.sampled_from(current))
                world.answer(worker, assign, data.draw(st.sampled_from(["SUCCEEDED", "FAILED", "STOPPED", "PREEMPTED"])))
            case "again" if world.assigned:
                # Any worker, living or dead, repeats any answer it could ever have given.
                worker, assign = data.draw(st.sampled_from(world.assigned))
                if (worker, assign) not in current:
                    world.answer(worker, assign)
            case "stale" if world.assigned and workers:
                _, assign = data.draw(st.sampled_from(world.assigned))
                worker = data.draw(st.sampled_from(workers))
                if (worker, assign) not in current:
                    world.answer(worker, replace_epoch(assign, data.draw(st.sampled_from([4, 5]))))
            case "die" if workers:
                world.die(data.draw(st.sampled_from(workers)))
            case "report" if world.assigned:
                worker, assign = data.draw(st.sampled_from(world.assigned))
                step = data.draw(st.integers(0, 5))
                world.roster.hear(worker, Heartbeat(assign.run, assign.attempt, assign.epoch, [Reported(step, {"x": 1.0})]))
            case "cancel":
                world.roster.cancel(data.draw(st.sampled_from(names)), "no")
            case "tick":
                world.now += data.draw(st.sampled_from([0.1, 1.0, 3.0]))
                for worker in workers:
                    world.roster.hear(worker, Heartbeat())
                world.roster.tick()
            case "hang":
                world.now += 4.0
                world.roster.tick()
            case _:
                pass
        if data.draw(st.booleans()):
            for run in world.ended:
                world.roster.durable(run)
        world.settle()
    world.run_out()
    assert Counter(run.spec.id for run in world.ended) == Counter(names)
    for run in world.ended:
        assert run.result in (None, [run.attempt, 5]), "the word of another attempt counted"
    attempts = Counter((assign.run, assign.attempt) for _, assign in world.assigned)
    assert set(attempts.values()) <= {1}, "an attempt was handed out twice"
    steps: dict[tuple[str, int], list[int]] = {}
    for measured in world.measured:
        steps.setdefault((measured.measurement.run, measured.measurement.attempt), []).append(measured.measurement.step)
    assert all(s == sorted(set(s)) for s in steps.values())


def replace_epoch(assign: Assign, epoch: int) -> Assign:
    return Assign(assign.run, assign.attempt, epoch, assign.entry, assign.payload)


@pytest.mark.parametrize("version", [0, 99])
def test_a_worker_of_another_version_is_refused(version: int) -> None:
    world = World(seats=1)
    world.roster.add([make_run()])
    (launch,) = [e for e in world.roster.drain() if isinstance(e, Launch)]
    world.roster.hear(launch.worker, Hello(1, version))
    (kill,) = [e for e in world.roster.drain() if isinstance(e, Kill)]
    assert f"version {version}" in kill.reason
