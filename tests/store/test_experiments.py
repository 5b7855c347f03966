from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from wichtel.domain import (
    BUILT_IN_INTENTS,
    AlreadyExists,
    Experiment,
    ExperimentConfig,
    ExperimentState,
    ExperimentStatus,
    InvalidInput,
    Model,
    NotFound,
    Registration,
)
from wichtel.store import Database


@pytest.fixture
def add(database: Database):
    """Adds an experiment; the rest of what it needs is there."""
    with database.transaction() as tx:
        start = tx.now
        for name in ("ads/ctr", "ads/100%", "flights/late"):
            tx.models.add(Model(name=name, owner="me", team="t", head="v", created=start))
        for name in ("r1", "r2"):
            tx.registrations.add(Registration(id=name, owner="me", models=(), protocols=(), experiments=(), created=start))

    def add(name: str, *, minutes: float = 0, intent: int = 0, tx=None, **fields) -> datetime:
        given = {"registration": "r1", "model": "ads/ctr", "protocol": "Train", "owner": "me", "quota_group": "g"} | fields
        config = ExperimentConfig(intent=BUILT_IN_INTENTS[intent], parameters={"x": (1, 2)})
        experiment = Experiment(id=name, target="v", config=config, created=start + timedelta(minutes=minutes), **given)
        with database.transaction() as tx:
            tx.experiments.add(experiment)
        return experiment.created

    return add


def test_the_life_of_an_experiment_and_its_events(database, add):
    add("e")
    with pytest.raises(AlreadyExists):
        add("e")
    with database.transaction() as tx:
        assert tx.experiments.get("e").state is ExperimentState.ENQUEUED
        started = tx.experiments.start("e")
        assert (started.state, started.generation, started.started) == (ExperimentState.IN_PROGRESS, 1, tx.now)
        assert tx.experiments.start("e") is None
        assert not tx.experiments.requeue("e", 2)
        assert tx.experiments.requeue("e", 1)
        assert tx.experiments.get("e").started is None
        assert not tx.experiments.set_workflow("e", 1, "w")
        assert tx.experiments.start("e").generation == 2
        assert not tx.experiments.set_workflow("e", 1, "stale")
        assert tx.experiments.set_workflow("e", 2, "w")
        # A workflow has it now.
        assert not tx.experiments.requeue("e", 2)
        assert tx.experiments.finish("e", ExperimentStatus.UNSATISFIED, "no gain")
        assert not tx.experiments.finish("e", ExperimentStatus.SATISFIED, "too late")
        assert tx.experiments.start("e") is None
        with pytest.raises(NotFound, match="Known: e"):
            tx.experiments.finish("f", ExperimentStatus.CANCELED, "")
    with database.read() as tx:
        ended = tx.experiments.get("e")
        assert (ended.state, ended.status, ended.cause, ended.workflow) == (
            ExperimentState.FINISHED,
            ExperimentStatus.UNSATISFIED,
            "no gain",
            "w",
        )
        assert ended.finished is not None
        events = tx.events.since(subject_prefix="experiment/e")
        assert [event.kind.partition(".")[2] for event in events] == ["added", "started", "requeued", "started", "finished"]
        assert events[-1].data == {"status": "UNSATISFIED", "cause": "no gain"}


def test_of_many_who_start_or_finish_it_one_does(database, add):
    add("e")

    def start(_):
        with database.transaction() as tx:
            return tx.experiments.start("e") is not None

    def finish(i):
        with database.transaction() as tx:
            return tx.experiments.finish("e", ExperimentStatus.CANCELED, str(i))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(start, range(6))) == 1
        assert sum(pool.map(finish, range(6))) == 1
    with database.read() as tx:
        assert tx.experiments.get("e").generation == 1
        kinds = [event.kind for event in tx.events.since(subject_prefix="experiment/")]
        assert kinds == ["experiment.added", "experiment.started", "experiment.finished"]


