"""Field selection: with ``fields=id,status,result.verdict`` an answer has these fields only; of a list, each of its items."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from typing import Annotated, Any, TypeAlias, get_origin

import msgspec
from fastapi import Query, Request
from msgspec import inspect

from wichtel.domain import InvalidInput, did_you_mean
from wichtel.store import Page, codec

#: Field → what is wanted of it; with nothing in it, all.
Selection: TypeAlias = "dict[str, Selection]"

_MOST_FIELDS = 100
_wanted: ContextVar[Selection | None] = ContextVar("wichtel_selection", default=None)


class Described(dict[str, Any]):
    """A schema in the OpenAPI document that remembers the types it is of."""

    def __init__(self, schema: dict[str, Any], kinds: tuple[Any, ...]) -> None:
        super().__init__(schema)
        self.kinds = kinds


async def selected(
    request: Request,
    fields: Annotated[str | None, Query(max_length=4000, description="Only these fields of each value, such as id,status.")] = None,
) -> None:
    """Note which fields the caller wants, for `encode`. Without waiting, so that it is noted where the handler is called.

    Raises:
        InvalidInput: the answer has no such field, or none at all.
    """
    if fields is None:
        _wanted.set(None)
        return
    kinds = kinds_of(request.scope["route"])
    if request.method not in ("GET", "HEAD") or not kinds:
        raise InvalidInput("this answer has no fields to choose from.", where="query parameter 'fields'", hint="Leave it out.")
    _wanted.set(read_selection(fields, kinds))


def kinds_of(route: Any) -> tuple[Any, ...]:
    """The types of a route's answer; none if it is not JSON."""
    for answer in getattr(route, "responses", {}).values():
        for content in answer.get("content", {}).values():
            if isinstance(schema := content.get("schema"), Described):
                return schema.kinds
    return ()


def encode(value: Any) -> bytes:
    """`value` as JSON, with the fields that the caller wants. The items of a page may be written already."""
    written = isinstance(value, Page) and isinstance(next(iter(value.items), None), msgspec.Raw)
    wanted = _wanted.get()
    if wanted is None:
        return msgspec.json.encode(value) if written else codec.encode(value)
    plain = msgspec.json.decode(msgspec.json.encode(value)) if written else codec.to_plain(value)
    if isinstance(value, Page):
        plain["items"] = _select(plain["items"], wanted)
    else:
        plain = _select(plain, wanted)
    return msgspec.json.encode(plain)


def read_selection(text: str, kinds: tuple[Any, ...]) -> Selection:
    """The fields that `text` names, of one of `kinds`.

    Raises:
        InvalidInput: there is no such field.
    """
    found: Selection = {}
    names = [name.strip() for name in text.split(",")]
    if len(names) > _MOST_FIELDS:
        raise InvalidInput(f"at most {_MOST_FIELDS} fields can be chosen.", where="query parameter 'fields'")
    for name in names:
        _check(name, kinds)
        here = found
        *above, last = name.split(".")
        for part in above:
            # What is wanted as a whole stays whole.
            if part in here and not here[part]:
                break
            here = here.setdefault(part, {})
        else:
            here[last] = {}
    return found


def _select(plain: Any, wanted: Selection) -> Any:
    if isinstance(plain, list):
        return [_select(item, wanted) for item in plain]
    if not isinstance(plain, dict):
        return plain
    return {name: _select(plain[name], inner) if inner else plain[name] for name, inner in wanted.items() if name in plain}


def _check(name: str, kinds: tuple[Any, ...]) -> None:
    here = [_item(kind) for kind in kinds]
    parts = name.split(".")
    for i, part in enumerate(parts):
        inner: list[inspect.Type] = []
        known: set[str] = set()
        for info in here:
            for shape in _shapes(info):
                if isinstance(shape, inspect.AnyType):
                    return
                if isinstance(shape, inspect.DictType):
                    inner.append(shape.value_type)
                elif isinstance(shape, inspect.DataclassType | inspect.StructType):
                    known |= {field.encode_name for field in shape.fields}
                    inner += [field.type for field in shape.fields if field.encode_name == part]
        if not inner or not part:
            hint = did_you_mean(part, known) if known else "It has no fields of its own."
            above = f" in {'.'.join(parts[:i])!r}" if i else ""
            raise InvalidInput(f"there is no field {part!r}{above}.", where="query parameter 'fields'", hint=hint)
        here = inner


@cache
def _item(kind: Any) -> inspect.Type:
    """What a value of `kind` is, of a page what its items are."""
    info = inspect.type_info(kind)
    if get_origin(kind) is Page:
        assert isinstance(info, inspect.DataclassType)
        items = next(field.type for field in info.fields if field.name == "items")
        assert isinstance(items, inspect.VarTupleType)
        return items.item_type
    return info


def _shapes(info: inspect.Type) -> Iterator[inspect.Type]:
    """What it may be: members of unions, items of lists."""
    if isinstance(info, inspect.UnionType):
        for member in info.types:
            yield from _shapes(member)
    elif isinstance(info, inspect.ListType | inspect.VarTupleType | inspect.SetType):
        yield from _shapes(info.item_type)
    else:
        yield info
