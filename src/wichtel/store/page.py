"""Answers in pages that go on where the one before ended, whatever was added or removed meanwhile."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from wichtel.domain import InvalidInput
from wichtel.store.repository import check_limit
from wichtel.store.types import Time

T = TypeVar("T")

#: Counting stops here.
MOST_COUNTED = 10_000
#: So many rows are looked through before an index is asked that finds rare ones.
_NEAR = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some of the answers, and where to go on."""

    items: tuple[T, ...]
    #: To be given with the same question for the next page; None if this is the last.
    cursor: str | None = None
    #: How many answers there are in all, if that was asked; 10000 stands for so many or more.
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Sieve:
    """A condition that holds for many rows or few, which no planner can guess.

    What many fit is found soonest among the first rows of the order; what few fit, by an index that knows nothing of the order.
    """

    plain: sa.ColumnElement[bool]
    #: The same, with what an index answers.
    indexed: sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Stage:
    """Rows in the order of columns, all up or all down. In these rows no such column is null, and the last one tells all apart."""

    rows: sa.Select[Any]
    order: tuple[sa.Column[Any], ...]
    descending: bool = False
    sieve: Sieve | None = None


def fetch(
    connection: sa.Connection,
    stages: Sequence[Stage],
    read: Callable[[sa.Row[Any]], T],
    *,
    limit: int,
    cursor: str | None = None,
    name: str = "",
) -> Page[T]:
    """A page of the rows of `stages`, one after the other.

    Args:
        connection: Where to ask.
        stages: The same each time.
        read: Makes an item of a row.
        limit: At most 1,000.
        cursor: `Page.cursor` of the page before.
        name: What tells this order from others that the same list may have.

    Raises:
        InvalidInput: a limit out of range, or something that is no cursor of this list in this order.
    """
    check_limit(limit)
    first, after = (0, None) if cursor is None else _read_cursor(cursor, stages, name)
    found: list[tuple[int, sa.Row[Any]]] = []
    for number, stage in enumerate(stages[first:], first):
        rows = stage.rows.add_columns(*(column.label(key) for key, column in _unselected(stage).items()))
        if number == first and after is not None:
            rows = rows.where(_beyond(stage, after))
        found += [(number, row) for row in _first(connection, stage, rows, limit + 1 - len(found))]
        if len(found) > limit:
            break
    items = tuple(read(row) for _, row in found[:limit])
    if len(found) <= limit:
        return Page(items=items)
    number, last = found[limit - 1]
    values = [last._mapping[key] for key in _keys(stages[number])]
    return Page(items=items, cursor=_cursor(name, number, values))


def _first(connection: sa.Connection, stage: Stage, rows: sa.Select[Any], limit: int) -> Sequence[sa.Row[Any]]:
    rows = rows.order_by(*(column.desc() if stage.descending else column for column in stage.order))
    if stage.sieve is not None:
        key = stage.order[-1]
        near = rows.with_only_columns(key, maintain_column_froms=True).limit(_NEAR)
        found = connection.execute(rows.where(key.in_(near), stage.sieve.plain).limit(limit)).all()
        if len(found) == limit:
            return found
        rows = rows.where(stage.sieve.indexed)
    return connection.execute(rows.limit(limit)).all()


def count(connection: sa.Connection, rows: sa.Select[Any]) -> int:
    """How many rows there are, up to `MOST_COUNTED`."""
    some = rows.with_only_columns(sa.literal(1), maintain_column_froms=True).order_by(None).limit(MOST_COUNTED).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()


def _keys(stage: Stage) -> list[str]:
    """What the columns of the order are called in the rows."""
    selected = stage.rows.selected_columns
    return [column.key if selected.get(column.key) is column else f"order_{i}" for i, column in enumerate(stage.order)]


def _unselected(stage: Stage) -> dict[str, sa.Column[Any]]:
    return {key: column for key, column in zip(_keys(stage), stage.order, strict=True) if key != column.key}


def _beyond(stage: Stage, values: tuple[Any, ...]) -> sa.ColumnElement[bool]:
    # A comparison of rows, which an index on the same columns answers.
    given = [sa.literal(value, column.type) for value, column in zip(values, stage.order, strict=True)]
    mine, theirs = (stage.order[0], given[0]) if len(given) == 1 else (sa.tuple_(*stage.order), sa.tuple_(*given))
    return mine < theirs if stage.descending else mine > theirs


def _cursor(name: str, stage: int, values: Sequence[Any]) -> str:
    # Not meant to be read.
    return base64.urlsafe_b64encode(msgspec.msgpack.encode((name, stage, values))).decode().rstrip("=")


def _read_cursor(cursor: str, stages: Sequence[Stage], name: str) -> tuple[int, tuple[Any, ...]]:
    wrong = InvalidInput(f"{cursor!r} is no cursor.", where="cursor", hint="Give the one that came with the page before.")
    try:
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        order, stage, rest = msgspec.msgpack.decode(data, type=tuple[str, int, msgspec.Raw])
    except (ValueError, msgspec.MsgspecError):
        raise wrong from None
    if order != name:
        raise InvalidInput("the cursor is of another order.", where="cursor", hint="Ask for the pages of one list in one order.")
    if not 0 <= stage < len(stages):
        raise wrong
    try:
        # Somebody else may have made it: what does not fit the columns would be a database's error.
        values = msgspec.msgpack.decode(rest, type=tuple[tuple(_kind(column) for column in stages[stage].order)])  # type: ignore[misc]
    except msgspec.MsgspecError:
        raise wrong from None
    return stage, values


_TEXT = msgspec.Meta(pattern=r"\A[^\x00]*\Z")


def _kind(column: sa.Column[Any]) -> Any:
    if isinstance(column.type, Time):
        return Annotated[datetime, msgspec.Meta(tz=True)]
    if isinstance(column.type, sa.Float):
        return float
    if isinstance(column.type, sa.Integer):
        bits = 63 if isinstance(column.type, sa.BigInteger) else 31
        return Annotated[int, msgspec.Meta(ge=-(2**bits), le=2**bits - 1)]
    return Annotated[str, _TEXT]
