"""Processes with roles of their own on one PostgreSQL: one answers, two carry out, and one of those dies for good."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from wichtel.client import Client
from wichtel.client.client import home_token
from wichtel.domain import ExperimentStatus, WichtelError


@pytest.mark.crash
def test_a_replica_that_dies_for_good_is_replaced_by_the_others(postgres_url: str, inputs: Path) -> None:
    environment = {
        **os.environ,
        "WICHTEL_DATABASE_URL": postgres_url,
        "WICHTEL_HOME": str(inputs / "home"),
        "WICHTEL_BOOTSTRAP_RESAMPLES": "100",
        "WICHTEL_WORKERS": "1",
        "WICHTEL_REPLICA_LOST_SECONDS": "6",
    }
    wichtel = [sys.executable, "-m", "wichtel"]
    subprocess.run([*wichtel, "db", "upgrade"], env=environment, check=True, capture_output=True)
    replicas: list[subprocess.Popen[bytes]] = []
    with (inputs / "log").open("ab") as log:

        def serve(roles: str) -> int:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            command = [*wichtel, "serve", "--port", str(port), "--roles", roles]
            replicas.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            return port

        try:
            port = serve("api")
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 60
            while True:
                try:
                    with Client(url, home_token(inputs / "home") or "") as client:
                        client.protocols.list()
                except (WichtelError, OSError):
                    assert replicas[0].poll() is None, (inputs / "log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
                else:
                    break
            serve("orchestrator,controller")
            serve("orchestrator,controller")
            with Client(url, home_token(inputs / "home") or "") as client:
                client.datasets.add("d", [str(inputs / "d.csv")], time_column="t")
                client.models.add("city", inputs / "plan")
                made = client.register(["city"], ["TrainModel", {"protocol": "TuneHyperparameters", "parameters": {"trials": 4}}])
                time.sleep(2)
                replicas[1].send_signal(signal.SIGKILL)
                found = client.experiments.wait(made.experiments, timeout_seconds=150)
                ends = Counter(e.subject for e in client.events.list(limit=None) if e.kind == "experiment.finished")
            assert {e.status for e in found} == {ExperimentStatus.UNSATISFIED}, [e.cause for e in found]
            assert ends == dict.fromkeys((f"experiment/{e}" for e in made.experiments), 1)
        finally:
            for replica in replicas:
                replica.kill()
                replica.wait()
