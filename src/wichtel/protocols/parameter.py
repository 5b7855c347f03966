"""The parameters that a protocol declares: typed, with defaults and help."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wichtel.domain import InvalidInput, did_you_mean

#: What a parameter may be: name in the declaration → how a user would say it.
KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a string",
    "table": "a table (JSON object)",
    "list": "a list",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSpec:
    """One parameter of a protocol. Without a default (`required`) the user must give it."""

    name: str
    #: One of `KINDS`.
    type: str
    help: str
    default: Any = None
    required: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    #: Of a table or list, what it says of the plan's tunables, so that a form can offer them: ``values`` (tunable → value), ``space``
    #: (tunable → parameter of a search space) or ``tunables`` (their names). Empty if it is about something else.
    holds: str = ""

    def check(self, value: Any) -> Any:
        """Return `value` as the protocol will see it; the default for None (JSON's null).

        Raises:
            InvalidInput: it is of the wrong type or out of range.
        """
        where = f"parameter {self.name!r}"
        if value is None and not self.required:
            return self.default
        if self.type == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        fits = {
            "int": isinstance(value, int) and not isinstance(value, bool),
            "float": isinstance(value, float) and math.isfinite(value),
            "bool": isinstance(value, bool),
            "str": isinstance(value, str),
            "table": isinstance(value, Mapping),
            "list": isinstance(value, list | tuple),
        }[self.type]
        if not fits:
            raise InvalidInput(f"{value!r} is not {KINDS[self.type]}.", where=where, hint=self.help)
        if self.low is not None and value < self.low:
            raise InvalidInput(f"{value} is below {self.low:g}.", where=where, hint=self.help)
        if self.high is not None and value > self.high:
            raise InvalidInput(f"{value} is above {self.high:g}.", where=where, hint=self.help)
        if self.choices and value not in self.choices:
            raise InvalidInput(f"{value!r} is not one of them.", where=where, hint=did_you_mean(value, self.choices))
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """What `check` takes, as JSON Schema."""
        kind = {"int": "integer", "float": "number", "bool": "boolean", "str": "string", "table": "object", "list": "array"}[self.type]
        found: dict[str, Any] = {"description": self.help, "type": kind if self.required else [kind, "null"]}
        if self.low is not None:
            found["minimum"] = self.low
        if self.high is not None:
            found["maximum"] = self.high
        if self.choices:
            found["enum"] = [*self.choices] if self.required else [*self.choices, None]
        if not self.required:
            found["default"] = self.default
        return found


def schema_of(specs: Sequence[ParameterSpec]) -> dict[str, Any]:
    """What `complete` takes, as JSON Schema; what depends on a model, such as the names of its tunables, is not in it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {spec.name: spec.schema for spec in specs},
        "required": [spec.name for spec in specs if spec.required],
        "additionalProperties": False,
    }


def complete(specs: Sequence[ParameterSpec], given: Mapping[str, Any], *, protocol: str) -> dict[str, Any]:
    """Check what was `given` and fill in the defaults.

    Raises:
        InvalidInput: an unknown parameter, a missing one, or a value that does not fit.
    """
    known = {spec.name: spec for spec in specs}
    for name in given:
        if name not in known:
            raise InvalidInput(f"{protocol} has no parameter {name!r}.", hint=did_you_mean(name, known))
    values: dict[str, Any] = {}
    for spec in specs:
        if spec.name in given:
            values[spec.name] = spec.check(given[spec.name])
        elif spec.required:
            raise InvalidInput(f"{protocol} needs a value for {spec.name!r}.", where=f"parameter {spec.name!r}", hint=spec.help)
        else:
            values[spec.name] = spec.default
    return values
