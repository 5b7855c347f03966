"""Old and new code on one database."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from wichtel.domain import DatabaseTooNew, SystemFault
from wichtel.store import Database, online, schema


@pytest.fixture
def old_code(monkeypatch):
    """Code of an earlier version: it knows fewer revisions."""

    def be(head):
        monkeypatch.setattr(schema, "HEAD", head)
        monkeypatch.setattr(schema, "REVISIONS", tuple(r for r in schema.REVISIONS if r <= head))

    return be


def say(database, statement):
    with database.transaction() as tx:
        tx.connection.execute(sa.text(statement))


def test_older_code_goes_on_with_a_database_that_allows_it(database, database_url, old_code):
    old_code("0008")
    database.check()
    database.upgrade()
    Database.open(database_url, upgrade=True).close()
    with database.transaction() as tx:
        tx.audit.add("me", "wrote", "something")
        tx.replicas.beat("r", ["api"])
    with database.read() as tx:
        assert schema.revision(tx.connection) > "0008"


def test_older_code_leaves_a_database_alone_that_does_not(database, database_url, old_code):
    say(database, "UPDATE compatibility SET oldest = '0009'")
    database.check()
    old_code("0008")
    for refused in (database.upgrade, database.check, lambda: Database.open(database_url, upgrade=True)):
        with pytest.raises(DatabaseTooNew, match="for code of 0009"):
            refused()


def test_a_newer_database_that_does_not_say_is_left_alone(database, old_code):
    say(database, "DROP TABLE compatibility")
    old_code("0008")
    with pytest.raises(DatabaseTooNew):
        database.check()


def test_newer_code_asks_for_an_upgrade_and_then_goes_on(postgres_url, tmp_path, old_code, monkeypatch):
    for url in (postgres_url, f"sqlite:///{tmp_path}/old.db"):
        with monkeypatch.context() as earlier:
            earlier.setattr(schema, "HEAD", "0001")
            Database.open(url, upgrade=True).close()
        database = Database.open(url)
        with pytest.raises(SystemFault, match="wichtel db upgrade"):
            database.check()
        database.upgrade()
        database.check()
        with database.read() as tx:
            assert schema.oldest_code(tx.connection) == "0001"
        database.close()


def test_an_upgrade_of_a_database_in_use_makes_the_tables_that_an_empty_one_gets(postgres_url, postgres, monkeypatch):
    def indexes(url):
        made = Database.open(url)
        with made.read() as tx:
            found = tx.connection.exec_driver_sql("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'").all()
        made.close()
        return sorted(map(tuple, found))

    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "HEAD", "0001")
        Database.open(postgres_url, upgrade=True).close()
    Database.open(postgres_url, upgrade=True).close()
    name = postgres.create()
    Database.open(postgres.url(name), upgrade=True).close()
    assert indexes(postgres_url) == indexes(postgres.url(name))
    postgres.drop(name)


def test_an_upgrade_waits_for_a_table_in_use_without_making_others_wait_for_long(postgres_url, monkeypatch):
    monkeypatch.setattr(online, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(online, "_PAUSE_SECONDS", 0.1)
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "HEAD", "0001")
        Database.open(postgres_url, upgrade=True).close()
    database, other = Database.open(postgres_url), Database.open(postgres_url)
    with database.transaction() as tx:
        tx.connection.exec_driver_sql("SELECT count(*) FROM replicas")
        upgrading = threading.Thread(target=other.upgrade)
        upgrading.start()
        time.sleep(0.5)
        assert upgrading.is_alive()
        with other.read() as reader:
            # It would wait behind an upgrade that waits for its lock.
            reader.connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
            reader.connection.exec_driver_sql("SELECT count(*) FROM replicas")
    upgrading.join(60)
    database.check()
    database.close()
    other.close()


def test_an_index_that_is_missing_is_made_by_the_next_upgrade(postgres_url):
    database = Database.open(postgres_url, upgrade=True)
    say(database, "DROP INDEX ix_replicas_beat")
    database.upgrade()
    with database.read() as tx:
        assert "ix_replicas_beat" in tx.connection.execute(sa.text(online._VALID_INDEXES)).scalars().all()
    database.close()
