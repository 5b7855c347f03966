"""Domain values as JSON and back.

One format for columns, messages and the HTTP API: a dataclass is an object of its fields, an enum its value, a datetime RFC 3339 (UTC is
written ``Z``), a tuple a list, a `Space` what its `to_json` gives. JSON has no infinities and no NaN; these three floats are the strings
``"$NaN"``, ``"$Infinity"`` and ``"$-Infinity"``, wherever they stand. A string that would be read as one of them gets one more ``$`` in
front, and loses it again, so that every value comes back as it was.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from functools import cache, lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from wichtel.domain.errors import InvalidInput, did_you_mean
from wichtel.domain.space import Space

T = TypeVar("T")

_FLOATS = {"$NaN": math.nan, "$Infinity": math.inf, "$-Infinity": -math.inf}
#: In MessagePack: a float whose exponent says that it is infinite or none at all.
_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
_ESCAPED = re.compile(r"\$+(NaN|Infinity|-Infinity)")


def encode(value: Any) -> bytes:
    """`value` as JSON.

    Raises:
        InvalidInput: it holds something that JSON has no form for, such as an open file.
    """
    try:
        data = msgspec.json.encode(value, enc_hook=_write_special)
    except (TypeError, OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise _unfit(error) from error
    # Most values hold no string that has to be escaped, and no float that JSON lacks, which is written as null.
    if b'"$' in data or (b"null" in data and _lacking(value)):
        return msgspec.json.encode(to_plain(value))
    return data


def to_plain(value: Any) -> Any:
    """`value` as dicts, lists, strings, numbers, bools and None, with no float that JSON lacks.

    Raises:
        InvalidInput: it holds something that JSON has no form for.
    """
    try:
        return _hide(msgspec.to_builtins(value, enc_hook=_write_special, str_keys=True))
    except (TypeError, OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise _unfit(error) from error


def _unfit(error: BaseException) -> InvalidInput:
    return InvalidInput(f"it cannot be written as JSON: {error}.", hint="Use plain numbers, strings, bools, lists and dicts.")


def decode(data: bytes | str, kind: type[T]) -> T:
    """Read JSON that somebody else wrote as a `kind`; nothing is guessed, and no field is passed over.

    Raises:
        InvalidInput: malformed JSON, a value of the wrong type, or a field that is missing or unknown; `where` is its path (``$.space.x``).
    """
    try:
        plain = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"this is not JSON: {error}.") from error
    except RecursionError as error:
        raise InvalidInput("this is nested too deeply.") from error
    return from_plain(plain, kind)


def from_plain(plain: Any, kind: type[T]) -> T:
    """Read what `to_plain` or a TOML or JSON parser gave as a `kind`.

    Raises:
        InvalidInput: as `decode`.
    """
    try:
        _refuse_unknown(plain, kind, "$")
        return msgspec.convert(_unhide(plain), kind, dec_hook=_read_special)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except RecursionError as error:
        raise InvalidInput("this is nested too deeply.") from error


def read(data: bytes | str, kind: type[T]) -> T:
    """Read what `encode` wrote: faster than `decode`, since nobody has to be told what is wrong with it."""
    raw = data.encode() if isinstance(data, str) else data
    # Only a string that begins with a dollar sign can be a hidden float.
    if b'"$' in raw:
        return msgspec.convert(_unhide(msgspec.json.decode(raw)), kind, dec_hook=_read_special)
    value: T = _decoder(kind).decode(raw)  # type: ignore[arg-type]
    return value


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=_read_stored)


def _read_stored(kind: type[Any], plain: Any) -> Any:
    # The space of a study is read with each of its lists and trials, and checks a lot when it is made.
    return _space(msgspec.json.encode(plain)) if kind is Space else _read_special(kind, plain)


@lru_cache(maxsize=256)
def _space(data: bytes) -> Space:
    return Space.from_json(msgspec.json.decode(data))


def _write_special(value: Any) -> Any:
    if isinstance(value, Space):
        return value.to_json()
    # Numbers of numpy and its kin, which metrics are full of, know their plain form; so do arrays of one element.
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 1) == 1:
        return item()
    raise TypeError(f"a value of type {type(value).__name__}")


def _read_special(kind: type[Any], plain: Any) -> Any:
    if kind is Space:
        return Space.from_json(plain)
    raise TypeError(f"no way to read a {kind.__name__}")


def _hide(plain: Any) -> Any:
    if type(plain) is float:
        if math.isfinite(plain):
            return plain
        return "$NaN" if math.isnan(plain) else "$Infinity" if plain > 0 else "$-Infinity"
    if type(plain) is str:
        return "$" + plain if plain[:1] == "$" and _ESCAPED.fullmatch(plain) else plain
    if type(plain) is dict:
        return {key: _hide(item) for key, item in plain.items()}
    if type(plain) in (list, tuple):
        return [_hide(item) for item in plain]
    return plain


def _lacking(value: Any) -> bool:
    """Whether a float that JSON lacks may stand anywhere in it. A look at bytes that have it is faster than one at each value."""
    try:
        return _NOT_FINITE.search(msgspec.msgpack.encode(value, enc_hook=_write_special)) is not None
    except OverflowError:
        # An integer of more than 64 bits, which JSON has.
        return True


def _unhide(plain: Any) -> Any:
    if type(plain) is str:
        if plain[:1] != "$" or not _ESCAPED.fullmatch(plain):
            return plain
        return _FLOATS.get(plain, plain[1:])
    if type(plain) is dict:
        return {key: _unhide(item) for key, item in plain.items()}
    if type(plain) is list:
        return [_unhide(item) for item in plain]
    return plain


def _invalid(error: msgspec.ValidationError) -> InvalidInput:
    message, _, path = str(error).partition(" - at `")
    return InvalidInput(message[:1].lower() + message[1:] + ".", where=path.rstrip("`") or "$")


@cache
def _fields(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _refuse_unknown(plain: Any, kind: Any, path: str) -> None:
    """The types of `plain` are checked elsewhere; this finds the field that a typing error made up."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        for member in get_args(kind):
            _refuse_unknown(plain, member, path)
    elif isinstance(plain, dict) and dataclasses.is_dataclass(kind) and isinstance(kind, type):
        fields = _fields(kind)
        for name, item in plain.items():
            if name not in fields:
                raise InvalidInput(f"there is no field {name!r}.", where=f"{path}.{name}", hint=did_you_mean(str(name), fields))
            _refuse_unknown(item, fields[name], f"{path}.{name}")
    elif isinstance(plain, list) and origin in (list, tuple):
        for i, item in enumerate(plain):
            _refuse_unknown(item, get_args(kind)[0], f"{path}[{i}]")
    elif isinstance(plain, dict) and origin is dict:
        for name, item in plain.items():
            _refuse_unknown(item, get_args(kind)[1], f"{path}.{name}")
