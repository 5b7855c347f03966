"""The OpenAPI document. Schemas are made from the very types that the codec writes and reads, so they cannot drift apart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from inspect import cleandoc, getsource
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

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


def _describe(schemas: dict[str, Any], names: dict[str, inspect.DataclassType]) -> None:
    """Add to each property what the ``#:`` comment above the field says, and which strings are times."""
    for name, info in names.items():
        properties = schemas.get(name, {}).get("properties", {})
        # What is said of errors and of the constructor's arguments is for readers of the source.
        schemas[name]["description"] = re.split(r"\n\n(?:Raises|Args):", cleandoc(info.cls.__doc__ or ""))[0]
        for field in info.fields:
            members = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
            if any(isinstance(member, inspect.DateTimeType) for member in members):
                schema = properties[field.encode_name]
                next(s for s in schema.get("anyOf", [schema]) if s.get("type") == "string")["format"] = "date-time"
        for field_name, text in _comments(info.cls).items():
            if field_name in properties:
                properties[field_name] = {"description": text, **properties[field_name]}


_COMMENT = re.compile(r"((?:^ *#: .*\n)+) *(\w+):", re.MULTILINE)


def _comments(kind: type) -> dict[str, str]:
    try:
        source = getsource(kind)
    except OSError:
        # No source is installed; then there are no comments either.
        return {}
    return {field: " ".join(line.strip()[3:] for line in text.splitlines()) for text, field in _COMMENT.findall(source)}


def _named(kinds: Iterable[Any]) -> dict[str, inspect.DataclassType]:
    """The dataclasses that `kinds` consist of, by their names in the document."""
    found: dict[str, inspect.DataclassType] = {}

    def visit(info: inspect.Type) -> None:
        if isinstance(info, inspect.DataclassType):
            if info.cls.__name__ in found:
                return
            if info.cls.__name__ != "Page":
                found[info.cls.__name__] = info
            for field in info.fields:
                visit(field.type)
        for part in ("item_type", "value_type"):
            if hasattr(info, part):
                visit(getattr(info, part))
        for member in getattr(info, "types", ()):
            visit(member)

    for kind in kinds:
        visit(inspect.type_info(kind))
    return found


#: JSON has no infinities and no NaN; the codec writes them as strings.
_NUMBER = {
    "anyOf": [{"type": "number"}, {"enum": ["$NaN", "$Infinity", "$-Infinity"]}],
    "description": "A number; infinities and NaN as strings.",
}


def _widen(schema: Any) -> Any:
    """Every number may be one of the three that JSON lacks."""
    if isinstance(schema, list):
        return [_widen(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "number":
        rest = {key: value for key, value in schema.items() if key != "type"}
        return {"$ref": _TEMPLATE.format(name="Number"), **rest}
    return {key: value if key in ("default", "enum") else _widen(value) for key, value in schema.items()}


def _custom(kind: type) -> dict[str, Any]:
    if kind is Space:
        return {
            "title": "Space",
            "type": "object",
            "description": "Parameters by name.",
            "additionalProperties": {
                "type": "object",
                "required": ["kind"],
                "properties": {
                    "kind": {"enum": ["float", "int", "choice", "bool", "fixed"]},
                    "low": {"type": "number", "description": "Of float and int: the least value."},
                    "high": {"type": "number", "description": "Of float and int: the largest value."},
                    "log": {"type": "boolean", "description": "Of float and int: searched on a log scale."},
                    "step": {"anyOf": [{"type": "number"}, {"type": "null"}], "description": "Of float and int: only low plus multiples."},
                    "options": {"type": "array", "description": "Of choice."},
                    "value": {"description": "Of fixed."},
                    "when": {
                        "type": "object",
                        "description": "Another parameter → the values of it under which this one exists.",
                        "additionalProperties": {"type": "array"},
                    },
                },
            },
        }
    raise NotImplementedError(kind)


def document(api: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `api`, made once."""
    from fastapi.openapi.utils import get_openapi

    from wichtel.server import answers
    from wichtel.server.problems import MEDIA_TYPE, Problem
    from wichtel.server.routes import ROUTERS

    if api.openapi_schema is None:
        problem = {"description": "What went wrong, and what to do", "content": {MEDIA_TYPE: {"schema": reference(Problem)}}}
        made = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
        for path, methods in made["paths"].items():
            for method, operation in methods.items():
                if method != "get" or "application/json" not in operation["responses"].get("200", {}).get("content", {}):
                    # Every route has it, but only answers with fields can do with fewer.
                    operation["parameters"] = [p for p in operation.get("parameters", ()) if p["name"] != "fields"]
                # FastAPI adds its own idea of a refused parameter.
                operation["responses"].pop("422", None)
                if path.startswith("/v1/"):
                    operation["responses"]["default"] = problem
        _, components = _components(list(_TYPES))
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        _describe(components, _named(_TYPES))
        # Whoever submits a study need not think up an id.
        components["StudySpec"]["required"].remove("id")
        schemas.update(_widen(components) | {"Number": _NUMBER})
        answers.describe(made, [route for router in ROUTERS for route in router.routes], reference(Problem))
        api.openapi_schema = made
    return api.openapi_schema


def operation_id(route: Any) -> str:
    """Such as ``experiments_cancel``: the noun and the function's name; what generated clients call the method."""
    tag = str(route.tags[0]) if route.tags else "service"
    return re.sub(r"\W", "_", f"{tag}_{route.name}").rstrip("_")
