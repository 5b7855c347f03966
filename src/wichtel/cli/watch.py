"""`wichtel watch`."""

from __future__ import annotations

from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("Be told on your channels of what others own.")

_STOP = typer.Option("--stop", help="Be told no more.")


def _watch(here: Here, kind: str, subject: str, *, stop: bool) -> None:
    with here.client() as client:
        if stop:
            client.watches.remove(kind, subject)
            here.out.fields({"deleted": subject}, [("watched no more", f"{kind} {subject}")])
            return
        made = client.watches.add(kind, subject)
    here.out.fields(made, [("watched", f"{kind} {subject}")])


@command(app, "experiment")
def experiment(here: Here, experiment: str, stop: Annotated[bool, _STOP] = False) -> None:
    """Be told when an experiment finishes."""
    _watch(here, "experiment", experiment, stop=stop)


@command(app, "registration")
def registration(here: Here, registration: str, stop: Annotated[bool, _STOP] = False) -> None:
    """Be told of a registration's experiments."""
    _watch(here, "registration", registration, stop=stop)


@command(app, "model")
def model(here: Here, name: str, stop: Annotated[bool, _STOP] = False) -> None:
    """Be told of all experiments on a model."""
    _watch(here, "model", name, stop=stop)


@command(app, "list")
def list_(here: Here) -> None:
    """What you watch."""
    with here.client() as client:
        found = client.watches.list()
    here.out.table(found, ["what", "which", "since"], ((w.kind, w.subject, w.created) for w in found))
