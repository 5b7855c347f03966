"""`wichtel queue`: what waits, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from wichtel.cli.command import Here, command
from wichtel.cli.output import duration


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "queue")(queue)


def queue(
    here: Here,
    group: Annotated[str | None, typer.Option(help="This quota group alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most experiments that are shown.")] = 20,
) -> None:
    """How the teams' shares stand, and which experiments wait for their start, with the reason."""
    with here.client() as client:
        found = client.queue.get(group=group, limit=limit)
    if here.json:
        here.out.data(found)
        return
    here.out.table(
        found.groups,
        ["group", "in progress", "wait", "the oldest since", "runs", "runs wait", "paused"],
        (
            (
                g.group.name,
                f"{g.in_progress} of {g.group.max_in_progress}",
                g.waiting,
                duration(g.oldest_waiting, None),
                g.runs,
                g.runs_waiting,
                g.group.paused is not None,
            )
            for g in found.groups
        ),
        empty="No group has anything to do.",
    )
    if found.items:
        typer.echo()
        here.out.table(
            found.items,
            ["place", "experiment", "what", "owner", "waits for", "because"],
            ((w.position, w.experiment, f"{w.protocol} on {w.model}", w.owner, duration(w.since, None), w.text) for w in found.items),
        )
    if found.cursor is not None:
        here.out.say(f"There are more: --limit, or --group (of {sum(g.waiting for g in found.groups)} in all).")
