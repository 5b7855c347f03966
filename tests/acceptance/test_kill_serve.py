"""``kill -9`` of a real ``wichtel serve``, and of its workers, while experiments run."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from wichtel.client import Client
from wichtel.client.client import home_token
from wichtel.domain import ExperimentStatus, WichtelError
from wichtel.fleet import processes


class Served:
    """A service in a process of its own, on one home and one port."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = (folder / "serve.log").open("ab")

    def start(self) -> None:
        command = [sys.executable, "-m", "wichtel", "--home", str(self.home), "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env={**os.environ, "WICHTEL_BOOTSTRAP_RESAMPLES": "100"})
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.client() as client:
                    client.protocols.list()
            except (WichtelError, OSError):
                assert self.process.poll() is None, Path(self.log.name).read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                return

    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", home_token(self.home) or "")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def workers(self) -> list[int]:
        found = []
        for pid in processes.descendants(self.process.pid):
            with suppress(OSError):  # it ended meanwhile
                if Path(f"/proc/{pid}/comm").read_text().startswith("wt-w"):
                    found.append(pid)
        return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    service = Served(tmp_path)
    service.start()
    yield service
    service.kill()
    service.log.close()


@pytest.mark.crash
def test_whatever_is_killed_each_experiment_ends_once_with_the_verdict_it_would_have_had(served: Served, inputs: Path) -> None:
    chance = random.Random(3)
    with served.client() as client:
        client.datasets.add("d", [str(inputs / "d.csv")], time_column="t")
        client.models.add("city", inputs / "plan")
        # The model has no randomness and ignores its tunable, so that its candidates are as good as it is, and no better.
        neutral = {"name": "n", "primary": "auc", "constraints": [{"metric": "auc", "expectation": "larger", "threshold": -0.001}]}
        made = client.register(
            ["city"],
            [
                {"protocol": "TrainModel", "overrides": {"intent": neutral}},
                {"protocol": "SetHyperparameters", "parameters": {"values": {"weight": 3}}, "overrides": {"intent": neutral}},
                {"protocol": "TuneHyperparameters", "parameters": {"trials": 5}, "overrides": {"intent": neutral}},
                {"protocol": "SetHyperparameters", "parameters": {"values": {"weight": 3}}, "intent": "improve_quality"},
            ],
        )
    for round_ in range(4):
        time.sleep(chance.uniform(0.2, 2.0))
        if round_ % 2:
            for worker in served.workers()[:1]:
                os.kill(worker, signal.SIGKILL)
        else:
            served.kill()
            served.start()
    with served.client() as client:
        found = client.experiments.wait(made.experiments, timeout_seconds=150)
        ends = Counter(e.subject for e in client.events.list(limit=None) if e.kind == "experiment.finished")
        candidates = Counter(v.experiment for v in client.models.versions("city") if v.experiment)
        trials = client.studies.trials(f"{made.experiments[2]}/study")
    satisfied, unsatisfied = ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED
    assert [e.status for e in found] == [satisfied, satisfied, satisfied, unsatisfied], [e.cause for e in found]
    assert ends == dict.fromkeys((f"experiment/{e}" for e in made.experiments), 1)
    assert candidates == dict.fromkeys(made.experiments, 1)
    assert [t.number for t in trials] == list(range(5))
