"""`wichtel runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wichtel.cli.command import Here, command, group
from wichtel.cli.output import duration

if TYPE_CHECKING:
    from wichtel.domain import Run

app = group("Runs: what workers carry out, trials and training jobs.")


@command(app, "list")
def list_(
    here: Here,
    owner: Annotated[str | None, typer.Option(help="Such as study/s-1.")] = None,
    state: Annotated[str | None, typer.Option(help="PENDING, RUNNING, PREEMPTED, SUCCEEDED, STOPPED, FAILED, CANCELED.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most that are shown.")] = 100,
) -> None:
    """Runs that fit."""
    from wichtel.cli.choices import one_of
    from wichtel.domain import RunState

    with here.client() as client:
        found = client.runs.list(owner=owner, state=one_of(RunState, state, "--state"), limit=limit)
    here.out.table(
        found,
        ["run", "state", "attempt", "worker", "owner", "took", "error"],
        ((r.spec.id, r.state, r.attempt, r.worker, r.spec.owner, duration(r.started, r.ended), _error(r)) for r in found),
    )


@command(app, "show")
def show(here: Here, run: str) -> None:
    """One run with its result or error."""
    with here.client() as client:
        r = client.runs.get(run)
    here.out.fields(
        r,
        [
            ("run", r.spec.id),
            ("entry", r.spec.entry),
            ("state", r.state),
            ("attempt", r.attempt),
            ("worker", r.worker),
            ("owner", r.spec.owner),
            ("result", r.result),
            ("error", _error(r)),
            ("traceback", (r.error or {}).get("traceback")),
            ("created", r.created),
            ("took", duration(r.started, r.ended)),
        ],
    )


@command(app, "logs")
def logs(here: Here, run: str) -> None:
    """What a run printed."""
    with here.client() as client:
        text = client.runs.log(run)
    here.out.text(text, run=run, log=text)


@command(app, "measurements")
def measurements(here: Here, run: str) -> None:
    """What a run reported while it ran, by step."""
    with here.client() as client:
        found = client.runs.measurements(run)
    here.out.table(found, ["step", "metrics"], ((m.step, m.metrics) for m in found))


@command(app, "cancel")
def cancel(here: Here, run: str) -> None:
    """End a run now."""
    with here.client() as client:
        r = client.runs.cancel(run)
    here.out.fields(r, [("run", r.spec.id), ("state", r.state)])


def _error(run: Run) -> str:
    return str((run.error or {}).get("message") or "")
