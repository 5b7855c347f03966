"""Values of a configuration as somebody types them: what stands in a field, where it comes from, what is wrong with it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from wichtel.domain import InvalidInput, WichtelError

_TRUTHS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(slots=True, kw_only=True)
class Entry:
    """One value in a form."""

    #: Its name in the form.
    field: str
    label: str
    #: What stands in the field.
    text: str
    #: What stands there until somebody changes it.
    default: str = ""
    #: Where that comes from.
    origin: str = ""
    help: str = ""
    problem: str = ""
    #: Value and label of each, if there are only these.
    options: tuple[tuple[str, str], ...] = ()
    #: ``%`` and the like, beside the field.
    unit: str = ""

    @property
    def changed(self) -> bool:
        """Whether it is the reader's own."""
        return self.text.strip() != self.default


def written(value: Any) -> str:
    """A value as it stands in a field.

    >>> written(0.5), written(None), written(True), written({"width": 64})
    ('0.5', '', 'true', '{"width": 64}')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def read_value(text: str, kind: str) -> Any:
    """What `text` says, as a `kind` of `wichtel.protocols.parameter.KINDS`.

    >>> read_value("64", "int"), read_value("1e-3", "float"), read_value("a, b", "list")
    (64, 0.001, ['a', 'b'])

    Raises:
        InvalidInput: it says no such thing.
    """
    text = text.strip()
    if kind == "str":
        return text
    if kind == "bool":
        if text.lower() not in _TRUTHS:
            raise InvalidInput(f"{text!r} is neither true nor false.")
        return _TRUTHS[text.lower()]
    if kind in ("int", "float"):
        return _number(text, whole=kind == "int")
    if kind == "list" and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"this is no JSON: {error}.") from None
    except RecursionError:
        raise InvalidInput("this is nested too deeply.") from None
    if kind == "table" and not isinstance(value, dict):
        raise InvalidInput('this is no table; write it as {"name": value}.')
    return value


def _number(text: str, *, whole: bool) -> int | float:
    try:
        value = float(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a {'whole ' if whole else ''}number.") from None
    if not math.isfinite(value):
        raise InvalidInput(f"{text!r} is not finite.")
    if not whole:
        return value
    if not value.is_integer():
        raise InvalidInput(f"{text!r} is not a whole number.")
    # Exact, however long it is.
    return int(text) if text.lstrip("+-").isdecimal() else int(value)


def told(error: WichtelError, *, known_hint: str = "") -> str:
    """An error beside the field that it is about, with what to do unless that stands there already."""
    hint = error.hint if error.hint and error.hint != known_hint else ""
    text = f"{error.message} {hint}".strip()
    return text[:1].upper() + text[1:]
