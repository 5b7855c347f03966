"""`wichtel intents`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wichtel.cli.command import Here, command, group
from wichtel.cli.files import read_table

if TYPE_CHECKING:
    from wichtel.domain import Intent

app = group("Intents: named sets of constraints.")


@command(app, "put")
def put(here: Here, file: Annotated[Path, typer.Argument(help="TOML or JSON: name, primary, [[constraints]], and models, help.")]) -> None:
    """Keep an intent, in the place of one with its name and pattern of models."""
    from wichtel.domain import Intent, InvalidInput
    from wichtel.store import codec

    try:
        intent = codec.from_plain(read_table(file), Intent)
    except InvalidInput as error:
        raise InvalidInput(error.message, where=f"{file}, {error.where}" if error.where else str(file), hint=error.hint) from None
    with here.client() as client:
        intent = client.intents.put(intent)
    _show(here, intent, [intent])


@command(app, "list")
def list_(
    here: Here, model: Annotated[str | None, typer.Option(help="Of each name the one that applies to this model, and why.")] = None
) -> None:
    """All intents."""
    with here.client() as client:
        if model is not None:
            applied = client.intents.applied(model)
            rows = ((a.intent.name, a.intent.models, _primary(a.intent), a.why, a.instead_of) for a in applied)
            here.out.table(applied, ["name", "models", "primary", "why", "instead of"], rows)
            return
        found = client.intents.list()
    here.out.table(found, ["name", "models", "primary", "help"], ((i.name, i.models, _primary(i), i.help) for i in found))


@command(app, "show")
def show(
    here: Here,
    name: str,
    model: Annotated[str | None, typer.Option(help="The one that applies to this model; otherwise all of that name.")] = None,
) -> None:
    """The constraints of an intent."""
    from wichtel.domain import NotFound, did_you_mean

    with here.client() as client:
        if model is not None:
            intent = client.intents.get(name, model)
            _show(here, intent, [intent])
            return
        known = client.intents.list()
    found = [i for i in known if i.name == name]
    if not found:
        raise NotFound(f"there is no intent {name!r}.", hint=did_you_mean(name, {i.name for i in known}))
    _show(here, found, found)


@command(app, "delete")
def delete(here: Here, name: str, models: Annotated[str, typer.Option(help="Its pattern of models.")] = "*") -> None:
    """Forget an intent."""
    with here.client() as client:
        client.intents.delete(name, models=models)
    here.out.fields({"deleted": name}, [("deleted", name)])


def _primary(intent: Intent) -> str:
    from wichtel.domain import PRIMARY

    return "the model's" if intent.primary == PRIMARY else intent.primary


def _show(here: Here, value: object, intents: list[Intent]) -> None:
    rows = []
    for i in intents:
        constraints = "\n".join(f"{c.text}{' (primary)' if c.metric == i.primary else ''}, {c.confidence:.0%} sure" for c in i.constraints)
        rows += [("intent", i.name), ("models", i.models), ("help", i.help), ("constraints", constraints)]
    here.out.fields(value, rows)
