"""`wichtel register`: models × protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from wichtel.cli.command import Here, command
from wichtel.cli.files import assignments, read_table
from wichtel.cli.run import FOLLOW, FORECAST, INTENT, PARAMETER, PREVIEW, SET
from wichtel.cli.run import register as register_
from wichtel.domain import InvalidInput, did_you_mean

_FIELDS = ("models", "protocols", "intent", "parameters", "overrides")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "register")(register)


def register(
    here: Here,
    models: Annotated[list[str] | None, typer.Option(help="Names, with commas or by giving the option more than once.")] = None,
    protocols: Annotated[list[str] | None, typer.Option(help="Likewise.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="TOML or JSON: models, protocols (names or tables), intent, parameters, overrides.")
    ] = None,
    intent: Annotated[str | None, INTENT] = None,
    parameter: Annotated[list[str] | None, PARAMETER] = None,
    field: Annotated[list[str] | None, SET] = None,
    follow: Annotated[bool, FOLLOW] = False,
    preview: Annotated[bool, PREVIEW] = False,
    forecast: Annotated[str | None, FORECAST] = None,
    skip_unfit: Annotated[bool, typer.Option("--skip-unfit", help="Leave out the pairs that cannot be launched.")] = False,
) -> None:
    """Each protocol on each model. Options go before what the file says; with --local it is followed to its end."""
    said = read_table(file) if file is not None else {}
    for name in said:
        if name not in _FIELDS:
            raise InvalidInput(f"unknown field {name!r}.", where=str(file), hint=did_you_mean(name, _FIELDS))
    for name in ("parameters", "overrides"):
        if not isinstance(said.get(name, {}), dict):
            raise InvalidInput(f"{name} is no table.", where=str(file), hint=f"Such as {name} = {{name = value}}.")
    names = _split(models) or said.get("models") or []
    wanted = _split(protocols) or said.get("protocols") or []
    for what, given in (("models", names), ("protocols", wanted)):
        if not isinstance(given, list) or not given:
            raise InvalidInput(f"which {what}?", hint=f"Give --{what} or --file.")
    defaults: dict[str, Any] = {
        "intent": intent or said.get("intent"),
        "parameters": {**said.get("parameters", {}), **assignments(parameter or [], "-p")},
        "overrides": {**said.get("overrides", {}), **assignments(field or [], "--set")},
    }
    requests = [{**defaults, **_table(p)} for p in wanted]
    register_(here, names, requests, follow=follow, preview=preview, forecast=forecast, skip_unfit=skip_unfit)


def _table(protocol: Any) -> dict[str, Any]:
    return protocol if isinstance(protocol, dict) else {"protocol": protocol}


def _split(given: list[str] | None) -> list[str]:
    return [part.strip() for text in given or [] for part in text.split(",") if part.strip()]
