"""`wichtel events`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wichtel.cli.command import Here, command
from wichtel.cli.output import cell

if TYPE_CHECKING:
    from wichtel.store import Event


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "events")(events)


def events(
    here: Here,
    subject: Annotated[str | None, typer.Option(help="Only those whose subject begins so, such as experiment/e-1.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only those after the one with this id.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most that are shown, without --follow.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they happen, until ctrl-C.")] = False,
) -> None:
    """What happened, one line each; with --json, one JSON object a line."""
    with here.client(works=follow) as client:
        found = (
            client.events.follow(subject=subject, after=after) if follow else client.events.list(subject=subject, after=after, limit=limit)
        )
        try:
            for event in found:
                _show(here, event)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def _show(here: Here, event: Event) -> None:
    from wichtel.store import codec

    if here.json:
        line = json.dumps(codec.to_plain(event), ensure_ascii=False)
    else:
        line = f"{event.id}  {cell(event.created)}  {event.kind}  {event.subject}  {cell(event.data)}".rstrip()
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
