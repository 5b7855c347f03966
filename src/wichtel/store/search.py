"""What can be asked of experiments, and answers in pages."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import msgspec
import sqlalchemy as sa

from wichtel.domain import ExperimentState, ExperimentStatus, InvalidInput
from wichtel.store.tables import experiments

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some of the answers, and where to go on."""

    items: tuple[T, ...]
    #: To be given with the same question for the next page; None if this is the last.
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentFilter:
    """Which experiments; what is None does not matter, what is given must all hold. Times are aware.

    Raises:
        InvalidInput: a time without a zone.
    """

    owner: str | None = None
    #: Part of the model's name, whatever its case.
    model: str | None = None
    protocol: str | None = None
    status: ExperimentStatus | None = None
    state: ExperimentState | None = None
    #: Name of the intent.
    intent: str | None = None
    registration: str | None = None
    quota_group: str | None = None
    created_from: datetime | None = None
    #: Excluded.
    created_before: datetime | None = None
    #: Part of the id, model, protocol, owner, intent or cause, whatever its case.
    text: str | None = None

    def __post_init__(self) -> None:
        for name in ("created_from", "created_before"):
            time: datetime | None = getattr(self, name)
            if time is not None and time.tzinfo is None:
                raise InvalidInput(f"{time} needs a time zone.", where=name, hint=f"For example {time.isoformat()}Z.")

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        """Each as a condition on the table."""
        for name in ("owner", "protocol", "status", "state", "intent", "registration", "quota_group"):
            value = getattr(self, name)
            if value is not None:
                yield experiments.c[name] == value
        if self.model:
            yield experiments.c.model.icontains(self.model, autoescape=True)
        if self.created_from is not None:
            yield experiments.c.created >= self.created_from
        if self.created_before is not None:
            yield experiments.c.created < self.created_before
        if self.text:
            columns = (experiments.c[name] for name in ("id", "model", "protocol", "owner", "intent", "cause"))
            yield sa.or_(*(column.icontains(self.text, autoescape=True) for column in columns))


def cursor_of(created: datetime, key: str) -> str:
    """A cursor that stands at the row of that time and key. Not meant to be read."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode((created, key))).decode().rstrip("=")


def after(order: tuple[sa.Column[datetime], sa.Column[str]], cursor: str) -> sa.ColumnElement[bool]:
    """What comes after `cursor` when both columns of `order` go down.

    Raises:
        InvalidInput: it is no cursor.
    """
    try:
        created, key = msgspec.msgpack.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=tuple[datetime, str])
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidInput(f"{cursor!r} is no cursor.", where="cursor", hint="Give the one that came with the page before.") from error
    if created.tzinfo is None:
        raise InvalidInput(f"{cursor!r} is no cursor.", where="cursor")
    time, identity = order
    return sa.or_(time < created, sa.and_(time == created, identity < key))
