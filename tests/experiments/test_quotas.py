"""What admins set, why something waits, and that changes are felt at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wichtel.domain import (
    Analysis,
    Dataset,
    Expectation,
    ExperimentState,
    Job,
    Limit,
    LimitKind,
    Metadata,
    ModelVersion,
    NotFound,
    NotPermitted,
    QuotaGroup,
    Resources,
    RunSpec,
    RunState,
    WaitKind,
    Window,
)
from wichtel.experiments import Principal, Quotas, Role, Waits
from wichtel.protocols.submission import submit_baseline

ADMIN = Principal(name="root", team="ops", role=Role.ADMIN)
EDITOR = Principal(name="bob", team="ads", role=Role.EDITOR)


@pytest.fixture
def quotas(world) -> Quotas:
    return Quotas(world.db, default_share=2)


@pytest.fixture
def waits(world) -> Waits:
    return Waits(world.db, default_share=2)


def in_progress(world, *names: str) -> list[str]:
    return [name for name in names if world.get(name).state is ExperimentState.IN_PROGRESS]


def test_a_full_group_says_so_and_who_is_before(world, waits) -> None:
    world.add("e1", "e2", "e3", "e4")
    world.run()
    third, fourth = waits.why("e3"), waits.why("e4")
    assert third.text == "Its group ads is full: 2 of 2 in progress; it is the next."
    assert fourth.text == "Its group ads is full: 2 of 2 in progress; 1 before it."
    assert (third.position, fourth.position) == (1, 2)
    assert fourth.reasons[0].kind is WaitKind.GROUP_FULL
    assert (fourth.reasons[0].used, fourth.reasons[0].most) == (2, 2)


def test_a_larger_share_starts_the_next_at_once(world, quotas) -> None:
    world.add("e1", "e2", "e3", "e4")
    world.run()
    quotas.put(QuotaGroup(name="ads", max_in_progress=3), ADMIN)
    world.run()
    assert in_progress(world, "e1", "e2", "e3", "e4") == ["e1", "e2", "e3"]


def test_a_paused_group_starts_nothing_says_by_whom_and_goes_on_when_resumed(world, quotas, waits) -> None:
    world.add("e1")
    world.run()
    paused = quotas.pause("ads", "the cluster is repaired", ADMIN)
    assert paused.max_in_progress == 2
    world.add("e2")
    world.run()
    assert in_progress(world, "e1", "e2") == ["e1"]
    assert waits.why("e2").text == "Its group ads was paused by root: the cluster is repaired."
    # A changed share is no end of the pause.
    assert quotas.put(QuotaGroup(name="ads", max_in_progress=5), ADMIN).paused == paused.paused
    assert waits.queue().groups[0].group.paused == paused.paused
    quotas.resume("ads", ADMIN)
    world.run()
    assert in_progress(world, "e1", "e2") == ["e1", "e2"]


def test_a_limit_of_starts_says_when_the_next_may_start_and_then_it_does(world, quotas, waits) -> None:
    quotas.put(QuotaGroup(name="ads", max_in_progress=9), ADMIN)
    quotas.put_limit(Limit(kind=LimitKind.USER, name="ana", max_starts_per_hour=2), ADMIN)
    world.add("e1", "e2", "e3")
    world.run()
    assert in_progress(world, "e1", "e2", "e3") == ["e1", "e2"]
    why = waits.why("e3")
    assert why.text == "Limit of 2 starts an hour for user ana; the next at 01:00:00 UTC."
    assert why.reasons[0].next is not None
    world.run(seconds=3599)
    assert in_progress(world, "e3") == []
    world.run(seconds=2)
    assert in_progress(world, "e3") == ["e3"]


def test_a_lifted_limit_lets_go_at_once_and_a_limit_and_a_full_group_are_both_told(world, quotas, waits) -> None:
    quotas.put_limit(Limit(kind=LimitKind.PROTOCOL, name="P", quota_group="ads", max_in_progress=1), ADMIN)
    world.add("e1", "e2")
    world.run()
    assert waits.why("e2").text == "Limit of 1 in progress for protocol P in ads."
    quotas.put(QuotaGroup(name="ads", max_in_progress=1), ADMIN)
    assert [reason.kind for reason in waits.why("e2").reasons] == [WaitKind.LIMIT, WaitKind.GROUP_FULL]
    quotas.delete("ads", ADMIN)
    quotas.delete_limit("ads", LimitKind.PROTOCOL, "P", ADMIN)
    world.run()
    assert in_progress(world, "e1", "e2") == ["e1", "e2"]
    with pytest.raises(NotFound):
        quotas.delete_limit("ads", LimitKind.PROTOCOL, "P", ADMIN)


def test_only_admins_change_any_of_it(quotas) -> None:
    for change in (
        lambda: quotas.put(QuotaGroup(name="ads"), EDITOR),
        lambda: quotas.pause("ads", "", EDITOR),
        lambda: quotas.resume("ads", EDITOR),
        lambda: quotas.delete("ads", EDITOR),
        lambda: quotas.put_limit(Limit(kind=LimitKind.USER, name="bob", max_in_progress=99), EDITOR),
        lambda: quotas.delete_limit("*", LimitKind.USER, "bob", EDITOR),
    ):
        with pytest.raises(NotPermitted):
            change()


def test_one_in_progress_says_which_runs_are_before_its_own_or_that_its_group_has_its_share_of_the_fleet(world, quotas, waits) -> None:
    world.add("e1")
    world.run()
    assert waits.why("e1").reasons[0].kind is WaitKind.AT_WORK

    def add(name: str, owner: str, **more: object) -> None:
        with world.db.transaction() as tx:
            tx.runs.add(RunSpec(id=name, entry="m:f", owner=owner, quota_group="ads", **more))

    for i in range(3):
        add(f"other/{i}", "study/x")
    add("e1/candidate/0", "experiment/e1/run/1", resources=Resources(cpus=2))
    why = waits.why("e1")
    assert why.text == "1 run of it waits for a worker: 3 runs of ads before it."
    assert (why.runs_waiting, why.runs_before) == (1, 3)
    with world.db.transaction() as tx:
        run = tx.runs.get("other/0")
        tx.runs.update_many([run.__class__(spec=run.spec, state=RunState.RUNNING, attempt=1, worker="w", created=run.created)])
    quotas.put(QuotaGroup(name="ads", max_cpus=2), ADMIN)
    why = waits.why("e1")
    assert why.reasons[0].kind is WaitKind.FLEET_SHARE
    assert why.text == "Its group ads has its share of the fleet: 1 of 2 CPUs, and it needs 2 more; 2 runs of ads before it."
    (group,) = waits.queue().groups
    assert (group.runs, group.cpus, group.runs_waiting) == (1, 1.0, 3)
    quotas.put(QuotaGroup(name="ads", max_cpus=1), ADMIN)
    assert "more than the share of its group ads, 1" in waits.why("e1").text


def test_one_that_waits_for_a_baseline_that_another_trains_says_which_run_of_which_experiment(world, waits) -> None:
    world.add("e1", "e2")
    world.run()
    now = world.clock.now()
    windows = [Window(start=now.replace(year=year), end=now.replace(year=year + 1)) for year in (2020, 2021)]
    analysis = Analysis(
        trainer="sklearn",
        features=(),
        tunables=(),
        metadata=Metadata(primary_metric="auc", better=Expectation.LARGER),
        job=Job(dataset="d", label="y", train=windows[0], evaluation=windows[1]),
    )
    with world.db.transaction() as tx:
        tx.datasets.add(Dataset(name="d", digest="d", time_column="t", columns={}, rows=1, start=now, end=now, owner="ana", created=now))
        tx.versions.add(ModelVersion(id="v-2", model="m", tree="t" * 64, analysis=analysis, created=now))
        for name, group in (("first", "maps"), ("second", "ads")):
            tx.experiments.add(
                replace(
                    tx.experiments.get("e1"),
                    id=name,
                    protocol="TrainModel",
                    target="v-2",
                    quota_group=group,
                    state=ExperimentState.ENQUEUED,
                    generation=0,
                )
            )
            started = tx.experiments.start(name)
            run = submit_baseline(tx, started, "t" * 64, analysis, 0)
    # Its own run is its own business.
    assert [reason.kind for reason in waits.why("first").reasons] == [WaitKind.WORKER]
    why = waits.why("second")
    (reason,) = why.reasons
    assert (reason.kind, reason.run, reason.experiment) == (WaitKind.BASELINE, run, "first")
    assert why.text == (
        f"It waits for its baseline, which run {run} of experiment first trains; that waits for a worker: it is the next of its group."
    )
    with world.db.transaction() as tx:
        tx.runs.update_many([replace(tx.runs.get(run), state=RunState.RUNNING, attempt=1, worker="w")])
    assert waits.why("second").text.endswith("of experiment first trains; a worker is at it.")
    with world.db.transaction() as tx:
        tx.runs.update_many([replace(tx.runs.get(run), state=RunState.SUCCEEDED, attempt=1, result={}, ended=now)])
    assert waits.why("second").reasons[0].kind is WaitKind.AT_WORK


def test_the_queue_comes_in_pages_group_by_group_in_the_order_of_starts(world, quotas, waits) -> None:
    for name in ("ads", "maps"):
        quotas.put(QuotaGroup(name=name, max_in_progress=0), ADMIN)
    world.add("a1", "a2", "a3")
    world.clock.seconds += 1
    world.add("m1", "m2", group="maps")
    world.run()
    seen, cursor = [], None
    while True:
        page = waits.queue(limit=2, cursor=cursor)
        seen += [(w.quota_group, w.experiment, w.position) for w in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [("ads", "a1", 1), ("ads", "a2", 2), ("ads", "a3", 3), ("maps", "m1", 1), ("maps", "m2", 2)]
    assert [(g.group.name, g.waiting, g.in_progress) for g in page.groups] == [("ads", 3, 0), ("maps", 2, 0)]
    assert [w.experiment for w in waits.queue(group="maps").items] == ["m1", "m2"]


def test_why_of_something_that_is_not_there(waits) -> None:
    with pytest.raises(NotFound):
        waits.why("nothing")


def test_the_number_of_queries_does_not_grow_with_what_waits(world, waits) -> None:
    import sqlalchemy as sa

    asked: list[str] = []
    sa.event.listen(world.db.engine, "before_cursor_execute", lambda _c, _cu, statement, *_: asked.append(statement))

    def queries() -> int:
        asked.clear()
        waits.queue(limit=1000)
        return len(asked)

    world.add("a1", "a2", "a3")
    few = queries()
    world.add(*(f"b{i:03}" for i in range(200)), group="maps")
    assert queries() == few
