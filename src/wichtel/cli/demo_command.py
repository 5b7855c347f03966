"""`wichtel demo`, whose own module is loaded when it is called."""

from __future__ import annotations

import typer

from wichtel.cli.command import Here, command


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "demo")(demo)


def demo(here: Here) -> None:
    """Improve two models of late flights, from data to verdicts, on this machine, in a few minutes."""
    from wichtel.cli.demo import demo as demo_

    demo_(here)
