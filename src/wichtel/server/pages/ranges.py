"""Tunables in a form: each has a value, or is searched over what the plan says, over a range, or over some values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wichtel.domain import InvalidInput, ModelVersion, PlanError, Space, Tunable, WichtelError
from wichtel.domain.parameter import same
from wichtel.plans.tunable import check_value
from wichtel.server.pages.entries import Entry, read_value, told, written
from wichtel.server.pages.reader import Form

_NUMERIC = ("int", "float")
_LABELS = {"plan": "as the plan says", "range": "over a range", "choice": "over some values", "fixed": "fixed", "keep": "left as it is"}


@dataclass(slots=True, kw_only=True)
class Range:
    """One tunable of a search."""

    #: The name of its field with the mode; those of the others begin with it.
    field: str
    tunable: Tunable
    mode: str
    #: What is typed, by the last part of its field's name: ``low``, ``high``, ``log``, ``options``, ``value``.
    typed: dict[str, str]
    problem: str = ""
    #: Its part of the space, if it is not the plan's.
    parameter: dict[str, Any] | None = None

    @property
    def modes(self) -> list[tuple[str, str]]:
        """How it may be searched."""
        free = self.tunable.kind in _NUMERIC and self.tunable.candidates is None
        left_out = {"bool": ("range", "choice")}.get(self.tunable.kind, () if free else ("range",))
        return [(mode, label) for mode, label in _LABELS.items() if mode not in left_out]

    @property
    def plan(self) -> str:
        """What the plan says it may be."""
        return allowed(self.tunable)

    @property
    def present(self) -> str:
        """Its value as it is now."""
        return shown(self.tunable.default)


def shown(value: Any) -> str:
    """A value of a tunable as people read it."""
    return "none" if value is None else written(value)


def allowed(tunable: Tunable) -> str:
    """What a tunable may be, in words."""
    if tunable.candidates is not None:
        return "one of " + ", ".join(map(shown, tunable.candidates))
    if tunable.kind == "bool":
        return "true or false"
    whole = "whole numbers " if tunable.kind == "int" else ""
    return f"{whole}{written(tunable.min)} to {written(tunable.max)}{', on a log scale' if tunable.log else ''}"


def common_tunables(versions: Iterable[ModelVersion]) -> tuple[Tunable, ...]:
    """Those that all versions have, as the first declares them."""
    found = list(versions)
    if not found:
        return ()
    others = [{(t.name, t.kind) for t in version.analysis.tunables} for version in found[1:]]
    return tuple(t for t in found[0].analysis.tunables if all((t.name, t.kind) in names for names in others))


def read_values(given: Form, prefix: str, tunables: Iterable[Tunable]) -> tuple[list[Entry], dict[str, Any]]:
    """The fields of values for `tunables`, and those values that somebody changed and that fit."""
    entries: list[Entry] = []
    values: dict[str, Any] = {}
    for tunable in tunables:
        default = _coded(tunable, tunable.default)
        text = given.one(f"{prefix}.{tunable.name}") or default
        entry = Entry(
            field=f"{prefix}.{tunable.name}",
            label=tunable.name,
            text=text,
            default=default,
            origin=tunable.place,
            help=f"Takes {allowed(tunable)}.",
        )
        if _is_listed(tunable):
            listed = (False, True) if tunable.candidates is None else tunable.candidates
            entry.options = tuple((json.dumps(value), shown(value)) for value in listed)
        if entry.changed:
            try:
                values[tunable.name] = _value(tunable, text)
            except WichtelError as error:
                entry.problem = told(error)
        entries.append(entry)
    return entries, values


def read_ranges(given: Form, prefix: str, tunables: Iterable[Tunable]) -> tuple[list[Range], dict[str, Any], list[str] | None]:
    """The fields of a search, the space of those that are not searched as the plan says, and the names if some are left out."""
    ranges = [_read_range(given, f"{prefix}.{tunable.name}", tunable) for tunable in tunables]
    space = {r.tunable.name: r.parameter for r in ranges if r.parameter is not None}
    searched = [r.tunable.name for r in ranges if r.mode != "keep"]
    if ranges and not searched:
        ranges[0].problem = "Nothing would be searched. Let at least one be."
    # A space alone would narrow the search to what it names.
    narrowed = bool(space) or len(searched) < len(ranges)
    return ranges, space, searched if narrowed and searched else None


def range_fields(prefix: str, parameters: Mapping[str, Any], space: str, names: str, tunables: Iterable[Tunable]) -> list[tuple[str, str]]:
    """The fields that say what `parameters` of a search do; the way back from `read_ranges`."""
    given = dict(parameters.get(space) or {})
    chosen = list(parameters.get(names) or given)
    fields: list[tuple[str, str]] = []
    for tunable in tunables:
        at = f"{prefix}.{tunable.name}"
        parameter = given.get(tunable.name)
        if chosen and tunable.name not in chosen:
            fields.append((at, "keep"))
        elif isinstance(parameter, Mapping):
            kind = parameter.get("kind")
            fields.append((at, "range" if kind in _NUMERIC else "fixed" if kind == "fixed" else "choice"))
            if kind in _NUMERIC:
                fields += [(f"{at}.low", written(parameter.get("low"))), (f"{at}.high", written(parameter.get("high")))]
                fields += [(f"{at}.log", "on")] if parameter.get("log") else []
            elif kind == "fixed":
                fields.append((f"{at}.value", _coded(tunable, parameter.get("value"))))
            else:
                fields.append((f"{at}.options", ", ".join(map(shown, parameter.get("options", (False, True))))))
    return fields


def _read_range(given: Form, field: str, tunable: Tunable) -> Range:
    parts = ("low", "high", "log", "options", "value")
    found = Range(field=field, tunable=tunable, mode=given.one(field), typed={part: given.one(f"{field}.{part}") for part in parts})
    if found.mode not in dict(found.modes):
        found.mode = "plan"
    typed = found.typed
    if found.mode == "range" and not (typed["low"] or typed["high"]):
        # What to begin with.
        typed |= {"low": written(tunable.min), "high": written(tunable.max), "log": "on" if tunable.log else ""}
    if found.mode == "choice" and not typed["options"]:
        typed["options"] = ", ".join(map(shown, tunable.candidates or (tunable.default,)))
    if found.mode == "fixed" and not typed["value"]:
        typed["value"] = _coded(tunable, tunable.default)
    try:
        parameter = _parameter(found)
        if parameter is not None:
            for value in Space.from_json({"x": parameter})["x"].values(resolution=16):
                _check(tunable, value)
            found.parameter = parameter | ({"when": tunable.when} if tunable.when else {})
    except WichtelError as error:
        found.problem = told(error)
    return found


def _parameter(found: Range) -> dict[str, Any] | None:
    tunable, typed = found.tunable, found.typed
    if found.mode == "range":
        low, high = (read_value(typed[end], tunable.kind) for end in ("low", "high"))
        return {"kind": tunable.kind, "low": low, "high": high, "log": bool(typed["log"])}
    if found.mode == "choice":
        return {"kind": "choice", "options": [_listed(tunable, part.strip()) for part in typed["options"].split(",") if part.strip()]}
    if found.mode == "fixed":
        return {"kind": "fixed", "value": _value(tunable, typed["value"])}
    return None


def _is_listed(tunable: Tunable) -> bool:
    return tunable.candidates is not None or tunable.kind == "bool"


def _coded(tunable: Tunable, value: Any) -> str:
    """A value of `tunable` as a form carries it: one of a list so that no two are written alike."""
    return json.dumps(value) if _is_listed(tunable) else written(value)


def _value(tunable: Tunable, text: str) -> Any:
    if _is_listed(tunable):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return _listed(tunable, text)
    else:
        value = read_value(text, tunable.kind)
    _check(tunable, value)
    return value


def _check(tunable: Tunable, value: Any) -> None:
    try:
        check_value(tunable, value, where=tunable.name)
    except PlanError:
        raise InvalidInput(f"{shown(value)} does not fit.", hint=f"The plan takes {allowed(tunable)}.") from None


def _listed(tunable: Tunable, text: str) -> Any:
    """The candidate that is read as `text`; of a tunable without candidates, the number."""
    if tunable.candidates is None:
        return read_value(text, tunable.kind)
    for candidate in tunable.candidates:
        if text in (shown(candidate), json.dumps(candidate)) or (_is_number(candidate) and same(_as_number(text), candidate)):
            return candidate
    raise InvalidInput(f"{text!r} is none of {', '.join(map(shown, tunable.candidates))}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
