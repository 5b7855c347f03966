"""How long each call of the API takes with two years of use in the database and twenty people at work.

Run as ``python benchmarks/api_latency.py [--experiments N] [--trials N] [--users N] [--requests N] [--sqlite] [--quick]``.

1. A PostgreSQL that waits for its disk is filled with 100,000 experiments, 1,000,000 trials and the rest (`population.py`).
2. One process of ``wichtel serve --roles api`` serves it. Twenty users, each on a connection of its own, call what the users of the paper
   called, as often as they did relative to one another, and about as many reads again of what it does not list; each thinks for a second
   on average before the next call. Before that counts, each reads everything once. Clients, service and database share this machine; the
   clients are threads with the client of Python's own library, the cheapest there is, so that what is measured is the service.
3. RegisterModels of one experiment, and of 100 models × 5 protocols, one after the other.

Prints the table I of heinzelmaennchen, 2024, beside ours, in milliseconds as the client sees them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from machine import machine
from population import TEAMS, USERS, populate

from wichtel.store import Database
from wichtel.testing.postgres import PostgresServer

#: Call → count, average, p50, p90, p99 and longest, in milliseconds.
PAPER = {
    "RegisterModels": (6562, 848, 742, 1311, 3127, 39688),
    "GetRegistration": (30206, 45, 17, 148, 305, 2689),
    "CancelRegistration": (233, 695, 600, 1360, 1360, 1372),
    "SearchExperiments": (64022, 111, 76, 1254, 787, 14464),
    "GetExperiment": (20443, 89, 53, 145, 671, 5271),
    "CancelExperiment": (540, 1115, 1017, 1805, 4789, 7379),
    "FinishExperiment": (4348, 872, 777, 1372, 2822, 10331),
}
#: Calls that end what a user registered, and their verbs.
ENDINGS = {"CancelRegistration": "cancel", "CancelExperiment": "cancel", "FinishExperiment": "finish"}
#: On average, between two calls of a user.
THINK_SECONDS = 1.0
#: The service closes a connection that nobody uses for five seconds.
KEPT_SECONDS = 4.0
#: What the paper has no figures of, with how often it is called; together about as often as the paper's reads.
OTHERS = {
    "ListModels": 20000,
    "GetModel": 20000,
    "ListVersions": 10000,
    "ListStudies": 10000,
    "GetStudy": 20000,
    "ListTrials": 20000,
    "ListEvents": 20000,
}
PROTOCOLS: tuple[dict[str, Any], ...] = (
    {"protocol": "TrainModel"},
    {"protocol": "SetHyperparameters", "parameters": {"values": {"tower/width_1": 128}}},
    {"protocol": "TuneHyperparameters"},
    {"protocol": "ReduceTrainingData"},
    {"protocol": "TrainModel", "overrides": {"seed": 1}},
)


@dataclass(frozen=True)
class There:
    """What is in the database."""

    models: list[str]
    registrations: list[str]
    experiments: int
    studies: int


class Connection:
    """One to the service. As browsers do, it is used again if it was used a moment ago; opening another counts as part of a request."""

    def __init__(self, url: str, token: str) -> None:
        self._http = HTTPConnection(url.removeprefix("http://"), timeout=60)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._used = 0.0

    def call(self, method: str, path: str, body: Any = None) -> tuple[float, bytes]:
        """One request: its seconds, and what was answered."""
        sent = None if body is None else json.dumps(body)
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        began = time.perf_counter()
        if began - self._used > KEPT_SECONDS:
            self._http.close()
        self._http.request(method, path, sent, headers)
        answer = self._http.getresponse()
        read = answer.read()
        self._used = time.perf_counter()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {read.decode()}")
        return self._used - began, read


class User:
    """Somebody at work."""

    def __init__(self, number: int, http: Connection, there: There, took: dict[str, list[float]]) -> None:
        self.draw = random.Random(number)
        self.http = http
        self.there = there
        self.took = took
        #: Registration and experiment of what it registered and has not ended.
        self.own: list[tuple[str, str]] = []

    def call(self, name: str, method: str, path: str, body: Any = None) -> bytes:
        """One request, timed."""
        seconds, read = self.http.call(method, path, body)
        self.took[name].append(seconds)
        return read

    def question(self) -> str:
        """What somebody looks for."""
        draw = self.draw
        return draw.choice(
            (
                f"owner:{draw.choice(USERS)}",
                f"team:{draw.choice(TEAMS)} status:SATISFIED",
                f"model:ads/{draw.choice(TEAMS)}/* protocol:TuneHyperparameters",
                f"model:{draw.choice(self.there.models)}",
                "status:SYSTEM_ERROR created>2026-10-01",
                f"state:ENQUEUED team:{draw.choice(TEAMS)}",
                f"{draw.choice(USERS)} created>2026-09-01",
                "protocol:TrainModel status:SATISFIED delta.auc>0.02",
                "",
            )
        )

    def act(self, name: str) -> None:
        """Call `name` on something that suits."""
        draw, there = self.draw, self.there
        if name in ENDINGS and not self.own:
            name = "RegisterModels"
        if name == "RegisterModels":
            body = {"models": [draw.choice(there.models)], "protocols": [draw.choice(PROTOCOLS)]}
            made = json.loads(self.call(name, "POST", "/v1/registrations", body))
            self.own.append((made["id"], made["experiments"][0]))
        elif name in ENDINGS:
            registration, experiment = self.own.pop()
            path = f"registrations/{registration}" if name == "CancelRegistration" else f"experiments/{experiment}"
            ending = {"status": "SYSTEM_ERROR", "cause": "measured"} if name == "FinishExperiment" else None
            self.call(name, "POST", f"/v1/{path}:{ENDINGS[name]}", ending)
        else:
            self.call(name, "GET", self.reading(name))

    def reading(self, name: str) -> str:
        """Path and parameters of a call that reads."""
        draw, there = self.draw, self.there
        study, model = f"s-{draw.randrange(there.studies):06d}", draw.choice(there.models)
        return {
            "SearchExperiments": f"/v1/experiments?{urlencode({'query': self.question(), 'limit': 50})}",
            "GetRegistration": f"/v1/registrations/{draw.choice(there.registrations)}",
            "GetExperiment": f"/v1/experiments/e-{draw.randrange(there.experiments):010d}",
            "ListModels": f"/v1/models?contains={draw.choice(TEAMS)}&limit=50",
            "GetModel": f"/v1/models/{model}",
            "ListVersions": f"/v1/versions?model={model}",
            "ListStudies": "/v1/studies?limit=50",
            "GetStudy": f"/v1/studies/{study}",
            "ListTrials": f"/v1/trials?study={study}&limit=100",
            "ListEvents": "/v1/events?limit=50",
        }[name]


def work(url: str, token: str, there: There, users: int, requests: int) -> dict[str, list[float]]:
    """Have `users` make so many requests together; return what each call took, in seconds."""
    took: dict[str, list[float]] = defaultdict(list)
    weights = {name: row[0] for name, row in PAPER.items()} | OTHERS
    left = iter(range(requests))
    warm = threading.Barrier(users)

    def one(number: int) -> None:
        http = Connection(url, token)
        novice = User(number, http, there, defaultdict(list))
        for name in weights:
            if name not in ENDINGS:
                novice.act(name)
        warm.wait()
        user = User(number, http, there, took)
        for _ in left:
            time.sleep(user.draw.expovariate(1 / THINK_SECONDS))
            user.act(user.draw.choices(tuple(weights), tuple(weights.values()))[0])

    with ThreadPoolExecutor(users) as pool:
        for done in [pool.submit(one, n) for n in range(users)]:
            done.result()
    return took


def registrations(url: str, token: str, there: There, repeats: int) -> dict[str, list[float]]:
    """Register one experiment, and 100 models × 5 protocols."""
    took: dict[str, list[float]] = defaultdict(list)
    http = Connection(url, token)
    for what, models, protocols, times in (
        ("one experiment", 1, 1, repeats),
        (f"{min(100, len(there.models))} models × 5 protocols", 100, 5, max(3, repeats // 20)),
    ):
        for n in range(times):
            body = {"models": there.models[n : n + models], "protocols": PROTOCOLS[:protocols]}
            took[what].append(http.call("POST", "/v1/registrations", body)[0])
    return took


@contextmanager
def served(database: str, home: Path) -> Iterator[tuple[str, str, int]]:
    """A process that serves the API; its address, a token, and its id."""
    environment = {**os.environ, "WICHTEL_DATABASE_URL": database, "WICHTEL_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "wichtel", "serve", "--roles", "api", "--port", "0", "--home", str(home), "--json"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=home)
    try:
        assert process.stdout is not None
        said = ""
        while not said.endswith("}\n"):
            said += process.stdout.readline() or "}\n"
        told = json.loads(said)
        yield told["url"], (home / "token").read_text().strip(), process.pid
    finally:
        process.terminate()
        process.wait(60)


def line(name: str, count: int, figures: tuple[float, ...]) -> str:
    """A row of the table."""
    return f"{name:32}{count:8d}" + "".join(f"{figure:9.1f}" for figure in figures)


def figures(seconds: list[float]) -> tuple[float, ...]:
    """Average, p50, p90, p99 and longest, in milliseconds."""
    ordered = sorted(1e3 * s for s in seconds)
    return (statistics.mean(ordered), *(ordered[min(len(ordered) - 1, len(ordered) * q // 100)] for q in (50, 90, 99)), ordered[-1])


def show(took: dict[str, list[float]]) -> None:
    """The table, the paper's rows above ours."""
    print(f"\n{'ms':32}{'count':>8}" + "".join(f"{name:>9}" for name in ("average", "p50", "p90", "p99", "longest")))
    for name in (*PAPER, *OTHERS, *(name for name in took if name not in PAPER and name not in OTHERS)):
        if name in PAPER:
            print(line(f"{name}, paper", PAPER[name][0], PAPER[name][1:]))
        if took.get(name):
            print(line(name, len(took[name]), figures(took[name])))


