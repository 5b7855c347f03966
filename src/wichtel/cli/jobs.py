"""`wichtel jobs`."""

from __future__ import annotations

from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group
from wichtel.cli.output import duration

app = group("What the service does again and again: cleaning, garbage collection, exports.")


@command(app, "list")
def list_(here: Here) -> None:
    """The jobs and how they stand."""
    with here.client() as client:
        found = client.jobs.list()
    here.out.table(
        found,
        ["job", "due", "last ended", "took", "outcome", "error"],
        (
            (j.name, "under way" if j.holder else j.due, j.ended, duration(j.started, j.ended) if j.ended else "", j.outcome or "", j.error)
            for j in found
        ),
    )


@command(app, "show")
def show(here: Here, job: str) -> None:
    """One job: how often, when next, and what came of it last."""
    with here.client() as client:
        j = client.jobs.get(job)
    here.out.fields(
        j,
        [
            ("job", j.name),
            ("every", f"{j.every_seconds:g} s"),
            ("due", "under way" if j.holder else j.due),
            ("began", j.started),
            ("ended", j.ended),
            ("outcome", j.outcome),
            ("error", j.error),
            ("failures", j.failures or None),
        ],
    )


@command(app, "run")
def run(
    here: Here,
    job: str,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for its end.")] = 600.0,
) -> None:
    """Carry out a job now."""
    from wichtel.domain import SystemFault

    if dry_run:
        with here.client() as client:
            outcome = client.jobs.preview(job)
        here.out.fields(outcome, outcome.items())
        return
    # A local process has to carry it out itself.
    with here.client(works=wait > 0) as client:
        status = client.jobs.run(job, wait_seconds=wait)
    if status.error and not (status.requested or status.holder):
        raise SystemFault(f"the job failed: {status.error}", where=f"job {job}")
    here.out.fields(status, [("job", status.name), ("ended", status.ended), *(status.outcome or {}).items()])
