"""A service that is started while its database is away waits for it, and says so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wichtel.store import Database
from wichtel.testing.postgres import PostgresServer
from wichtel.testing.replicas import ReplicaProcess


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One that this test may halt."""
    made = PostgresServer()
    yield made
    made.stop()


def replica(server: PostgresServer, name: str, folder: Path, roles: str, seconds: str) -> ReplicaProcess:
    url = server.url(name).replace("postgres@", "postgres:s3cret@")
    environment = {"WICHTEL_DATABASE_URL": url, "WICHTEL_HOME": str(folder / "home"), "WICHTEL_DATABASE_WAIT_SECONDS": seconds}
    return ReplicaProcess(name, roles, environment, folder)


@pytest.mark.crash
def test_it_waits_for_the_database_and_says_for_what_without_the_password(server: PostgresServer, tmp_path: Path) -> None:
    name = server.create()
    Database.open(server.url(name), upgrade=True).close()
    server.halt()

    upgrade = [sys.executable, "-m", "wichtel", "db", "upgrade"]
    environment = {
        **os.environ,
        "WICHTEL_DATABASE_URL": server.url(name),
        "WICHTEL_HOME": str(tmp_path),
        "WICHTEL_DATABASE_WAIT_SECONDS": "0",
    }
    at_once = subprocess.run(upgrade, env=environment, check=False, capture_output=True, text=True)
    assert at_once.returncode == 1
    assert "the database failed" in at_once.stderr
    assert "waiting" not in at_once.stderr

    stopped = replica(server, name, tmp_path, "api", "600")
    stopped.start()
    while "waiting for the database" not in stopped.said():
        assert stopped.alive, stopped.said()
    assert stopped.stop() == 0
    assert "Traceback" not in stopped.said()

    given_up = replica(server, name, tmp_path, "orchestrator", "0.3")
    given_up.start()
    assert given_up.process.wait(60) == 1
    assert "the database did not come within 0.3 seconds" in given_up.said()
    assert "Traceback" not in given_up.said()

    waiting = replica(server, name, tmp_path, "api", "600")
    waiting.start()
    while "waiting for the database" not in waiting.said():
        assert waiting.alive, waiting.said()
    try:
        assert f"waiting for the database postgresql+psycopg://postgres:***@/{name}" in waiting.said()
        assert "s3cret" not in waiting.said() + given_up.said() + stopped.said()
        server.start()
        waiting.wait_ready()
        assert waiting.stop() == 0
    finally:
        waiting.kill()


@pytest.mark.crash
def test_who_is_refused_does_not_wait(server: PostgresServer, tmp_path: Path) -> None:
    refused = replica(server, "nowhere", tmp_path, "api", "600")
    refused.start()
    assert refused.process.wait(60) == 1
    assert 'database "nowhere" does not exist' in refused.said()
    assert "waiting" not in refused.said()
