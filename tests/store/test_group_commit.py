import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import CancelledError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import Measurement, RunSpec, SystemFault
from wichtel.store import Database, GroupCommit


def spec(name: object) -> RunSpec:
    return RunSpec(id=str(name), entry="m:f")


def ids(database: Database) -> list[str]:
    with database.read() as tx:
        return [run.spec.id for run in tx.runs.list(limit=100_000)]


def test_every_write_of_every_thread_is_there_once(database):
    with GroupCommit(database) as group:

        def submit(thread):
            return [group.submit(lambda tx, i=i: tx.runs.add(spec(f"{thread}/{i}"))) for i in range(100)]

        threads = [threading.Thread(target=submit, args=[i]) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        group.flush()
        assert sorted(ids(database)) == sorted(f"{t}/{i}" for t in range(4) for i in range(100))


def test_an_error_reaches_its_submitter_and_spoils_nothing_else(database):
    def bad(tx):
        tx.runs.add(spec("undone"))
        tx.events.add("undone", "x")
        raise ZeroDivisionError

    def good(tx):
        tx.events.add("kept", "x")
        return tx.runs.add(spec("kept"))

    with GroupCommit(database) as group:
        hold = threading.Event()
        group.submit(lambda _: hold.wait())
        writes = [group.submit(write) for write in (bad, good, bad)]
        canceled = group.submit(lambda tx: tx.runs.add(spec("canceled")))
        assert canceled.cancel()
        hold.set()
        assert writes[1].result(10) is True
        for failed in (writes[0], writes[2]):
            with pytest.raises(ZeroDivisionError):
                failed.result(10)
        with pytest.raises(CancelledError):
            canceled.result(10)
    assert ids(database) == ["kept"]
    with database.read() as tx:
        assert [event.kind for event in tx.events.since()] == ["kept"]
    with pytest.raises(RuntimeError, match="closed"):
        group.submit(good)
    group.close()


@pytest.fixture(scope="module")
def in_memory():
    database = Database.open("sqlite://", upgrade=True)
    yield database
    database.close()


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["ok", "raise", "break", "dangle"])), max_size=40))
def test_what_is_applied_is_what_was_answered(in_memory, writes):
    database = in_memory
    with database.transaction() as tx:
        tx.connection.exec_driver_sql("DELETE FROM runs")

    def apply(tx, name, how):
        added = tx.runs.add(spec(name))
        if how == "raise":
            raise KeyError(name)
        if how == "break":
            tx.connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")
        if how == "dangle":
            # Refused only at the commit: there is no such run.
            tx.measurements.add_many([Measurement(run="nobody's", attempt=1, step=1, metrics={})])
        return added

    with GroupCommit(database) as group:
        hold = threading.Event()
        group.submit(lambda _: hold.wait())
        futures = [group.submit(lambda tx, w=w: apply(tx, *w)) for w in writes]
        hold.set()
        group.flush()
        assert all(future.done() for future in futures)
    expected = list(dict.fromkeys(str(name) for name, how in writes if how == "ok"))
    assert ids(database) == expected
    answered = [str(w[0]) for w, f in zip(writes, futures, strict=True) if f.exception() is None and f.result()]
    assert answered == expected
    for (_, how), future in zip(writes, futures, strict=True):
        assert (future.exception() is None) == (how == "ok")
        if how in ("break", "dangle"):
            assert isinstance(future.exception(), SystemFault)


WRITER = """
import sys
from wichtel.domain import Measurement, RunSpec, SystemFault
from wichtel.store import Database, GroupCommit
group = GroupCommit(Database.open(sys.argv[1]))
def told(name):
    return lambda future: print(name, flush=True) if future.result() else None
n = 0
while True:
    for _ in range(50):
        n += 1
        group.submit(lambda tx, n=n: tx.runs.add(RunSpec(id=str(n), entry="m:f"))).add_done_callback(told(n))
    group.flush()
"""


def test_what_was_acknowledged_survives_kill_9(database, database_url):
    acknowledged: list[str] = []
    for kill_after in (60, 333):
        if acknowledged:
            with database.transaction() as tx:
                tx.connection.exec_driver_sql("DELETE FROM runs")
            acknowledged.clear()
        writer = subprocess.Popen([sys.executable, "-c", WRITER, database_url], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for line in writer.stdout:
            if line.endswith("\n"):
                acknowledged.append(line.strip())
            if len(acknowledged) == kill_after:
                os.kill(writer.pid, signal.SIGKILL)
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        assert len(acknowledged) >= kill_after
        there = ids(database)
        assert len(there) == len(set(there))
        assert set(acknowledged) <= set(there)
