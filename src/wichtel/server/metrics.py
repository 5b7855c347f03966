"""`/metrics`, in the text format of Prometheus: the requests of this replica, and how the whole service stands.

What is asked of the database is asked once for all scrapes of some seconds, and each question is answered from an index. While the
database is away the gauges are left out and ``wichtel_up`` is 0.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily, Metric

from wichtel.domain import WichtelError

if TYPE_CHECKING:
    from wichtel.app import App
    from wichtel.domain.health import SystemHealth
    from wichtel.server.statistics import Requests

#: What Prometheus calls the format.
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: How old an answer of the database may be.
CACHE_SECONDS = 5.0
#: Buckets of answering times end at 2 ** n ms: half a millisecond to a minute.
_DOUBLINGS = range(-1, 17)


class Metrics:
    """All of them; each of an application.

    Args:
        app: Whose.
        requests: What this replica was asked.
    """

    def __init__(self, app: App, requests: Requests) -> None:
        self._app = app
        self._requests = requests
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._lock = threading.Lock()
        self._known: tuple[float, SystemHealth | None, dict[str, int]] | None = None

    def render(self) -> bytes:
        """All of them as text."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """None beforehand: asking for them must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of them; called by the registry."""
        yield InfoMetricFamily("wichtel", "This replica.", {"version": version("wichtel"), "replica": self._app.replica})
        yield from self._of_requests()
        health, finished = self._ask()
        yield GaugeMetricFamily("wichtel_up", "Whether the database answers.", value=float(health is not None))
        yield GaugeMetricFamily("wichtel_draining", "Whether this replica is about to stop.", value=float(self._app.draining))
        if health is not None:
            yield from _of_experiments(health, finished)
            yield from _of_parts(health)

    def _of_requests(self) -> Iterator[Metric]:
        times = HistogramMetricFamily(
            "wichtel_request_seconds", "How long this replica took to answer, by call and class of status.", labels=("call", "status")
        )
        for (call, status_class), histogram in sorted(self._requests.totals().items()):
            within = [(limit, float(sum(n for bucket, n in histogram.buckets.items() if bucket <= limit * 4))) for limit in _DOUBLINGS]
            buckets = [(f"{2**limit / 1000:g}", count) for limit, count in within]
            times.add_metric((call, f"{status_class}xx"), [*buckets, ("+Inf", float(histogram.count))], histogram.sum_ms / 1000)
        yield times
        yield GaugeMetricFamily("wichtel_requests_under_way", "Requests that this replica is answering.", value=self._requests.under_way)

    def _ask(self) -> tuple[SystemHealth | None, dict[str, int]]:
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > CACHE_SECONDS:
                try:
                    health: SystemHealth | None = self._app.health.get()
                    finished = self._app.health.finished()
                except WichtelError:
                    health, finished = None, {}
                self._known = (time.monotonic(), health, finished)
            return self._known[1], self._known[2]


def _of_experiments(health: SystemHealth, finished: dict[str, int]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "wichtel_experiments", "Experiments that are not finished, by quota group and state.", labels=("group", "state")
    )
    for group in health.groups:
        waiting.add_metric((group.name, "ENQUEUED"), group.enqueued)
        waiting.add_metric((group.name, "IN_PROGRESS"), group.in_progress)
    yield waiting
    ended = CounterMetricFamily("wichtel_experiments_finished", "Experiments that are finished, by status.", labels=("status",))
    for status, count in sorted(finished.items()):
        ended.add_metric((status,), count)
    yield ended
    runs = GaugeMetricFamily("wichtel_runs", "Runs that have not ended, by state.", labels=("state",))
    for state, count in health.runs.items():
        runs.add_metric((state,), count)
    yield runs
    workflows = GaugeMetricFamily("wichtel_workflows", "Workflows that wait for a process, or are under way.", labels=("state",))
    for state, count in health.workflows.items():
        workflows.add_metric((state,), count)
    yield workflows


def _of_parts(health: SystemHealth) -> Iterator[Metric]:
    replicas = GaugeMetricFamily("wichtel_replicas", "Processes of the service, by role and state.", labels=("role", "state"))
    for role in ("api", "orchestrator", "controller"):
        for state in ("working", "draining", "silent"):
            replicas.add_metric((role, state), sum(role in r.roles and r.state == state for r in health.replicas))
    yield replicas
    leaders = GaugeMetricFamily("wichtel_leader", "Who leads: 1 for the holder of a lease.", labels=("lease", "holder"))
    tokens = GaugeMetricFamily("wichtel_leader_token", "The fencing token of a lease, which grows when another leads.", labels=("lease",))
    for leader in health.leaders:
        leaders.add_metric((leader.name, leader.holder), float(bool(leader.holder)))
        tokens.add_metric((leader.name,), leader.token)
    yield leaders
    yield tokens
    if health.workers is not None:
        workers = GaugeMetricFamily("wichtel_workers", "Workers of the controller that leads, by what they do.", labels=("state",))
        for state in ("busy", "idle", "changing", "quarantined"):
            workers.add_metric((state,), getattr(health.workers, state))
        yield workers
        yield GaugeMetricFamily("wichtel_runs_waiting", "Runs in line for a worker.", value=health.workers.waiting)
    success = GaugeMetricFamily("wichtel_job_success_timestamp_seconds", "When a job last went well.", labels=("job",))
    failures = GaugeMetricFamily("wichtel_job_failures", "How often a job has failed since it went well.", labels=("job",))
    for job in health.jobs:
        if job.ended is not None and not job.failures:
            success.add_metric((job.name,), job.ended.timestamp())
        failures.add_metric((job.name,), job.failures)
    yield success
    yield failures
    yield GaugeMetricFamily(
        "wichtel_database_latency_seconds",
        "How long the database takes to answer the shortest question.",
        value=health.database.latency_ms / 1000,
    )
