import threading
import time

import pytest

from wichtel.domain import InvalidInput, NotFound, NotPermitted
from wichtel.experiments import Jobs, PeriodicJob, Principal, Role

ADMIN = Principal(name="ada", team="ops", role=Role.ADMIN)


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Work:
    """What jobs did, and a gate that one may be made to wait at."""

    def __init__(self):
        self.done = []
        self.gate = threading.Event()
        self.gate.set()

    def by(self, who):
        def run():
            self.done.append(who)
            self.gate.wait(20)
            return {"by": who}

        return run


def make(database, holder, run, *, every=3600.0, claim=60.0, preview=None):
    return Jobs(
        database, [PeriodicJob(name="tidy", every_seconds=every, run=run, preview=preview)], holder, poll_seconds=0.02, claim_seconds=claim
    )


def status(database):
    with database.read() as tx:
        return tx.jobs.get("tidy")


def test_of_two_holders_one_carries_out_what_is_due_and_the_next_time_is_an_interval_later(database):
    work = Work()
    replicas = [make(database, who, work.by(who)) for who in ("one", "two")]
    for replica in replicas:
        replica.start()
    replicas[0].request("tidy", ADMIN)
    until(lambda: status(database).ended)
    for replica in replicas:
        replica.stop()
    found = status(database)
    assert work.done == [found.outcome["by"]]
    assert (found.due - found.started).total_seconds() == 3600
    assert (found.holder, found.requested, found.error) == ("", None, "")


def test_it_comes_round_again_and_again(database):
    work = Work()
    jobs = make(database, "one", work.by("one"), every=0.05)
    jobs.start()
    until(lambda: len(work.done) >= 3)
    jobs.stop()


def test_what_a_dead_holder_left_is_done_again_and_what_it_says_later_is_not_heard(database):
    with database.transaction() as tx:
        tx.jobs.ensure("tidy", 3600.0, tx.now)
        # A process that claimed it and was killed.
        token = tx.jobs.claim("tidy", "dead", 0.3)
        assert tx.jobs.claim("tidy", "other", 0.3) is None
    work = Work()
    jobs = make(database, "one", work.by("one"))
    jobs.start()
    assert work.done == []
    until(lambda: status(database).ended)
    jobs.stop()
    with database.transaction() as tx:
        assert not tx.jobs.finish("tidy", token, tx.now, {"by": "dead"})
        assert not tx.jobs.renew("tidy", token, 60)
    assert status(database).outcome == {"by": "one"}


def test_a_long_job_keeps_its_claim(database):
    work = Work()
    work.gate.clear()
    replicas = [make(database, who, work.by(who), claim=0.4) for who in ("one", "two")]
    replicas[0].start()
    replicas[0].request("tidy", ADMIN)
    until(lambda: work.done)
    replicas[1].start()
    time.sleep(1.0)
    work.gate.set()
    until(lambda: status(database).ended)
    for replica in replicas:
        replica.stop()
    assert work.done == ["one"]


def test_a_job_that_raises_says_why_is_tried_again_soon_and_tells_of_it_once(database):
    tries = []

    def run():
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("the disk is gone")
        return {"tidied": 1}

    jobs = make(database, "one", run)
    jobs.start()
    for _ in range(2):
        jobs.request("tidy", ADMIN)
        until(lambda: not status(database).requested and not status(database).holder)
    failed = status(database)
    assert failed.error == "RuntimeError: the disk is gone"
    assert failed.failures == 2
    assert failed.outcome is None
    # Sooner than after its interval.
    assert 30 < (failed.due - failed.ended).total_seconds() <= 120
    jobs.request("tidy", ADMIN)
    until(lambda: status(database).outcome)
    jobs.stop()
    assert (status(database).error, status(database).failures) == ("", 0)
    with database.read() as tx:
        told = [event for event in tx.events.since(0) if event.kind == "job.failed"]
    assert [(event.subject, event.data) for event in told] == [("job/tidy", {"error": "RuntimeError: the disk is gone"})]


def test_a_request_during_a_run_leads_to_another_run(database):
    work = Work()
    work.gate.clear()
    jobs = make(database, "one", work.by("one"))
    jobs.start()
    jobs.request("tidy", ADMIN)
    until(lambda: work.done)
    jobs.request("tidy", ADMIN)
    work.gate.set()
    until(lambda: len(work.done) == 2)
    jobs.stop()


def test_an_interval_that_was_changed_counts_from_the_next_start(database):
    before = make(database, "one", dict)
    before.start()
    before.stop()
    jobs = make(database, "two", dict, every=60.0)
    jobs.start()
    jobs.stop()
    with database.read() as tx:
        assert (status(database).due - tx.now).total_seconds() <= 60


def test_only_admins_see_and_run_jobs_and_it_is_in_the_audit_log(database):
    jobs = make(database, "one", dict, preview=lambda: {"would": 3})
    editor = Principal(name="ed", team="ops", role=Role.EDITOR)
    for call in (lambda: jobs.list(editor), lambda: jobs.request("tidy", editor), lambda: jobs.preview("tidy", editor)):
        with pytest.raises(NotPermitted):
            call()
    with pytest.raises(NotFound):
        jobs.request("tidi", ADMIN)
    jobs.request("tidy", ADMIN)
    assert jobs.preview("tidy", ADMIN) == {"would": 3}
    assert [j.name for j in jobs.list(ADMIN)] == ["tidy"]
    with database.read() as tx:
        assert [(e.principal, e.action, e.subject) for e in tx.audit.list()] == [("ada", "run_job", "tidy")]
    with pytest.raises(InvalidInput, match="beforehand"):
        make(database, "one", dict).preview("tidy", ADMIN)


def test_two_jobs_of_one_name_are_refused(database):
    job = PeriodicJob(name="tidy", every_seconds=1, run=dict)
    with pytest.raises(InvalidInput, match="tidy"):
        Jobs(database, [job, job], "one")
