"""``kill -9`` of an api around the commit of a call that creates something: whoever asks again, elsewhere, finds it done once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import psycopg
import pytest

from wichtel.client import Client
from wichtel.client.client import home_token
from wichtel.testing.replicas import ReplicaProcess

PATIENCE = 60.0


@pytest.fixture
def replicas(postgres_url: str, inputs: Path) -> Iterator[tuple[ReplicaProcess, ReplicaProcess]]:
    """One that only answers, and one that does everything."""
    environment = {"WICHTEL_DATABASE_URL": postgres_url, "WICHTEL_HOME": str(inputs / "home"), "WICHTEL_WORKERS": "1"}
    subprocess.run([sys.executable, "-m", "wichtel", "db", "upgrade"], env={**os.environ, **environment}, check=True, capture_output=True)
    made = ReplicaProcess("victim", "api", environment, inputs), ReplicaProcess("other", "api,orchestrator,controller", environment, inputs)
    try:
        for replica in made:
            replica.start()
        for replica in made:
            replica.wait_ready()
        yield made
    finally:
        for replica in made:
            replica.kill()


def send(replica: ReplicaProcess, headers: dict[str, str], body: bytes) -> socket.socket:
    """Ask for a registration, and do not wait for the answer."""
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection = socket.create_connection(("127.0.0.1", replica.port), PATIENCE)
    connection.sendall(f"POST /v1/registrations HTTP/1.1\r\nHost: x\r\n{told}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def until_there(connection: psycopg.Connection[tuple[int]], query: str, count: int) -> None:
    """Until `query` finds so many."""
    deadline = time.monotonic() + PATIENCE
    while connection.execute(query).fetchone() != (count,):
        assert time.monotonic() < deadline


@pytest.mark.crash
def test_a_registration_whose_answer_was_lost_is_there_once_and_answered_alike(
    replicas: tuple[ReplicaProcess, ReplicaProcess], postgres_url: str, inputs: Path
) -> None:
    victim, other = replicas
    token = home_token(inputs / "home") or ""
    registrations = "SELECT count(*) FROM registrations"
    with Client(other.url, token) as client, closing(psycopg.connect(postgres_url, autocommit=True)) as looking:
        client.datasets.add("d", [str(inputs / "d.csv")], time_column="t")
        client.models.add("city", inputs / "plan")
        for number, moment in enumerate(("it waits to write", "it is committed", "the answer has begun"), 1):
            body = json.dumps({"models": ["city"], "protocols": [{"protocol": "TrainModel"}]}).encode()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": f"key-{number}"}
            if moment == "it waits to write":
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO experiments %'"
                with closing(psycopg.connect(postgres_url)) as locking:
                    locking.execute("LOCK TABLE experiments IN EXCLUSIVE MODE")
                    asked = send(victim, headers, body)
                    until_there(looking, waiting, 1)
                    victim.kill()
                assert looking.execute(registrations).fetchone() == (number - 1,)
            else:
                asked = send(victim, headers, body)
                if moment == "it is committed":
                    until_there(looking, registrations, number)
                else:
                    asked.recv(1)
                victim.kill()
            asked.close()

            answers = [httpx2.post(f"{other.url}/v1/registrations", content=body, headers=headers, timeout=PATIENCE) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [201, 201], moment
            assert answers[0].content == answers[1].content
            done = answers[0].headers.get("idempotency-replayed") == "true"
            assert done is (moment != "it waits to write"), moment
            assert looking.execute(registrations).fetchone() == (number,), moment
            (experiment,) = answers[0].json()["experiments"]
            assert client.experiments.get(experiment).registration == answers[0].json()["id"]
            assert client.experiments.count() == number

            victim.start()
            victim.wait_ready()
            again = httpx2.post(f"{victim.url}/v1/registrations", content=body, headers=headers, timeout=PATIENCE)
            assert again.content == answers[0].content
