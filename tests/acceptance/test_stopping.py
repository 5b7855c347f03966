"""A replica is asked to stop: it answers what it has begun, and ends in its time whatever hangs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx2
import psycopg
import pytest

from wichtel.client.client import home_token
from wichtel.store import Database
from wichtel.testing.replicas import ReplicaProcess

PATIENCE = 60.0


@pytest.fixture
def start(postgres_url: str, tmp_path: Path) -> Iterator[Callable[..., ReplicaProcess]]:
    """Starts an api with further settings."""
    environment = {"WICHTEL_DATABASE_URL": postgres_url, "WICHTEL_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-m", "wichtel", "db", "upgrade"], env={**os.environ, **environment}, check=True, capture_output=True)
    with ExitStack() as stack:

        def start(**more: str) -> ReplicaProcess:
            replica = ReplicaProcess(
                "api", "api", environment | {f"WICHTEL_{name.upper()}": value for name, value in more.items()}, tmp_path
            )
            stack.callback(replica.kill)
            replica.start()
            replica.wait_ready()
            return replica

        yield start


class Asking(threading.Thread):
    """A request that is under way."""

    def __init__(self, replica: ReplicaProcess, tmp_path: Path) -> None:
        super().__init__(daemon=True)
        self.headers = {"Authorization": f"Bearer {home_token(tmp_path / 'home')}"}
        self.url = f"{replica.url}/v1/models"
        self.answer: httpx2.Response | None = None
        self.start()

    def run(self) -> None:
        self.answer = httpx2.get(self.url, headers=self.headers, timeout=PATIENCE)


def wait_for_lock(connection: psycopg.Connection[tuple[int]]) -> None:
    """Until somebody waits for a lock."""
    deadline = time.monotonic() + PATIENCE
    while connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def listens(replica: ReplicaProcess) -> bool:
    """Whether a connection can be made."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", replica.port)) == 0


@pytest.mark.crash
def test_what_was_begun_is_answered_and_meanwhile_it_says_that_it_drains(
    start: Callable[..., ReplicaProcess], postgres_url: str, tmp_path: Path
) -> None:
    replica = start(drain_seconds="4")
    with closing(psycopg.connect(postgres_url)) as connection:
        connection.execute("LOCK TABLE models IN ACCESS EXCLUSIVE MODE")
        asking = Asking(replica, tmp_path)
        wait_for_lock(connection)
        replica.process.terminate()
        deadline = time.monotonic() + PATIENCE
        while (ready := httpx2.get(f"{replica.url}/readyz")).json()["status"] != "draining":
            assert time.monotonic() < deadline
        # It is to be asked no more; who does so all the same is answered.
        assert (ready.status_code, ready.headers["connection"]) == (503, "close")
        answer = httpx2.get(f"{replica.url}/v1/protocols", headers=asking.headers)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        # It has ceased to listen, and still waits for what it has begun.
        while listens(replica):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert replica.alive
        assert asking.answer is None
    asking.join(PATIENCE)
    assert asking.answer is not None
    assert asking.answer.status_code == 200
    assert replica.process.wait(PATIENCE) == 0
    assert "Traceback" not in replica.said(), replica.said()


@pytest.mark.crash
def test_what_hangs_is_told_to_ask_elsewhere_and_does_not_keep_it(
    start: Callable[..., ReplicaProcess], postgres_url: str, tmp_path: Path
) -> None:
    replica = start(drain_seconds="0", stop_seconds="1")
    with closing(psycopg.connect(postgres_url)) as connection, socket.create_connection(("127.0.0.1", replica.port)) as half:
        connection.execute("LOCK TABLE models IN ACCESS EXCLUSIVE MODE")
        asking = Asking(replica, tmp_path)
        wait_for_lock(connection)
        half.sendall(b"POST /v1/registrations HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        # The lock is held for all of this time.
        assert replica.stop(PATIENCE) == 0
        asking.join(PATIENCE)
        assert asking.answer is not None
        assert (asking.answer.status_code, asking.answer.json()["code"]) == (503, "unavailable")
        assert "retry-after" in asking.answer.headers
    assert "Traceback" not in replica.said(), replica.said()


@pytest.mark.crash
def test_a_reader_of_events_who_does_not_read_does_not_keep_it(
    start: Callable[..., ReplicaProcess], postgres_url: str, tmp_path: Path
) -> None:
    replica = start(drain_seconds="0", stop_seconds="600")
    with closing(Database.open(postgres_url)) as database:
        for _ in range(10):
            with database.transaction() as tx:
                for n in range(300):
                    tx.events.add("thing.made", f"thing/{n}", {"text": "x" * 3000})
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", replica.port))
        token = home_token(tmp_path / "home")
        reader.sendall(f"GET /v1/events:stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        assert reader.recv(12) == b"HTTP/1.1 200"
        assert replica.stop(PATIENCE) == 0
