"""kill -9, on SQLite with a restart, on PostgreSQL with another replica: everything finishes, and no row is there twice."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType

from sqlalchemy import text

from wichtel.store import Database

REPLICA = Path(__file__).parent / "crash_replica.py"


def load_replica() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crash_replica", REPLICA)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def begin(url: str, executor: str, chains: int) -> subprocess.Popen[str]:
    replica = subprocess.Popen([sys.executable, str(REPLICA), url, executor, str(chains)], stdout=subprocess.PIPE, text=True)
    assert replica.stdout is not None
    assert replica.stdout.readline() == "started\n"
    return replica


def finish(replica: subprocess.Popen[str], seconds: float = 60.0) -> None:
    try:
        assert replica.wait(seconds) == 0
    finally:
        kill(replica)


def kill(replica: subprocess.Popen[str]) -> None:
    replica.kill()
    replica.wait()
    assert replica.stdout is not None
    replica.stdout.close()


def prepare(url: str) -> Database:
    db = Database.open(url, upgrade=True)
    with db.transaction() as tx:
        # No key is unique here: that a row is not there twice is the doing of the workflows and of idempotent bodies.
        tx.connection.execute(text("CREATE TABLE began (key TEXT, executor TEXT)"))
        tx.connection.execute(text("CREATE TABLE effects (key TEXT, value INTEGER)"))
    return db


def enqueue(db: Database, chains: int) -> None:
    client = load_replica().workflows(db, "client")
    with db.transaction() as tx:
        for number in range(chains):
            client.enqueue(tx, "chain", f"w{number}", {"number": number})
    client.stop()


def effects(db: Database) -> int:
    with db.read() as tx:
        return int(tx.connection.execute(text("SELECT count(*) FROM effects")).scalar() or 0)


def who(db: Database) -> Counter[str]:
    """How many bodies each replica began."""
    with db.read() as tx:
        return Counter(tx.connection.execute(text("SELECT executor FROM began")).scalars())


def judge(db: Database, chains: int, kills: int) -> None:
    with db.read() as tx:
        rows = tx.connection.execute(text("SELECT key, value FROM effects")).all()
        began = Counter(tx.connection.execute(text("SELECT key FROM began")).scalars())
    # a = 1, b = c = 1 + a, d = 1 + a + b + c, follow = d
    expected = {
        f"w{number}/{step}": value for number in range(chains) for step, value in {"a": 1, "b": 2, "c": 2, "d": 6, "follow": 6}.items()
    }
    assert sorted((key, value) for key, value in rows) == sorted(expected.items())
    assert set(began) == set(expected)
    assert max(began.values()) <= kills + 1
    client = load_replica().workflows(db, "client")
    try:
        for number in range(chains):
            chain, follow = client.status(f"w{number}"), client.status(f"w{number}/follow")
            assert chain is not None
            assert follow is not None
            assert (chain.state, chain.output) == ("SUCCEEDED", {"d": {"n": 6}})
            assert [step.output for step in client.steps(f"w{number}")] == [{"n": 1}, {"n": 2}, {"n": 2}, {"n": 6}]
            assert (follow.state, follow.output) == ("SUCCEEDED", 6)
    finally:
        client.stop()
        db.close()


def test_sqlite_survives_kills_of_its_only_process(tmp_path: Path) -> None:
    url, chains, kills = f"sqlite:///{tmp_path}/crash.db", 20, 5
    db = prepare(url)
    enqueue(db, chains)
    chance = random.Random(7)
    for _ in range(kills):
        replica = begin(url, "embedded", chains)
        time.sleep(chance.uniform(0.05, 0.6))
        kill(replica)
    assert effects(db) < 5 * chains, "it was done before the last kill"
    finish(begin(url, "embedded", chains))
    judge(db, chains, kills)


def test_postgresql_survives_the_loss_of_a_replica(postgres_url: str) -> None:
    chains = 40
    db = prepare(postgres_url)
    replicas = {name: begin(postgres_url, name, chains) for name in ("first", "second")}
    try:
        enqueue(db, chains)
        while effects(db) < chains:
            time.sleep(0.02)
        [(busiest, _)] = who(db).most_common(1)
        kill(replicas.pop(busiest))
        assert effects(db) < 5 * chains, "it was done before the kill"
        [(survivor, replica)] = replicas.items()
        before = who(db)[survivor]
        finish(replica)
    finally:
        for replica in replicas.values():
            kill(replica)
    assert who(db)[survivor] > before
    with db.read() as tx:
        assert tx.replicas.list() == []
    judge(db, chains, 1)
