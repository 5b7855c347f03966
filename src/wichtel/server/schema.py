"""The OpenAPI document. Schemas are made from the very types that the codec writes and reads, so they cannot drift apart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from wichtel.domain import Space

if TYPE_CHECKING:
    from fastapi import FastAPI

_TEMPLATE = "#/components/schemas/{name}"

#: Every type that a route names, in the order in which the routes name them.
_TYPES: dict[Any, None] = {}


def reference(kind: Any) -> dict[str, Any]:
    """A schema that refers to `kind`, which becomes a component of the document."""
    _TYPES[kind] = None
    (schema,), _ = _components([kind])
    return schema


def _components(kinds: list[Any]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    return msgspec.json.schema_components(kinds, schema_hook=_custom, ref_template=_TEMPLATE)


def _custom(kind: type) -> dict[str, Any]:
    if kind is Space:
        return {
            "title": "Space",
            "type": "object",
            "description": "Parameters by name; each has a kind: float, int, choice, bool or fixed.",
            "additionalProperties": {
                "type": "object",
                "required": ["kind"],
                "properties": {"kind": {"enum": ["float", "int", "choice", "bool", "fixed"]}},
            },
        }
    raise NotImplementedError(kind)


def document(api: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `api`, made once."""
    from fastapi.openapi.utils import get_openapi

    from wichtel.server.problems import MEDIA_TYPE, Problem

    if api.openapi_schema is None:
        problem = {"description": "What went wrong, and what to do", "content": {MEDIA_TYPE: {"schema": reference(Problem)}}}
        made = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
        for path, methods in made["paths"].items():
            for operation in methods.values():
                # FastAPI adds its own idea of a refused parameter.
                operation["responses"].pop("422", None)
                if path.startswith("/v1/"):
                    operation["responses"]["default"] = problem
        _, components = _components(list(_TYPES))
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas.update(components)
        api.openapi_schema = made
    return api.openapi_schema


def operation_id(route: Any) -> str:
    """Such as ``experiments_cancel``: the noun and the function's name; what generated clients call the method."""
    tag = str(route.tags[0]) if route.tags else "service"
    return re.sub(r"\W", "_", f"{tag}_{route.name}")
