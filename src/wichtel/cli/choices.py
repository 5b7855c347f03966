"""Words that stand for values."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from wichtel.domain import InvalidInput, did_you_mean

E = TypeVar("E", bound=StrEnum)


def one_of(kind: type[E], given: str | None, option: str) -> E | None:
    """The member of `kind` that `given` names, whatever its case; None for None.

    Raises:
        InvalidInput: there is none.
    """
    if given is None:
        return None
    try:
        return kind(given.upper())
    except ValueError:
        raise InvalidInput(f"there is no {given!r}.", where=option, hint=did_you_mean(given.upper(), map(str, kind))) from None
