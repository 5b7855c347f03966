import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from wichtel.domain import InvalidInput, QuotaGroup, RunSpec, StorageFailed, SystemFault, Unavailable
from wichtel.store import Database


def test_a_transaction_is_kept_whole_or_not_at_all(database):
    def write():
        with database.transaction() as tx:
            tx.quota_groups.put(QuotaGroup(name="a"))
            tx.events.add("x", "y")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    with database.read() as tx:
        assert tx.quota_groups.list() == []
        assert tx.events.since() == []


def test_what_is_to_follow_a_commit_follows_no_rollback(database):
    calls = []

    def write(fails):
        with database.transaction() as tx:
            tx.after_commit(lambda: calls.append(fails))
            assert calls == []
            if fails:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(fails=True)
    write(fails=False)
    assert calls == [False]


def test_the_time_of_a_transaction_is_aware_and_stands_still(database):
    with database.transaction() as tx:
        assert tx.now.tzinfo is UTC
        assert tx.now == tx.now
        assert abs(tx.now - datetime.now(UTC)) < timedelta(seconds=60)
        tx.audit.add("me", "did", "it")
        assert tx.audit.list()[0].created == tx.now


def test_a_reader_cannot_write(database):
    with pytest.raises(SystemFault, match=r"tried to write|cannot be written"), database.read() as tx:
        tx.quota_groups.put(QuotaGroup(name="a"))
    with database.transaction() as tx:
        tx.quota_groups.put(QuotaGroup(name="a"))


def test_a_reader_goes_on_while_a_writer_writes(database):
    with database.transaction() as tx:
        tx.quota_groups.put(QuotaGroup(name="a"))
        with ThreadPoolExecutor(1) as pool:

            def look():
                with database.read() as reader:
                    return reader.quota_groups.list()

            assert pool.submit(look).result(10) == []


def test_a_transaction_within_a_transaction_is_refused_at_once(database):
    with database.transaction(), pytest.raises(RuntimeError, match="pass it on"), database.transaction():
        pass
    with database.transaction() as tx:
        assert tx.models.list() == []


def test_read_modify_write_by_many_threads_loses_nothing_on_sqlite(tmp_path):
    for url in (f"sqlite:///{tmp_path}/x.db", "sqlite://"):
        database = Database.open(url, upgrade=True)

        def add(_, database=database):
            with database.transaction() as tx:
                old = tx.quota_groups.get("n").max_in_progress
                tx.quota_groups.put(QuotaGroup(name="n", max_in_progress=old + 1))
            with database.read() as tx:
                return tx.quota_groups.get("n").max_in_progress

        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(add, range(60)))
        assert max(seen) == QuotaGroup(name="n").max_in_progress + 60
        database.close()


def test_two_processes_take_turns_at_a_sqlite_file(tmp_path):
    """The workflow engine has an engine of its own on the same file."""
    database = Database.open(f"sqlite:///{tmp_path}/x.db", upgrade=True)
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.close)
        timer.start()
        with database.transaction() as tx:
            tx.quota_groups.put(QuotaGroup(name="a"))
        timer.join()
    database.close()


def test_the_settings_of_a_sqlite_file(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path}/deep/down/x.db", upgrade=True)
    with database.read() as tx:
        settings = {
            name: tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
        assert settings == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30_000}
        assert tx.connection.exec_driver_sql("SELECT unixepoch('subsec')").scalar() > 1.7e9
    database.close()


def test_a_row_that_refers_to_nothing_is_refused(database):
    with pytest.raises(SystemFault, match="not there"), database.transaction() as tx:
        tx.connection.execute(sa.text("INSERT INTO measurements (run, step, attempt, metrics) VALUES ('none', 1, 1, '{}')"))


def test_text_that_looks_odd_comes_back(database):
    odd = "a'b\"c\\d%_é漢🙂\u2028\n\x00"
    with database.transaction() as tx:
        tx.runs.add(RunSpec(id="odd", entry="m:f", payload={odd: odd}))
    with database.read() as tx:
        assert tx.runs.get("odd").spec.payload == {odd: odd}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "no database URL"),
        ("mysql://me:secret@host/x", "no database that Wichtel works with"),
        ("postgresql://me:secret@127.0.0.1:1/x", "Is the server running"),
    ],
)
def test_a_database_that_cannot_be_opened_says_why_and_keeps_the_password(url, message):
    with pytest.raises((InvalidInput, SystemFault), match=message) as error:
        Database.open(url)
    assert "secret" not in str(error.value)


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(InvalidInput, match="not a database"):
        Database.open(f"sqlite:///{path}", upgrade=True)
    assert path.read_bytes() == b"not a database at all" * 100


def test_a_number_that_is_too_large_is_the_callers_mistake(database):
    with pytest.raises(InvalidInput, match="does not fit"), database.read() as tx:
        tx.events.since(10**30)
    with pytest.raises(InvalidInput, match="does not fit"), database.transaction() as tx:
        tx.quota_groups.put(QuotaGroup(name="a", max_in_progress=10**30))


def test_no_free_connection_is_a_fault_that_may_pass(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/x.db", poolclass=sa.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.05)
    database = Database(engine)
    with engine.connect(), pytest.raises(SystemFault, match="cannot be reached"), database.read():
        pass
    database.close()


def test_what_is_forgotten_in_the_middle_of_a_transaction_frees_what_it_held(postgres, monkeypatch):
    """A process that is frozen cannot say that it is gone."""
    monkeypatch.setattr("wichtel.store.database._IDLE_IN_TRANSACTION", "300ms")
    name = postgres.create()
    forgetful = Database.open(postgres.url(name), upgrade=True)
    other = Database.open(postgres.url(name))
    try:
        with other.transaction() as tx:
            tx.quota_groups.put(QuotaGroup(name="a"))

        def forget():
            with forgetful.transaction() as tx:
                tx.quota_groups.put(QuotaGroup(name="a", max_in_progress=1))
                with other.transaction() as newer:
                    newer.quota_groups.put(QuotaGroup(name="a", max_in_progress=2))

        with pytest.raises(Unavailable, match="stood still"):
            forget()
        with forgetful.read() as tx:
            assert [group.max_in_progress for group in tx.quota_groups.list()] == [2]
        with other.read(streams=True) as tx:
            time.sleep(0.5)
            assert [group.max_in_progress for group in tx.quota_groups.list()] == [2]
    finally:
        forgetful.close()
        other.close()
        postgres.drop(name)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="cannot be made"):
        Database.open(f"sqlite:///{tmp_path}/file/x.db", upgrade=True)
