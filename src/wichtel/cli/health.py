"""`wichtel health`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from wichtel.cli.command import Here, command

if TYPE_CHECKING:
    from wichtel.domain.health import SystemHealth


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "health")(health)


def health(here: Here) -> None:
    """How the service stands: its replicas, who leads, what waits, its workers, jobs and database. Exit code 1 if it is degraded."""
    with here.client() as client:
        found = client.health.get()
    here.out.fields(found, _fields(found))
    if found.status != "ok":
        raise typer.Exit(1)


def _fields(found: SystemHealth) -> Iterator[tuple[str, Any]]:
    yield "status", found.status
    yield "problems", "\n".join(found.problems)
    database = found.database
    revision = f"revision {database.revision}" + (f", this code {database.code}" if database.revision != database.code else "")
    yield "database", f"{database.kind}, {revision}, {database.latency_ms:.1f} ms"
    yield (
        "replicas",
        "\n".join(
            f"{r.id}  {','.join(r.roles)}  {r.version}  {r.state}, heard {r.beat:%H:%M:%S}  {r.url}".rstrip() for r in found.replicas
        ),
    )
    yield "leaders", "\n".join(f"{leader.name}: {leader.holder or 'nobody'} (token {leader.token})" for leader in found.leaders)
    if found.workers is not None:
        w = found.workers
        yield "workers", f"{w.busy} busy, {w.idle} idle, {w.changing} starting or ending, {w.quarantined} in quarantine"
        yield "runs", f"{w.waiting} wait for a worker; " + ", ".join(f"{n} {state}" for state, n in found.runs.items())
    yield "groups", "\n".join(f"{g.name}: {g.enqueued} enqueued, {g.in_progress} in progress" for g in found.groups)
    yield "workflows", ", ".join(f"{n} {state}" for state, n in found.workflows.items())
    yield (
        "jobs",
        "\n".join(f"{j.name}: ended {f'{j.ended:%Y-%m-%d %H:%M}' if j.ended else 'never'}, due {j.due:%Y-%m-%d %H:%M}" for j in found.jobs),
    )
