from __future__ import annotations

from collections import Counter

from wichtel.domain import ExperimentState, ExperimentStatus, InvalidInput, QuotaGroup
from wichtel.experiments import Experiments, Principal, Role
from wichtel.experiments.ending import end
from wichtel.store import Artifacts

DAY = 86_400


def test_no_more_than_a_groups_share_is_in_progress_and_the_next_starts_when_one_finishes(world) -> None:
    world.add("e1", "e2", "e3")
    world.run()
    assert Counter(world.get(e).state for e in ("e1", "e2", "e3")) == {ExperimentState.IN_PROGRESS: 2, ExperimentState.ENQUEUED: 1}
    world.free |= {"e1", "e2", "e3"}
    world.run()
    world.run()
    assert {world.get(e).status for e in ("e1", "e2", "e3")} == {ExperimentStatus.UNSATISFIED}


def test_many_experiments_of_three_groups_never_exceed_a_share_and_all_finish(world) -> None:
    shares = {"ads": 1, "maps": 3, "play": 7}
    with world.db.transaction() as tx:
        for name, share in shares.items():
            tx.quota_groups.put(QuotaGroup(name=name, max_in_progress=share))
    names = {f"{group}-{i}": group for group, n in (("ads", 4), ("maps", 12), ("play", 24)) for i in range(n)}
    for group in shares:
        world.add(*(n for n, g in names.items() if g == group), group=group)
    rounds = 0
    while any(world.get(n).state is not ExperimentState.FINISHED for n in names):
        world.run()
        with world.db.read() as tx:
            counts = Counter(group for group, _, _ in tx.queue.in_progress().elements())
        assert all(counts.get(group, 0) <= share for group, share in shares.items())
        running = [n for n in names if world.get(n).state is ExperimentState.IN_PROGRESS]
        # No group has work that waits beside room.
        assert all(
            counts.get(g, 0) == shares[g] or not any(world.get(n).state is ExperimentState.ENQUEUED for n, o in names.items() if o == g)
            for g in shares
        )
        if running:
            world.free.add(running[rounds * 7 % len(running)])
        rounds += 1
        assert rounds < 500
    assert {world.get(n).status for n in names} == {ExperimentStatus.UNSATISFIED}


def test_within_a_group_the_oldest_starts_first(world) -> None:
    world.add("first", "second")
    world.run()
    world.clock.seconds += 1
    world.add("fourth")
    world.free |= {"first"}
    world.run()
    world.run()
    assert world.get("fourth").state is ExperimentState.IN_PROGRESS


def test_an_experiment_whose_workflow_failed_ends_at_once_with_the_cause(world) -> None:
    world.broken["e1"] = InvalidInput("the plan defines no model.", where="plan.py")
    world.broken["e2"] = RuntimeError("the disk is on fire")
    world.add("e1", "e2")
    world.run()
    user, system = world.get("e1"), world.get("e2")
    assert user.status is ExperimentStatus.USER_ERROR
    assert user.cause == "plan.py: the plan defines no model. (step work)"
    assert system.status is ExperimentStatus.SYSTEM_ERROR
    assert "the disk is on fire" in system.cause


def test_a_failed_experiment_gives_its_place_to_the_next(world) -> None:
    world.broken["e1"] = InvalidInput("no.")
    world.broken["e2"] = InvalidInput("no.")
    world.add("e1", "e2", "e3")
    world.run()
    assert world.get("e3").state is ExperimentState.IN_PROGRESS


def test_an_experiment_that_no_workflow_took_up_is_enqueued_again_after_the_lease(world) -> None:
    world.add("e1")
    with world.db.transaction() as tx:
        assert tx.experiments.start("e1") is not None
    world.run(seconds=299)
    assert world.get("e1").generation == 1
    world.run(seconds=2)
    again = world.get("e1")
    assert (again.state, again.generation, again.workflow) == (ExperimentState.IN_PROGRESS, 2, "e1/run/2")


def test_a_workflow_that_comes_too_late_does_not_end_the_experiment_that_waits_again(world) -> None:
    world.add("e1")
    with world.db.transaction() as tx:
        tx.quota_groups.put(QuotaGroup(name="ads", max_in_progress=0))
        started = tx.experiments.start("e1")
        assert started is not None
        reference = {"experiment": "e1", "generation": started.generation}
        assert tx.experiments.requeue("e1", started.generation)
        world.workflows.enqueue(tx, "protocol/P", "e1/run/1", reference)
    world.run()
    status = world.workflows.status("e1/run/1")
    assert status is not None
    assert status.state == "FAILED"
    assert world.get("e1").state is ExperimentState.ENQUEUED


def test_a_running_experiment_is_looked_at_again_and_again_and_left_alone(world) -> None:
    world.add("e1")
    world.run()
    for _ in range(5):
        world.run(seconds=301)
    assert world.get("e1").state is ExperimentState.IN_PROGRESS
    assert world.get("e1").generation == 1


def test_an_experiment_expires_whether_it_runs_or_waits(world) -> None:
    world.add("e1", "e2", "e3")
    world.run()
    world.run(seconds=29 * DAY)
    assert world.get("e1").state is ExperimentState.IN_PROGRESS
    world.run(seconds=DAY + 1)
    assert {world.get(e).status for e in ("e1", "e2", "e3")} == {ExperimentStatus.DEADLINE_EXCEEDED}
    statuses = [world.workflows.status(f"{e}/run/1") for e in ("e1", "e2", "e3")]
    assert {s.state for s in statuses if s is not None} == {"CANCELED"}


def test_an_experiment_ends_once(world) -> None:
    world.add("e1")
    world.run()

    def finish(status: ExperimentStatus) -> bool:
        with world.db.transaction() as tx:
            return end(world.workflows, tx, "e1", status, "because")

    assert finish(ExperimentStatus.CANCELED)
    assert not finish(ExperimentStatus.UNSATISFIED)
    assert world.get("e1").status is ExperimentStatus.CANCELED


def test_what_an_experiment_runs_is_stopped_when_somebody_else_sets_its_verdict(world, tmp_path) -> None:
    world.add("e1")
    world.run()
    service = Experiments(world.db, Artifacts(str(tmp_path)), world.workflows)
    admin = Principal(name="root", team="default", role=Role.ADMIN)
    assert service.finish("e1", ExperimentStatus.SATISFIED, "decided elsewhere", None, admin)
    assert not service.finish("e1", ExperimentStatus.UNSATISFIED, "or not", None, admin)
    world.run()
    assert world.get("e1").status is ExperimentStatus.SATISFIED
    status = world.workflows.status("e1/run/1")
    assert status is not None
    assert status.state == "CANCELED"
