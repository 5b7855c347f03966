"""`wichtel config` and `wichtel version`."""

from __future__ import annotations

from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("The settings.")


@command(app, "show")
def show(here: Here, origin: Annotated[bool, typer.Option("--origin", help="Also where each comes from.")] = False) -> None:
    """Every setting: flag, environment, ./wichtel.toml, ~/.config/wichtel/config.toml, default, in this order."""
    found = here.settings().describe()
    if origin:
        here.out.table(found, ["setting", "value", "origin", "help"], ((s.name, s.value, s.origin, s.help) for s in found))
    else:
        here.out.fields({s.name: s.value for s in found}, ((s.name, s.value) for s in found))


def add_to(app: typer.Typer) -> None:
    """Add `wichtel version`."""
    command(app, "version")(version)


def version(here: Here) -> None:
    """The version of Wichtel."""
    from importlib.metadata import version as version_

    here.out.text(version_("wichtel"), version=version_("wichtel"))
