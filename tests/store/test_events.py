import threading
import time
from concurrent.futures import ThreadPoolExecutor

from wichtel.domain import QuotaGroup


def test_the_feed_is_read_from_where_one_stood(database):
    for i in range(5):
        with database.transaction() as tx:
            tx.events.add("thing.happened", f"thing/{i % 2}", {"i": i})
    with database.read() as tx:
        first = tx.events.since(0, 2)
        rest = tx.events.since(first[-1].id)
        assert [event.data["i"] for event in first + rest] == [0, 1, 2, 3, 4]
        assert [event.data["i"] for event in tx.events.since(subject_prefix="thing/1")] == [1, 3]
        assert tx.events.latest() == rest[-1].id
        assert tx.events.since(tx.events.latest()) == []


def test_a_reader_who_follows_the_feed_misses_nothing(database):
    """Transactions of different length overlap; whoever reads "all since N" in between still sees every event."""
    stop = threading.Event()
    seen: list[int] = []

    def follow():
        last = 0
        while True:
            ending = stop.is_set()
            with database.read() as tx:
                for event in tx.events.since(last, 1000):
                    assert event.id > last
                    last = event.id
                    seen.append(event.data["n"])
            if ending:
                return
            time.sleep(0.001)

    def write(n):
        with database.transaction() as tx:
            tx.events.add("x", "x", {"n": n})
            tx.audit.add("me", "x", "x")
            if n % 3 == 0:
                time.sleep(0.01)

    follower = threading.Thread(target=follow)
    follower.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(150)))
    stop.set()
    follower.join()
    assert sorted(seen) == list(range(150))


def test_writers_who_lock_the_same_rows_do_not_wait_in_a_circle(database):
    with database.transaction() as tx:
        tx.quota_groups.put(QuotaGroup(name="a"))

    def write(event_first):
        for _ in range(20):
            with database.transaction() as tx:
                if event_first:
                    tx.events.add("x", "x")
                    tx.quota_groups.put(QuotaGroup(name="a"))
                else:
                    tx.quota_groups.put(QuotaGroup(name="a"))
                    tx.events.add("x", "x")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [True, False, True, False]))
    with database.read() as tx:
        assert len(tx.events.since(0, 1000)) == 80
