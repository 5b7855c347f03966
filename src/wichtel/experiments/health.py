"""How the service stands, from what its processes wrote: any replica can tell."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Literal

from wichtel.domain.health import DatabaseHealth, GroupHealth, JobHealth, LeaderHealth, ReplicaHealth, SystemHealth, WorkersHealth
from wichtel.store import Database, JobStatus, Replica

#: A job that has been due for longer than this is told of.
_LATE_SECONDS = 600.0


class Health:
    """Asks the database.

    Args:
        db: Which.
        silent_after_seconds: How long a replica may be silent.
    """

    def __init__(self, db: Database, *, silent_after_seconds: float) -> None:
        self._db = db
        self._silent_after_seconds = silent_after_seconds

    def get(self) -> SystemHealth:
        """All of it, now.

        Raises:
            Unavailable: the database is away.
        """
        with self._db.read() as tx:
            begin = time.perf_counter()
            tx.counts.ping()
            latency = time.perf_counter() - begin
            now = tx.now
            revision, code, oldest = tx.counts.revisions()
            rows = tx.replicas.list()
            leases = tx.leases.list()
            counts = tx.counts.unfinished_experiments()
            runs = tx.counts.unfinished_runs()
            workflows = tx.counts.workflows()
            jobs = tx.jobs.list()
        replicas = tuple(self._replica(row, now) for row in rows)
        leaders = tuple(
            LeaderHealth(name=lease.name, holder=lease.holder if lease.expires > now else "", token=lease.token, expires=lease.expires)
            for lease in leases
        )
        workers = _workers(rows, replicas)
        return SystemHealth(
            status="degraded" if (problems := tuple(_problems(replicas, leaders, workers, jobs, now))) else "ok",
            time=now,
            problems=problems,
            replicas=replicas,
            leaders=leaders,
            groups=tuple(
                GroupHealth(name=name, enqueued=by_state.get("ENQUEUED", 0), in_progress=by_state.get("IN_PROGRESS", 0))
                for name, by_state in sorted(counts.items())
            ),
            runs=runs,
            workers=workers,
            workflows=workflows,
            jobs=tuple(_job(job) for job in jobs),
            database=DatabaseHealth(
                kind="sqlite" if self._db.is_sqlite else "postgresql",
                latency_ms=round(latency * 1000, 3),
                revision=revision,
                code=code,
                oldest=oldest,
            ),
        )

    def finished(self) -> dict[str, int]:
        """Status → how many experiments ended with it.

        Raises:
            Unavailable: the database is away.
        """
        with self._db.read() as tx:
            return tx.counts.finished_experiments()

    def _replica(self, row: Replica, now: datetime) -> ReplicaHealth:
        state: Literal["working", "draining", "silent"] = "draining" if row.told.get("draining") else "working"
        if (now - row.beat).total_seconds() > self._silent_after_seconds:
            state = "silent"
        return ReplicaHealth(
            id=row.id,
            roles=row.roles,
            version=row.version,
            state=state,
            started=row.started,
            beat=row.beat,
            url=str(row.told.get("url", "")),
        )


def _workers(rows: list[Replica], replicas: tuple[ReplicaHealth, ...]) -> WorkersHealth | None:
    lively = {replica.id for replica in replicas if replica.state != "silent"}
    for row in rows:
        told = row.told.get("fleet") or {}
        if row.id in lively and told.get("leading"):
            numbers = {name: int(told.get(name, 0)) for name in ("busy", "idle", "changing", "quarantined", "waiting")}
            return WorkersHealth(replica=row.id, **numbers)
    return None


def _job(job: JobStatus) -> JobHealth:
    return JobHealth(
        name=job.name, due=job.due, started=job.started, ended=job.ended, holder=job.holder, error=job.error, failures=job.failures
    )


def _problems(
    replicas: tuple[ReplicaHealth, ...],
    leaders: tuple[LeaderHealth, ...],
    workers: WorkersHealth | None,
    jobs: list[JobStatus],
    now: datetime,
) -> list[str]:
    found = [f"replica {r.id} has been silent since {r.beat:%H:%M:%S} UTC" for r in replicas if r.state == "silent"]
    working = [r for r in replicas if r.state == "working"]
    found += [f"no {role} works" for role in ("api", "orchestrator", "controller") if not any(role in r.roles for r in working)]
    found += [f"nobody leads as {leader.name}" for leader in leaders if not leader.holder]
    versions = sorted({r.version for r in working})
    if len(versions) > 1:
        found.append(f"replicas of different versions work: {', '.join(versions)}")
    if workers is not None and workers.quarantined:
        found.append(f"{workers.quarantined} workers are in quarantine, since those before them died one after the other")
    for job in jobs:
        if job.failures:
            found.append(f"job {job.name} failed {job.failures} times: {job.error}")
        elif not job.holder and (now - job.due).total_seconds() > _LATE_SECONDS:
            found.append(f"job {job.name} has been due since {job.due:%Y-%m-%d %H:%M} UTC")
    return found