def test_what_the_scheduler_asks(database, add):
    for name, group, minutes in (("a", "x", 3), ("b", "x", 1), ("c", "y", 2), ("d", "z", 0)):
        add(name, quota_group=group, minutes=minutes)
    with database.transaction() as tx:
        tx.experiments.start("d")
        tx.quota_groups.lock_all()
        assert tx.queue.groups() == ["x", "y"]
        assert {group: n for (group, _, _), n in tx.queue.in_progress().items()} == {"z": 1}
        assert [place.id for place in tx.queue.next_of("x", 5)] == ["b", "a"]
        assert tx.queue.next_of("z", 5) == []
        assert tx.queue.lines()["x"].waiting == 2
        assert tx.experiments.start_many(["a", "d", "c", "none"]) == {"a": 1, "c": 1}


def test_pages_cover_all_once_also_when_times_are_equal_and_more_come_in(database, add):
    names = [f"e{i:02}" for i in range(23)]
    for i, name in enumerate(names):
        add(name, minutes=i // 5)
    seen, cursor, pages = [], None, 0
    while True:
        with database.read() as tx:
            page = tx.experiments.search(limit=4, cursor=cursor)
        seen += [e.id for e in page.items]
        pages += 1
        add(f"new{pages}", minutes=99)
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == sorted(names, reverse=True)
    assert pages == 6
    with database.read() as tx:
        for bad in ("", "x", "nonsense!", "AAAA"):
            with pytest.raises(InvalidInput, match="no cursor"):
                tx.experiments.search(cursor=bad)
        for bad in (0, 1001):
            with pytest.raises(InvalidInput, match="between 1 and 1000"):
                tx.experiments.search(limit=bad)


def test_the_first_page_of_a_search_is_found_by_an_index():
    """At a million experiments nothing may read or sort them all. Asked of SQLite, since PostgreSQL reads small tables whole."""
    database = Database.open("sqlite://", upgrade=True)
    with database.read() as tx:
        for condition in ("owner = 'x'", "protocol = 'x'", "status = 'x'", "intent = 'x'", "state = 'x' AND quota_group = 'g'"):
            query = f"EXPLAIN QUERY PLAN SELECT * FROM experiments WHERE {condition} ORDER BY created DESC, id DESC LIMIT 10"
            plan = str(tx.connection.exec_driver_sql(query).all())
            assert "USING INDEX" in plan
            assert "TEMP B-TREE" not in plan
    database.close()


def test_how_registrations_stand_and_what_protocols_came_to(database, add):
    for name, fields in {
        "a": {},
        "b": {"registration": "r2", "protocol": "Tune"},
        "c": {"quota_group": "h"},
        "d": {"protocol": "Tune"},
    }.items():
        add(name, minutes=ord(name), **fields)
    with database.transaction() as tx:
        tx.experiments.start("a")
        tx.experiments.finish("b", ExperimentStatus.SATISFIED, "Good.")
    with database.read() as tx:
        tallies = tx.experiments.tallies(["r1", "r2", "r3"])
        assert tallies["r1"].counts == {"IN_PROGRESS": 1, "ENQUEUED": 2}
        assert (tallies["r1"].teams, tallies["r1"].unfinished, tallies["r1"].total) == (("g", "h"), 3, 3)
        assert (tallies["r2"].counts, tallies["r2"].unfinished) == ({"SATISFIED": 1}, 0)
        assert tallies["r3"].counts == {}
        outlines = tx.experiments.outlines(["b", "a", "nothing"])
        assert sorted(outlines) == ["a", "b"]
        assert (outlines["b"].state, outlines["b"].status, outlines["b"].cause) == (
            ExperimentState.FINISHED,
            ExperimentStatus.SATISFIED,
            "Good.",
        )
        assert outlines["a"].status is None
        assert tx.counts.by_protocol() == {"Train": 2, "Tune": 2}
        latest = tx.counts.latest_of(["Tune", "Train", "Nothing"], 1)
        assert {name: [ending.standing for ending in found] for name, found in latest.items()} == {
            "Tune": ["ENQUEUED"],
            "Train": ["ENQUEUED"],
            "Nothing": [],
        }
