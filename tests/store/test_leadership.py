from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from wichtel.store import Database


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def timed(database_url, clock):
    database = Database.open(database_url, clock=clock)
    yield database
    database.close()


def test_a_lease_has_one_holder_and_a_token_that_grows_with_each_change(timed, clock):
    def acquire(holder):
        with timed.transaction() as tx:
            return tx.leases.acquire("leader", holder, 10)

    def holds(token):
        with timed.transaction() as tx:
            return tx.leases.holds("leader", token)

    assert not holds(1)
    assert acquire("a") == 1
    assert acquire("b") is None
    clock.time += timedelta(seconds=9)
    assert acquire("a") == 1
    clock.time += timedelta(seconds=9)
    assert acquire("b") is None
    clock.time += timedelta(seconds=1)
    assert acquire("b") == 2
    # The old holder slept; it can neither renew nor act.
    assert acquire("a") is None
    assert not holds(1)
    assert holds(2)
    with timed.transaction() as tx:
        assert not tx.leases.release("leader", "a")
        assert tx.leases.release("leader", "b")
        assert tx.leases.acquire("other", "a", 10) == 1
    assert acquire("b") == 3
    clock.time += timedelta(seconds=60)
    # It ran out, but nobody else had it in between.
    assert acquire("b") == 3


def test_of_many_who_want_a_lease_one_gets_it(database):
    for token in range(1, 4):

        def acquire(i):
            with database.transaction() as tx:
                return tx.leases.acquire("leader", f"h{i}", 60)

        with ThreadPoolExecutor(6) as pool:
            got = list(pool.map(acquire, range(6)))
        assert [g for g in got if g is not None] == [token]
        with database.transaction() as tx:
            tx.leases.release("leader", f"h{got.index(token)}")


def test_replicas_that_fall_silent_are_dead(timed, clock):
    with timed.transaction() as tx:
        tx.replicas.beat("a", ["api", "controller"])
        tx.replicas.beat("b")
    clock.time += timedelta(seconds=20)
    with timed.transaction() as tx:
        tx.replicas.beat("a", ["api"])
        assert tx.replicas.dead(19) == ["b"]
        assert tx.replicas.dead(20) == []
        first, _ = tx.replicas.list()
        assert (first.roles, first.beat - first.started) == (("api",), timedelta(seconds=20))
        assert tx.replicas.forget("b")
        assert not tx.replicas.forget("b")
        assert [replica.id for replica in tx.replicas.list()] == ["a"]
