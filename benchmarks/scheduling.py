"""How long experiments queue and how long it takes to start them: from RegisterModels to the first step running.

``python benchmarks/scheduling.py [--rate 20] [--seconds 30] [--quick]``

The service's own objects on a PostgreSQL of its own, and a protocol whose one step does nothing but take up its experiment and end it. So
what is measured is Wichtel: registering, the scheduler, the queue of workflows, the first step. *Queuing* is the time from the
registration's call to IN_PROGRESS, *scheduling* from there to the first line of the first step, as in table III of the paper
(heinzelmaennchen, 2024), which is printed beside. The group's share is large enough, as it nearly always was there.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from machine import machine

from wichtel.app import App
from wichtel.domain import (
    Analysis,
    Expectation,
    Experiment,
    ExperimentStatus,
    Feature,
    Job,
    Metadata,
    Model,
    ModelVersion,
    QuotaGroup,
    Window,
)
from wichtel.experiments import Principal, ProtocolRequest, RegisterModels, Role
from wichtel.protocols import Protocol, Services, protocols
from wichtel.protocols.template import FAILED
from wichtel.settings import load_settings
from wichtel.store import Database
from wichtel.testing.postgres import PostgresServer
from wichtel.workflows import Graph, Step, StepContext

ADMIN = Principal(name="admin", team="default", role=Role.ADMIN)
#: Experiment → when the first line of its first step ran; seconds of `time.time`, as all here.
BEGAN: dict[str, float] = {}


class Nothing(Protocol):
    """Takes up its experiment, and ends it."""

    name = "Nothing"
    kind = "nothing"

    def graph(self, services: Services) -> Graph:
        """One step."""

        def step(ctx: StepContext, inputs: dict[str, Any]) -> None:
            BEGAN.setdefault(inputs["input"]["experiment"], time.time())
            given = inputs["input"]
            with services.db.transaction() as tx:
                tx.experiments.set_workflow(given["experiment"], given["generation"], ctx.workflow)
            services.finish(given["experiment"], ExperimentStatus.UNSATISFIED, "It does nothing.", None)

        return Graph(f"protocol/{self.name}", (Step("nothing", step),), on_failure=FAILED)


def percentile(values: Sequence[float], q: float) -> float:
    """The smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q / 100))]


def row(name: str, values: Sequence[float], paper: str = "") -> str:
    """Percentiles, in milliseconds."""
    shown = "".join(f"{percentile(values, q) * 1000:>10,.0f}" for q in (50, 90, 99, 100))
    return f"{name:<34}{shown}   {paper}"


def make_models(db: Database, number: int) -> list[str]:
    """Models that can be registered; nobody will train them."""
    train, evaluation = (Window(start=datetime(2020, m, 1, tzinfo=UTC), end=datetime(2020, m + 1, 1, tzinfo=UTC)) for m in (1, 2))
    analysis = Analysis(
        trainer="sklearn",
        features=tuple(Feature(name=f"f{i}", kind="numeric") for i in range(20)),
        tunables=(),
        metadata=Metadata(primary_metric="auc", better=Expectation.LARGER),
        job=Job(dataset="d", label="y", train=train, evaluation=evaluation),
    )
    names = [f"models/m{i:03}" for i in range(number)]
    with db.transaction() as tx:
        for name in names:
            tx.models.add(Model(name=name, owner="admin", team="default", head=f"{name}@1", created=tx.now))
            tx.versions.add(ModelVersion(id=f"{name}@1", model=name, tree="0" * 64, analysis=analysis, created=tx.now))
    return names


def wait(app: App, experiments: Sequence[str]) -> list[Experiment]:
    """Until all have finished."""
    while True:
        with app.db.read() as tx:
            found = [tx.experiments.get(e) for e in experiments]
        if all(e.finished is not None for e in found):
            return found
        time.sleep(0.5)


def steady(app: App, models: list[str], rate: float, seconds: float) -> None:
    """Registrations at a steady rate, each of one experiment, whatever becomes of the others."""
    called: dict[str, float] = {}
    took: list[float] = []
    lock = threading.Lock()

    def register(number: int) -> None:
        begin = time.time()
        request = RegisterModels(models=(models[number % len(models)],), protocols=(ProtocolRequest(protocol="Nothing"),))
        made = app.experiments.register_models(request, ADMIN)
        with lock:
            took.append(time.time() - begin)
            called[made.experiments[0]] = begin

    total = int(rate * seconds)
    begin = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        for number in range(total):
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            pool.submit(register, number)
    found = wait(app, list(called))
    queued = [e.started.timestamp() - called[e.id] for e in found if e.started is not None]
    scheduled = [BEGAN[e.id] - e.started.timestamp() for e in found if e.started is not None]
    whole = [BEGAN[e.id] - called[e.id] for e in found]
    print(f"\n{len(found)} registrations of one experiment, {rate:g} a second, all finished")
    print(f"{'milliseconds':<34}{'p50':>10}{'p90':>10}{'p99':>10}{'max':>10}   the paper's median")
    print(row("RegisterModels", took, "742 ms (table I)"))
    print(row("queuing", queued, "1.1 s (table III)"))
    print(row("scheduling", scheduled, "125 s (table III)"))
    print(row("from RegisterModels to first step", whole, "goal: p50 < 500, p99 < 3,000"))


def large(app: App, models: list[str]) -> None:
    """One registration of 100 models x 5 protocols."""
    wanted = tuple(ProtocolRequest(protocol="Nothing", overrides={"seed": seed}) for seed in range(5))
    took = []
    for _ in range(3):
        begin = time.time()
        made = app.experiments.register_models(RegisterModels(models=tuple(models[:100]), protocols=wanted), ADMIN)
        took.append(time.time() - begin)
        found = wait(app, made.experiments)
        first = min(BEGAN[e.id] for e in found) - begin
        last = max(BEGAN[e.id] for e in found) - begin
    print(f"\n{len(made.experiments)} experiments in one registration: {min(took):.2f} s at best, {max(took):.2f} s at worst (goal: < 1 s)")
    print(f"of the last, the first step of the first ran after {first:.2f} s, of the last after {last:.2f} s")


def main() -> None:
    """Run it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rate", type=float, default=20.0, help="registrations a second")
    arguments.add_argument("--seconds", type=float, default=30.0)
    arguments.add_argument("--quick", action="store_true", help="5 seconds")
    given = arguments.parse_args()
    if given.quick:
        given.seconds = 5.0
    # As if a plug-in had brought it.
    protocols()["Nothing"] = Nothing()
    server = PostgresServer(durable=True)
    try:
        url = server.url(server.create())
        Database.open(url, upgrade=True).close()
        with tempfile.TemporaryDirectory() as home, App(load_settings({"home": home, "database_url": url})) as app:
            app.start(["orchestrator"])
            with app.db.transaction() as tx:
                tx.quota_groups.put(QuotaGroup(name="default", max_in_progress=10_000))
            models = make_models(app.db, 100)
            print(f"machine: {machine()}")
            steady(app, models, given.rate, given.seconds)
            large(app, models)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
