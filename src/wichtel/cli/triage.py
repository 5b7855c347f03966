"""`wichtel triage`."""

from __future__ import annotations

from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("Failures that no rule knows, or that are the system's: what somebody has to look into.")


@command(app, "list")
def list_(
    here: Here,
    state: Annotated[str | None, typer.Option(help="open, known or fixed.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most that are shown.")] = 100,
) -> None:
    """Cases, the latest first."""
    from wichtel.domain.errors import one_of
    from wichtel.store import TriageState

    with here.client() as client:
        found = client.triage.list(state=None if state is None else one_of(TriageState, state.lower(), where="--state"), limit=limit)
    here.out.table(
        found,
        ["case", "state", "times", "last", "category", "protocol", "step", "message"],
        ((c.fingerprint, c.state, c.count, c.last, c.category, c.protocol, c.step, c.message[:100]) for c in found),
    )


@command(app, "show")
def show(here: Here, case: str) -> None:
    """One case, with the log's end of its latest example."""
    with here.client() as client:
        c = client.triage.get(case)
        example = client.experiments.get(c.example)
    here.out.fields(
        c,
        [
            ("case", c.fingerprint),
            ("state", c.state),
            ("note", c.note),
            ("by", c.who),
            ("category", f"{c.category} ({c.status})"),
            ("message", c.message),
            ("where", f"{c.protocol}, step {c.step}" if c.step else c.protocol),
            ("times", c.count),
            ("first", c.first),
            ("last", c.last),
            ("example", c.example),
            ("its cause", example.cause),
            ("its log", example.failure.log_tail if example.failure else ""),
        ],
    )


@command(app, "resolve")
def resolve(
    here: Here,
    case: str,
    state: Annotated[str, typer.Argument(help="known: understood, and will happen again; fixed: should not happen again; open.")],
    note: Annotated[str, typer.Option(help="For whoever meets it next.")] = "",
) -> None:
    """Say what became of a case; for admins."""
    with here.client() as client:
        c = client.triage.resolve(case, state, note)
    here.out.fields(c, [("case", c.fingerprint), ("state", c.state), ("note", c.note)])
