"""Two replicas of each role behind a proxy, each of them restarted, while a client goes on asking."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
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
    first = ReplicaProcess("upgrade", "api", environment, inputs)
    subprocess.run([sys.executable, "-m", "wichtel", "db", "upgrade"], env=first._environment, check=True, capture_output=True)
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


@pytest.mark.slow
def test_every_replica_is_restarted_and_no_request_fails(replicas: list[ReplicaProcess], proxy: str, inputs: Path) -> None:
    token = home_token(inputs / "home") or ""
    over = threading.Event()
    failures: list[Exception] = []
    made: list[str] = []
    calls: Counter[str] = Counter()

    def read() -> None:
        # Without any retrying: what drains must not fail a request at all.
        headers = {"Authorization": f"Bearer {token}"}
        while not over.wait(0.02):
            try:
                answer = httpx2.get(f"{proxy}/v1/experiments", headers=headers, timeout=20)
                calls["read"] += 1
                assert answer.status_code == 200, answer.text
            except Exception as error:  # noqa: BLE001 -- told below
                failures.append(error)

    def watch(client: Client) -> None:
        try:
            for _ in client.events.follow(subject="experiment/"):
                calls["heard"] += 1
                if over.is_set():
                    return
        except Exception as error:  # noqa: BLE001
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
        time.sleep(2)
        try:
            for replica in replicas:
                assert replica.stop() == 0
                assert "Traceback" not in replica.said(), replica.said()
                replica.start()
                replica.wait_ready()
        finally:
            over.set()
            for thread in threads[:2]:
                thread.join()
        assert failures == []
        assert calls["read"] > 50
        found = client.experiments.wait(made, timeout_seconds=200)
        assert {e.status for e in found} == {ExperimentStatus.SATISFIED} or {e.status for e in found} == {ExperimentStatus.UNSATISFIED}
        ends = Counter(e.subject for e in client.events.list(limit=None) if e.kind == "experiment.finished")
        assert ends == dict.fromkeys((f"experiment/{e}" for e in made), 1)
        health = client.health.get()
        assert Counter(role for r in health.replicas if r.state == "working" for role in r.roles) == dict.fromkeys(
            ("api", "orchestrator", "controller"), 2
        )


@pytest.mark.crash
def test_a_stop_drains_hands_the_lead_over_and_may_be_hurried(replicas: list[ReplicaProcess], inputs: Path) -> None:
    api, other, *_, controller, standby = replicas
    token = home_token(inputs / "home") or ""
    with Client(other.url, token) as client:
        token_before = client.health.get().leaders[0].token
        leads = [r for r in (controller, standby) if "leads" in r.said() or True]
        # Whichever leads: one of the two stops does hand over.
        for replica in leads:
            replica.stop()
            begin = time.monotonic()
            if replica is controller:
                while not client.health.get().leaders[0].holder:
                    assert time.monotonic() - begin < 10
                    time.sleep(0.05)
        assert client.health.get().leaders[0].token >= token_before
        assert "nobody leads as controller" in client.health.get().problems

    api.process.terminate()
    deadline = time.monotonic() + 10
    while httpx2.get(f"{api.url}/readyz").json()["status"] != "draining":
        assert time.monotonic() < deadline
    answer = httpx2.get(f"{api.url}/v1/experiments", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    api.process.terminate()
    assert api.process.wait(5) == -15
