"""Two replicas of each role behind a proxy, each of them restarted, while a client goes on asking."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from wichtel.client import Client
from wichtel.client.client import home_token
from wichtel.domain import ExperimentStatus
from wichtel.testing.replicas import ReplicaProcess, free_port

_PROXY = Path(__file__).parents[2] / "scripts" / "proxy.py"


@pytest.fixture
def replicas(postgres_url: str, inputs: Path) -> Iterator[list[ReplicaProcess]]:
    environment = {
        "WICHTEL_DATABASE_URL": postgres_url,
        "WICHTEL_HOME": str(inputs / "home"),
        "WICHTEL_BOOTSTRAP_RESAMPLES": "100",
        "WICHTEL_WORKERS": "1",
        "WICHTEL_DRAIN_SECONDS": "1.5",
        "WICHTEL_LOG_FORMAT": "json",
    }
    subprocess.run([sys.executable, "-m", "wichtel", "db", "upgrade"], env={**os.environ, **environment}, check=True, capture_output=True)
    made = [ReplicaProcess(f"{role}-{n}", role, environment, inputs) for role in ("api", "orchestrator", "controller") for n in (1, 2)]
    for replica in made:
        replica.start()
    try:
        for replica in made:
            replica.wait_ready()
        yield made
    finally:
        for replica in made:
            replica.kill()


@pytest.fixture
def proxy(replicas: list[ReplicaProcess]) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, str(_PROXY), "--port", str(port), *(r.url for r in replicas if r.roles == "api")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()
    process.stdout.close()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_every_replica_is_restarted_and_no_request_fails(replicas: list[ReplicaProcess], proxy: str, inputs: Path) -> None:
    token = home_token(inputs / "home") or ""
    over = threading.Event()
    failures: list[Exception] = []
    made: list[str] = []
    heard: list[int] = []
    calls: Counter[str] = Counter()

    def read() -> None:
        # Without any retrying: what drains must not fail a request at all.
        headers = {"Authorization": f"Bearer {token}"}
        while not over.wait(0.02):
            try:
                answer = httpx2.get(f"{proxy}/v1/experiments", headers=headers, timeout=60)
                calls["read"] += 1
                assert answer.status_code == 200, answer.text
            except Exception as error:  # noqa: BLE001 -- told below
                failures.append(error)

    def watch(client: Client) -> None:
        try:
            for event in client.events.follow(subject="experiment/"):
                heard.append(event.id)  # noqa: PERF401 -- looked at meanwhile
        except Exception as error:  # noqa: BLE001
            # At the end of the test its connection is closed.
            if not over.is_set():
                failures.append(error)

    with Client(proxy, token) as client, Client(proxy, token) as watcher:
        client.datasets.add("d", [str(inputs / "d.csv")], time_column="t")
        client.models.add("city", inputs / "plan")

        def register() -> None:
            while not over.wait(1.0):
                try:
                    made.extend(client.register(["city"], ["TrainModel"]).experiments)
                    calls["registered"] += 1
                except Exception as error:  # noqa: BLE001
                    failures.append(error)

        threads = [threading.Thread(target=read), threading.Thread(target=register)]
        threads.append(threading.Thread(target=watch, args=(watcher,), daemon=True))
        for thread in threads:
            thread.start()
        try:
            until(lambda: calls["read"] > 10 and bool(heard))
            for replica in replicas:
                before = calls.copy()
                assert replica.stop() == 0
                assert "Traceback" not in replica.said(), replica.said()
                replica.start()
                replica.wait_ready()
                assert calls["read"] > before["read"], f"nothing was answered while {replica.name} was restarted"
        finally:
            over.set()
            for thread in threads[:2]:
                thread.join()
        assert failures == []
        found = client.experiments.wait(made, timeout_seconds=200)
        # The candidate is as good as the baseline, and no better.
        assert {e.status for e in found} == {ExperimentStatus.UNSATISFIED}, [e.cause for e in found]
        assert calls["registered"] == len(made) > len(replicas)
        assert sorted(e.id for e in client.experiments.each()) == sorted(made)
        events = client.events.list(subject="experiment/", limit=None)
        assert Counter(e.subject for e in events if e.kind == "experiment.finished") == dict.fromkeys((f"experiment/{e}" for e in made), 1)
        # One stream, though each replica that it came from was stopped.
        until(lambda: len(heard) >= len(events))
        assert heard == [event.id for event in events]
        health = client.health.get()
        assert Counter(role for r in health.replicas if r.state == "working" for role in r.roles) == dict.fromkeys(
            ("api", "orchestrator", "controller"), 2
        )


@pytest.mark.crash
def test_the_lead_is_handed_over_by_whoever_stops_and_a_second_signal_ends_a_replica_at_once(
    replicas: list[ReplicaProcess], inputs: Path
) -> None:
    api, other, *_ = replicas
    controllers = {replica.process.pid: replica for replica in replicas if replica.roles == "controller"}
    token = home_token(inputs / "home") or ""

    with Client(other.url, token) as client:

        def leader() -> int | None:
            """The process that leads."""
            return next((int(lead.holder.split("/")[1]) for lead in client.health.get().leaders if lead.holder), None)

        until(lambda: leader() is not None)
        first = leader()
        assert first in controllers
        before = client.health.get().leaders[0].token
        assert controllers[first].stop() == 0
        until(lambda: leader() not in (None, first))
        second = leader()
        assert second in controllers
        assert client.health.get().leaders[0].token > before
        assert controllers[second].stop() == 0
        assert leader() is None
        assert "nobody leads as controller" in client.health.get().problems

    api.process.terminate()
    until(lambda: httpx2.get(f"{api.url}/readyz").json()["status"] == "draining")
    api.process.terminate()
    assert api.process.wait(60) == -15
