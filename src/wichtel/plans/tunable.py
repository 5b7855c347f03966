# ruff: noqa: A002, N802 - min, max and the capital letters are the words that users know
"""Values of a model that may be changed from outside: ``from wichtel import tunable``.

    width = tunable.Int("width", default=32, candidates=[16, 32, 64])

On its own this returns the default, so a plan can be annotated without changing it. When a plan is loaded for a trial, the same call
returns the trial's value. A name is unique within a plan; ``with tunable.scope("tower")`` makes it ``tower/width``. Declaring a name twice
returns the same value twice, and is refused unless both declarations agree. Code that a plan calls, libraries included, may declare
tunables too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from wichtel.domain import InvalidInput, PlanError, Tunable, check_name
from wichtel.domain.parameter import Value, same
from wichtel.plans.context import Session, current

__all__ = ["Bool", "Choice", "Float", "Int", "Set", "scope"]

T = TypeVar("T", int, float, bool, str, None)

_scopes: ContextVar[tuple[str, ...]] = ContextVar("wichtel_tunable_scopes", default=())
#: What `Set` said outside of a load: a merged recipe must keep its effect when the plan is run by hand.
_set_outside: dict[str, Value] = {}

_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,)}


def Int(
    name: str, default: int, *, candidates: Sequence[int] | None = None, min: int | None = None, max: int | None = None, log: bool = False
) -> int:
    """A whole number: one of `candidates`, or from `min` to `max`, both included.

    Raises:
        PlanError: a bad declaration, or a value that is not one of this tunable's.
    """
    return cast("int", _read("int", name, default, candidates, min, max, log))


def Float(
    name: str,
    default: float,
    *,
    candidates: Sequence[float] | None = None,
    min: float | None = None,
    max: float | None = None,
    log: bool = False,
) -> float:
    """A real number: one of `candidates`, or from `min` to `max`, searched on a log scale if `log`.

    Raises:
        PlanError: a bad declaration, or a value that is not one of this tunable's.
    """
    return float(cast("float", _read("float", name, default, candidates, min, max, log)))


def Bool(name: str, default: bool) -> bool:
    """Yes or no.

    Raises:
        PlanError: a bad declaration, or a value that is not a bool.
    """
    return cast("bool", _read("bool", name, default, None, None, None, False))


def Choice(name: str, default: T, *, candidates: Sequence[T]) -> T:
    """One of `candidates`, which are numbers, strings, bools or None, and have no order.

    Raises:
        PlanError: a bad declaration, or a value that is not one of this tunable's.
    """
    return cast("T", _read("choice", name, default, candidates, None, None, False))


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Put ``name/`` before the names of the tunables declared inside."""
    try:
        check_name(name, what="scope")
    except InvalidInput as error:
        raise PlanError(error.message, where=_place(), hint=error.hint) from None
    token = _scopes.set((*_scopes.get(), name))
    try:
        yield
    finally:
        _scopes.reset(token)


def Set(values: Mapping[str, Any]) -> None:
    """Give tunables new values, by full name, before they are read. Recipes put this at the top of ``plan.py``.

    Raises:
        PlanError: not a mapping from names, or a tunable that was read already.
    """
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise PlanError("tunable.Set takes a dict from names to values.", where=_place())
    session = current()
    if session is None:
        _set_outside.update(values)
        return
    for name, value in values.items():
        session.set(name, value)