def main() -> None:
    """Fill, serve, work and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=100_000)
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--sqlite", action="store_true", help="the embedded database instead of PostgreSQL")
    parser.add_argument("--quick", action="store_true", help="2,000 experiments, 20,000 trials, 500 requests")
    options = parser.parse_args()
    if options.quick:
        options.experiments, options.trials, options.requests = 2_000, 20_000, 500
    studies, models = max(2, options.trials // 500), max(100, options.experiments // 50)
    print(machine())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if options.sqlite:
            url = f"sqlite:///{folder / 'wichtel.db'}"
        else:
            server = PostgresServer(durable=True)
            stack.callback(server.stop)
            url = server.url(server.create())
        database = Database.open(url, upgrade=True)
        began = time.monotonic()
        populate(database, models=models, experiments=options.experiments, studies=studies, trials=options.trials)
        with database.read() as tx:
            names = [m.name for m in tx.models.list(limit=1000)]
            found = list(dict.fromkeys(e.registration for e in tx.experiments.search(limit=1000).items))
        database.close()
        there = There(names, found, options.experiments, studies)
        print(f"{options.experiments:,} experiments and {options.trials:,} trials, written in {time.monotonic() - began:.0f} s")
        address, token, _ = stack.enter_context(served(url, folder))
        began = time.monotonic()
        took = work(address, token, there, options.users, options.requests)
        passed = time.monotonic() - began
        print(f"{options.users} users, {options.requests:,} requests in {passed:.0f} s, {options.requests / passed:.0f} a second")
        show(took)
        show(registrations(address, token, there, 20 if options.quick else 200))


if __name__ == "__main__":
    main()
