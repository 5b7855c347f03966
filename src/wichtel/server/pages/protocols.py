"""The catalogue: what protocols do, need, take and came to; what recipes make of a plan. All of it from their declarations."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import LimitKind
from wichtel.protocols import ParameterSpec
from wichtel.protocols.parameter import KINDS
from wichtel.protocols.registry import broken
from wichtel.recipes import example_of, get_recipe, recipes
from wichtel.server.pages.formats import number
from wichtel.server.pages.reader import Reader, page_router

router = page_router()

_ON_A_PAGE = 25
#: What a kind of protocol means.
_KINDS = {
    "basic": "A recipe changes the model once; the result is trained and compared with the baseline.",
    "tuning": "A search tries many changes; the best is trained afresh and judged on examples that no trial saw.",
}


@router.get("/protocols")
def protocols(reader: Reader) -> Response:
    """All protocols and all recipes."""
    found = reader.app.protocols.list()
    return reader.show(
        "protocols.html",
        title="Protocols and recipes",
        protocols=found,
        broken=sorted(broken().items()),
        histories=reader.app.protocols.histories([p.name for p in found]),
        recipes=[(r, [p.name for p in found if r.name in p.recipes]) for r in recipes()],
    )


@router.get("/protocols/{name}")
def protocol(
    reader: Reader, name: str, models: Annotated[str, Query(max_length=200)] = "", after: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """One protocol."""
    service = reader.app.protocols
    p = service.get(name)
    models = models.strip()
    found = service.readiness(name, contains=models or None, limit=_ON_A_PAGE + 1, after=after or None)
    shown = found[:_ON_A_PAGE]
    address = f"/protocols/{quote(name)}"
    given = {"models": models} if models else {}
    return reader.show(
        "protocol.html",
        title=f"{name} · protocol",
        p=p,
        kind=_KINDS.get(p.kind, ""),
        history=service.histories([name])[name],
        parameters=[(spec, KINDS[spec.type], _range(spec)) for spec in p.parameters],
        recipes=[(get_recipe(one), example_of(one)) for one in p.recipes],
        limits=[limit for limit in reader.app.quotas.limits() if (limit.kind, limit.name) == (LimitKind.PROTOCOL, name)],
        shown=shown,
        models=models,
        after=after,
        address=address,
        first=f"{address}?{urlencode(given)}#models" if given else f"{address}#models",
        following=f"{address}?{urlencode(given | {'after': shown[-1].model.name})}#models" if len(found) > len(shown) else "",
    )


@router.get("/recipes")
def all_recipes(reader: Reader) -> Response:
    """They stand below the protocols."""
    return reader.go("/protocols#recipes")


@router.get("/recipes/{name}")
def recipe(reader: Reader, name: str) -> Response:
    """One recipe."""
    return reader.show(
        "recipe.html",
        title=f"{name} · recipe",
        r=get_recipe(name),
        example=example_of(name),
        users=[p.name for p in reader.app.protocols.list() if name in p.recipes],
    )


def _range(spec: ParameterSpec) -> str:
    """What values it may have, in words."""
    if spec.choices:
        return ", ".join(spec.choices)
    low, high = number(spec.low), number(spec.high)
    if spec.low is not None and spec.high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if spec.low is not None else f"at most {high}" if spec.high is not None else ""