def check_value(tunable: Tunable, value: object, *, where: str) -> None:
    """Refuse a value that `tunable` cannot take. A bool is no number; a whole number is a real one.

    Raises:
        PlanError: wrong type, not a candidate, or out of range.
    """
    types = _TYPES.get(tunable.kind)
    if types is not None and (not isinstance(value, types) or (tunable.kind != "bool" and isinstance(value, bool))):
        raise PlanError(f"{value!r} is not {'an' if tunable.kind == 'int' else 'a'} {tunable.kind}.", where=where)
    if types is None and not (value is None or isinstance(value, int | float | bool | str)):
        raise PlanError(f"{value!r} is not a number, a string, a bool or None.", where=where)
    if isinstance(value, float) and not math.isfinite(value):
        raise PlanError(f"{value!r} is not finite.", where=where)
    if tunable.candidates is not None:
        if not any(same(cast("Value", value), candidate) for candidate in tunable.candidates):
            raise PlanError(f"{value!r} is none of {list(tunable.candidates)}.", where=where)
    elif tunable.min is not None and tunable.max is not None and not tunable.min <= cast("float", value) <= tunable.max:
        raise PlanError(f"{value!r} is outside [{tunable.min}, {tunable.max}].", where=where)


def _place() -> str:
    return (current() or Session(root=Path.cwd())).place()


def _read(
    kind: str, name: str, default: Value, candidates: Sequence[Value] | None, low: float | None, high: float | None, log: bool
) -> Value:
    session = current()
    tunable = _declare(kind, name, default, candidates, low, high, log)
    if session is None:
        if tunable.name not in _set_outside:
            return default
        check_value(tunable, _set_outside[tunable.name], where=f"tunable.Set of {tunable.name!r}")
        return _set_outside[tunable.name]

    value, origin = default, ""
    if tunable.name in session.set_here:
        value, origin = session.set_here[tunable.name]
        check_value(tunable, value, where=f"{origin}: tunable.Set of {tunable.name!r}, which stands at {tunable.place}")
        tunable = replace(tunable, default=value)
    known = session.tunables.get(tunable.name)
    if known is not None and replace(known, place="") != replace(tunable, place=""):
        raise PlanError(
            f"the tunable {tunable.name!r} is declared differently at {known.place}.",
            where=tunable.place,
            hint="Give both the same default and candidates, or another name: with tunable.scope(...).",
        )
    if tunable.name in session.values:
        value = session.values[tunable.name]
        check_value(tunable, value, where=f"tunable {tunable.name!r} at {tunable.place}")
    session.tunables.setdefault(tunable.name, tunable)
    session.read[tunable.name] = value
    return value


def _declare(
    kind: str, name: str, default: Value, candidates: Sequence[Value] | None, low: float | None, high: float | None, log: bool
) -> Tunable:
    place = _place()
    try:
        check_name(name, what="tunable")
    except InvalidInput as error:
        raise PlanError(error.message, where=place, hint=error.hint) from None
    full = "/".join((*_scopes.get(), name))
    where = f"{place}: tunable {full!r}"
    if isinstance(candidates, str) or (candidates is not None and not isinstance(candidates, Sequence)):
        raise PlanError("candidates must be a list.", where=where)
    bounded = low is not None and high is not None
    if kind != "bool" and (candidates is not None) == bounded:
        raise PlanError("it needs either candidates, or min and max.", where=where)
    if (low is None) != (high is None):
        raise PlanError("min and max go together.", where=where)
    tunable = Tunable(name=full, kind=kind, default=default, min=low, max=high, log=log, place=place)
    if bounded:
        assert low is not None
        assert high is not None
        for bound in (low, high):
            check_value(replace(tunable, min=None, max=None), bound, where=where)
        if low >= high:
            raise PlanError(f"min {low} is not below max {high}.", where=where)
    if log and (low is None or low <= 0):
        raise PlanError("log needs a positive min, and a max.", where=where)
    if candidates is not None:
        for i, candidate in enumerate(candidates):
            check_value(tunable, candidate, where=where)
            if any(same(candidate, other) for other in candidates[:i]):
                raise PlanError(f"the candidate {candidate!r} stands there twice.", where=where)
        tunable = replace(tunable, candidates=tuple(candidates))
    try:
        check_value(tunable, default, where=where)
    except PlanError as error:
        raise PlanError(f"its default is wrong: {error.message}", where=where) from None
    return tunable
