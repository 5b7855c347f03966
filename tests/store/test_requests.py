"""Answers that are kept with what they answer, and what is counted of requests."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from wichtel.domain import Histogram, InvalidInput
from wichtel.store import Database, RequestCount, StoredAnswer

ANSWER = StoredAnswer(status=201, headers={"content-type": "application/json"}, body=b'{"token":"wt_secret"}')


def test_the_answer_is_there_exactly_if_the_change_is(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.together() as outer:  # noqa: PT012
        assert outer.idempotency.claim("ana", "key", "POST /x", "digest") is None
        with database.transaction() as tx:
            tx.audit.add("ana", "did", "x")
        outer.idempotency.keep("ana", "key", "POST /x", ANSWER)
        raise ZeroDivisionError
    with database.read() as tx:
        assert tx.audit.list() == []
        assert tx.idempotency.find("ana", "key", "POST /x", "digest") is None
    with database.together() as outer:
        assert outer.idempotency.claim("ana", "key", "POST /x", "digest") is None
        outer.idempotency.keep("ana", "key", "POST /x", ANSWER)
    with database.transaction() as tx:
        assert tx.idempotency.claim("ana", "key", "POST /x", "digest") == ANSWER
        assert tx.idempotency.claim("eva", "key", "POST /x", "digest") is None, "a key is its principal's"
        assert tx.idempotency.claim("ana", "key", "POST /y", "other") is None, "and for one kind of request"
        with pytest.raises(InvalidInput, match="another request"):
            tx.idempotency.claim("ana", "key", "POST /x", "other")


def test_neither_a_key_nor_an_answer_can_be_read_from_the_table(database: Database) -> None:
    with database.transaction() as tx:
        for key in ("long-random-key", "another"):
            tx.idempotency.claim("ana", key, "POST /x", "digest")
            tx.idempotency.keep("ana", key, "POST /x", ANSWER)
        rows = tx.connection.exec_driver_sql("SELECT * FROM idempotency").all()
        assert len({bytes(row.body) for row in rows}) == 2
        assert "long-random-key" not in str(rows)
        assert not any(b"secret" in bytes(row.body) for row in rows)


def test_of_two_at_once_one_waits_for_the_answer_of_the_other(database: Database) -> None:
    claimed, found = threading.Event(), []

    def second() -> None:
        assert claimed.wait(10)
        with database.together() as tx:
            found.append(tx.idempotency.claim("ana", "key", "POST /x", "digest"))

    thread = threading.Thread(target=second)
    thread.start()
    with database.together() as tx:
        tx.idempotency.claim("ana", "key", "POST /x", "digest")
        claimed.set()
        thread.join(0.2)
        assert found == []
        tx.idempotency.keep("ana", "key", "POST /x", ANSWER)
    thread.join(10)
    assert found == [ANSWER]


def test_a_part_that_fails_leaves_the_rest(database: Database) -> None:
    calls = []
    with database.together():
        with database.transaction() as tx:
            tx.events.add("first", "x")
            tx.after_commit(lambda: calls.append("first"))
        with pytest.raises(ZeroDivisionError), database.transaction() as tx:  # noqa: PT012
            tx.audit.add("ana", "did", "x")
            tx.events.add("second", "x")
            tx.after_commit(lambda: calls.append("second"))
            raise ZeroDivisionError
        with database.read() as tx:
            assert tx.audit.list() == []
        assert calls == []
    assert calls == ["first"]
    with database.read() as tx:
        assert [event.kind for event in tx.events.since()] == ["first"]


def test_answers_are_kept_for_a_day(database_url: str) -> None:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    database = Database.open(database_url, clock=lambda: time)
    with database.transaction() as tx:
        tx.idempotency.claim("ana", "key", "POST /x", "digest")
    time += timedelta(hours=23)
    with database.transaction() as tx:
        assert tx.idempotency.forget_old() == 0
    time += timedelta(hours=2)
    with database.transaction() as tx:
        assert tx.idempotency.forget_old() == 1
    database.close()


def test_counts_that_are_written_twice_count_once(database: Database) -> None:
    hour = datetime(2026, 1, 1, 12, tzinfo=UTC)
    times = Histogram()
    for ms in range(1, 101):
        times.add(ms)
    count = RequestCount(
        hour=hour,
        replica="p-1",
        call="GetExperiment",
        status_class=2,
        count=times.count,
        sum_ms=times.sum_ms,
        max_ms=times.max_ms,
        buckets=times.buckets,
        principals=("ana",),
    )
    with database.transaction() as tx:
        tx.request_stats.put([count])
        tx.request_stats.put([count])
    with database.read(streams=True) as tx:
        assert list(tx.request_stats.each()) == [count]
        assert [*tx.request_stats.each(since=hour + timedelta(hours=1)), *tx.request_stats.each(before=hour)] == []
    assert times.quantile(0.5) == pytest.approx(50, rel=0.1)
    assert times.quantile(0.99) == pytest.approx(99, rel=0.1)
    assert (times.quantile(1), times.mean_ms) == (100, 50.5)
