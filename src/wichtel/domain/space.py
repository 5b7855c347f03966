"""Search spaces: named parameters, some of which exist only when another has a certain value.

A configuration is a plain ``dict[str, int | float | bool | str | None]`` that holds a value for each *active*
parameter and for no other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from wichtel.domain.errors import InvalidInput, did_you_mean

if TYPE_CHECKING:
    from random import Random


Value = int | float | bool | str | None
Config = dict[str, Value]
#: Parent name → the values of it under which the child is active. All entries must hold.
When = Mapping[str, Sequence[Value]]


def same(a: Value, b: Value) -> bool:
    """Equality that keeps ``True`` and ``1`` apart, and ``1`` and ``1.0`` together.

    >>> same(True, 1), same(1, 1.0)
    (False, True)
    """
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    if not _is_number(value):
        return False
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:
        # A whole number beyond every float.
        return False


def _check_scalar(value: object, *, where: str) -> None:
    if not (value is None or isinstance(value, bool | str) or _is_finite(value)):
        raise InvalidInput(
            f"{value!r} is not a finite number, a string, a bool or None.",
            where=where,
            hint="Choose a name and look the object up in your function.",
        )


def _keep_when(parameter: Float | Int | Choice | Bool | Fixed, when: object) -> None:
    """Check and keep the conditions as plain tuples, so that equal ones are equal however they were written."""
    where = type(parameter).__name__
    if not isinstance(when, Mapping):
        raise InvalidInput(f"when: {when!r} is not a table of parents and their values.", where=where)
    for parent, allowed in when.items():
        if isinstance(allowed, str) or not isinstance(allowed, Sequence) or not allowed:
            raise InvalidInput(f"when: {parent!r} needs a list of values.", where=where)
    object.__setattr__(parameter, "when", {parent: tuple(allowed) for parent, allowed in when.items()})


@dataclass(frozen=True, slots=True)
class Float:
    """A real number in ``[low, high]``; with `step`, only ``low + k·step``; with `log`, searched on a log scale.

    Raises:
        InvalidInput: bounds that are not finite, are reversed, or do not go with `log` or `step`.
    """

    low: float
    high: float
    log: bool = field(default=False, kw_only=True)
    step: float | None = field(default=None, kw_only=True)
    when: When = field(default_factory=dict, kw_only=True)
    kind: ClassVar[str] = "float"

    def __post_init__(self) -> None:
        _check_bounds(self, self.low, self.high, self.log)
        if self.step is not None and (self.log or not _is_finite(self.step) or self.step <= 0):
            raise InvalidInput("step must be positive and does not go with log.", where=repr(self))
        _keep_when(self, self.when)

    def check(self, value: object, where: str) -> None:
        """Raise `InvalidInput` unless `value` is one of this parameter's."""
        if not _is_finite(value):
            raise InvalidInput(f"{value!r} is not a finite number.", where=where)
        # Room for rounding only, on the parameter's own scale: on a log scale nothing near 0 may slip through.
        below, above = (1e-9 * self.low, 1e-9 * self.high) if self.log else (1e-9 * (self.high - self.low),) * 2
        if not self.low - below <= value <= self.high + above:  # type: ignore[operator]
            raise InvalidInput(f"{value!r} is outside [{self.low}, {self.high}].", where=where)
        if self.step is not None:
            k = (value - self.low) / self.step  # type: ignore[operator]
            if abs(k - round(k)) > 1e-6:
                raise InvalidInput(f"{value!r} is not {self.low} plus a multiple of {self.step}.", where=where)

    def sample(self, random: Random) -> float:
        """Draw uniformly (on the log scale if `log`)."""
        if self.log:
            drawn = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
            return min(max(drawn, self.low), self.high)
        if self.step is not None:
            return min(self.low + random.randrange(self._steps() + 1) * self.step, self.high)
        return min(max(random.uniform(self.low, self.high), self.low), self.high)

    def values(self, resolution: int) -> list[Value]:
        """The grid: all steps, or `resolution` points from `low` to `high`, evenly on its scale."""
        if self.step is not None:
            return [min(self.low + k * self.step, self.high) for k in range(self._steps() + 1)]
        if self.low == self.high or resolution == 1:
            return [self.low]
        parts = [k / (resolution - 1) for k in range(resolution)]
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            points = [math.exp(low + p * (high - low)) for p in parts]
        else:
            points = [self.low + p * (self.high - self.low) for p in parts]
        return [self.low, *(min(max(point, self.low), self.high) for point in points[1:-1]), self.high]

    def _steps(self) -> int:
        assert self.step is not None
        return math.floor((self.high - self.low) / self.step + 1e-9)


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number in ``[low, high]``, both included; with `step`, only ``low + k·step``.

    Raises:
        InvalidInput: bounds that are not whole numbers, are reversed, or do not go with `log` or `step`.
    """

    low: int
    high: int
    log: bool = field(default=False, kw_only=True)
    step: int = field(default=1, kw_only=True)
    when: When = field(default_factory=dict, kw_only=True)
    kind: ClassVar[str] = "int"

    def __post_init__(self) -> None:
        for bound in (self.low, self.high, self.step):
            if not isinstance(bound, int) or isinstance(bound, bool):
                raise InvalidInput(f"{bound!r} is not a whole number.", where=repr(self), hint="Use Float.")
        _check_bounds(self, self.low, self.high, self.log)
        if self.step < 1 or (self.log and self.step != 1):
            raise InvalidInput("step must be at least 1 and does not go with log.", where=repr(self))
        _keep_when(self, self.when)

    def check(self, value: object, where: str) -> None:
        """Raise `InvalidInput` unless `value` is one of this parameter's."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidInput(f"{value!r} is not a whole number.", where=where)
        if not self.low <= value <= self.high:
            raise InvalidInput(f"{value!r} is outside [{self.low}, {self.high}].", where=where)
        if (value - self.low) % self.step:
            raise InvalidInput(f"{value!r} is not {self.low} plus a multiple of {self.step}.", where=where)

    def sample(self, random: Random) -> int:
        """Draw uniformly (on the log scale if `log`)."""
        if self.log:
            drawn = math.exp(random.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            return min(max(round(drawn), self.low), self.high)
        return random.randrange(self.low, self.high + 1, self.step)

    def values(self, resolution: int) -> list[Value]:
        """The grid: every value, or about `resolution` of them when there are more."""
        every = range(self.low, self.high + 1, self.step)
        if len(every) <= resolution:
            return [*every]
        points = Float(self.low, self.high, log=self.log).values(resolution)
        near = (self.low + round((float(p) - self.low) / self.step) * self.step for p in points)  # type: ignore[arg-type]
        return [*sorted({min(v, every[-1]) for v in near})]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `options`, which have no order.

    Raises:
        InvalidInput: no option, an option twice, or one that is not a plain JSON scalar.
    """

    options: tuple[Value, ...]
    when: When = field(default_factory=dict, kw_only=True)
    kind: ClassVar[str] = "choice"

    def __init__(self, options: Sequence[Value], *, when: When | None = None) -> None:
        if isinstance(options, str):
            raise InvalidInput("the options must be a list.", where=f"Choice({options!r})")
        object.__setattr__(self, "options", tuple(options))
        _keep_when(self, when if when is not None else {})
        if not self.options:
            raise InvalidInput("a choice needs at least one option.", where="Choice")
        for i, option in enumerate(self.options):
            _check_scalar(option, where="Choice")
            if any(same(option, other) for other in self.options[:i]):
                raise InvalidInput(f"option {option!r} stands there twice.", where="Choice")

    def check(self, value: object, where: str) -> None:
        """Raise `InvalidInput` unless `value` is one of this parameter's."""
        if not any(same(value, option) for option in self.options):  # type: ignore[arg-type]
            raise InvalidInput(f"{value!r} is none of {list(self.options)}.", where=where)

    def sample(self, random: Random) -> Value:
        """Draw uniformly."""
        return random.choice(self.options)

    def values(self, resolution: int) -> list[Value]:
        """Every option."""
        return list(self.options)


@dataclass(frozen=True, slots=True)
class Bool:
    """``False`` or ``True``."""

    when: When = field(default_factory=dict, kw_only=True)
    kind: ClassVar[str] = "bool"

    def __post_init__(self) -> None:
        _keep_when(self, self.when)

    def check(self, value: object, where: str) -> None:
        """Raise `InvalidInput` unless `value` is one of this parameter's."""
        if not isinstance(value, bool):
            raise InvalidInput(f"{value!r} is not a bool.", where=where)

    def sample(self, random: Random) -> bool:
        """Draw uniformly."""
        return random.random() < 0.5

    def values(self, resolution: int) -> list[Value]:
        """Both."""
        return [False, True]


@dataclass(frozen=True, slots=True)
class Fixed:
    """Not searched: always `value`."""

    value: Value
    when: When = field(default_factory=dict, kw_only=True)
    kind: ClassVar[str] = "fixed"

    def __post_init__(self) -> None:
        _check_scalar(self.value, where="Fixed")
        _keep_when(self, self.when)

    def check(self, value: object, where: str) -> None:
        """Raise `InvalidInput` unless `value` is one of this parameter's."""
        if not same(value, self.value):  # type: ignore[arg-type]
            raise InvalidInput(f"{value!r} is not the fixed {self.value!r}.", where=where)

    def sample(self, random: Random) -> Value:
        """The value."""
        return self.value

    def values(self, resolution: int) -> list[Value]:
        """The value."""
        return [self.value]


Parameter = Float | Int | Choice | Bool | Fixed


def _check_bounds(parameter: object, low: float, high: float, log: bool) -> None:
    where = repr(parameter)
    for bound in (low, high):
        if not _is_finite(bound):
            raise InvalidInput(f"bound {bound!r} is not a finite number.", where=where)
    if low > high:
        raise InvalidInput(f"low {low} is above high {high}.", where=where)
    if not _is_finite(high - low):
        raise InvalidInput(f"the range from {low} to {high} is too wide to draw from.", where=where)
    if not isinstance(log, bool):
        raise InvalidInput(f"log is true or false, not {log!r}.", where=where)
    if log and low <= 0:
        raise InvalidInput("a log scale needs a positive low.", where=where)


class Space(Mapping[str, Parameter]):
    """Named parameters, in an order in which each stands after those it depends on.

    Not a dataclass, so that the codec of the store writes it in its own form, `to_json`.

    Raises:
        InvalidInput: no parameter, a bad name, a condition on an unknown parameter, on a value that it never takes, or in a circle.
    """

    __slots__ = ("_parameters",)

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        if isinstance(parameters, Space):
            parameters = parameters.parameters
        self._parameters = _in_order(parameters)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """By name."""
        return self._parameters

    def __repr__(self) -> str:
        return f"Space({self._parameters!r})"

    def __getitem__(self, name: str) -> Parameter:
        return self.parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def is_active(self, name: str, config: Mapping[str, Any]) -> bool:
        """Whether parameter `name` exists, given the values of its parents in `config`."""
        return all(
            parent in config and any(same(config[parent], v) for v in allowed) for parent, allowed in self.parameters[name].when.items()
        )

    @property
    def conditional(self) -> bool:
        """Whether any parameter depends on another."""
        return any(p.when for p in self.parameters.values())

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise `InvalidInput` unless `config` has a legal value for each active parameter and nothing else."""
        for name in config:
            if name not in self.parameters:
                raise InvalidInput(f"there is no parameter {name!r}.", hint=did_you_mean(name, self.parameters))
        for name, parameter in self.parameters.items():
            active = self.is_active(name, config)
            if active and name not in config:
                raise InvalidInput(f"parameter {name!r} has no value.")
            if not active and name in config:
                raise InvalidInput(f"parameter {name!r} has a value, but {dict(parameter.when)} does not hold.")
            if active:
                parameter.check(config[name], where=f"parameter {name!r}")

    def sample(self, random: Random) -> Config:
        """Draw each active parameter independently."""
        config: Config = {}
        for name, parameter in self.parameters.items():
            if self.is_active(name, config):
                config[name] = parameter.sample(random)
        return config

    def grid(self, resolution: int = 5) -> Iterator[Config]:
        """Every combination, with at most `resolution` points for each numeric parameter without steps; last parameter fastest.

        Raises:
            InvalidInput: `resolution` is below 1.
        """
        if resolution < 1:
            raise InvalidInput(f"a grid needs at least one point per parameter, not {resolution}.", where="resolution")
        names = list(self.parameters)

        def extend(config: Config, depth: int) -> Iterator[Config]:
            if depth == len(names):
                yield dict(config)
                return
            name = names[depth]
            if not self.is_active(name, config):
                yield from extend(config, depth + 1)
                return
            for value in self.parameters[name].values(resolution):
                yield from extend({**config, name: value}, depth + 1)

        return extend({}, 0)

    def key(self, config: Mapping[str, Any]) -> str:
        """A string that two configurations share if and only if they are the same one.

        >>> Space({"x": Float(0, 2)}).key({"x": 1}) == Space({"x": Float(0, 2)}).key({"x": 1.0})
        True
        """
        return repr([(name, _canonical(config[name])) for name in self.parameters if name in config])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `from_json` is the way back."""
        return {name: _parameter_to_json(p) for name, p in self.parameters.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, or what a user typed.

        Raises:
            InvalidInput: an unknown kind or field, or a value that does not fit.
        """
        if not isinstance(data, Mapping):
            raise InvalidInput(f"a search space is a table of parameters, not {data!r}.")
        return cls({name: _parameter_from_json(name, spec) for name, spec in data.items()})


def _canonical(value: Any) -> Value:
    # Whole numbers as such: exact beyond 2**53, and without a negative zero.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _in_order(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    if not parameters:
        raise InvalidInput("a search space needs at least one parameter.")
    for name, parameter in parameters.items():
        if not isinstance(name, str) or not name:
            raise InvalidInput(f"{name!r} is not a parameter name.")
        if not isinstance(parameter, Parameter):
            raise InvalidInput(
                f"{parameter!r} is not a parameter.",
                where=f"parameter {name!r}",
                hint="Use Float, Int, Choice, Bool or Fixed.",
            )
        for parent, allowed in parameter.when.items():
            if parent not in parameters:
                raise InvalidInput(
                    f"it depends on {parent!r}, which does not exist.",
                    where=f"parameter {name!r}",
                    hint=did_you_mean(parent, parameters),
                )
            for value in allowed:
                parameters[parent].check(value, where=f"parameter {name!r}, when {parent!r}")
    ordered: dict[str, Parameter] = {}
    waiting = dict(parameters)
    while waiting:
        ready = [n for n, p in waiting.items() if all(parent in ordered for parent in p.when)]
        if not ready:
            raise InvalidInput(f"the conditions of {', '.join(sorted(waiting))} go in a circle.")
        # One at a time keeps the order in which the user wrote independent parameters.
        ordered[ready[0]] = waiting.pop(ready[0])
    return ordered


_FIELDS: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "float": (Float, ("low", "high", "log", "step")),
    "int": (Int, ("low", "high", "log", "step")),
    "choice": (Choice, ("options",)),
    "bool": (Bool, ()),
    "fixed": (Fixed, ("value",)),
}


def _parameter_to_json(parameter: Parameter) -> dict[str, Any]:
    _, fields = _FIELDS[parameter.kind]
    data: dict[str, Any] = {"kind": parameter.kind}
    for name in fields:
        value = getattr(parameter, name)
        data[name] = list(value) if isinstance(value, tuple) else value
    if parameter.when:
        data["when"] = {parent: list(allowed) for parent, allowed in parameter.when.items()}
    return data


def _parameter_from_json(name: str, spec: object) -> Parameter:
    where = f"parameter {name!r}"
    if not isinstance(spec, Mapping) or "kind" not in spec:
        raise InvalidInput("it needs a table with a 'kind'.", where=where, hint="Kinds: " + ", ".join(_FIELDS))
    kind = spec["kind"]
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise InvalidInput(f"unknown kind {kind!r}.", where=where, hint=did_you_mean(str(kind), _FIELDS))
    make, fields = _FIELDS[kind]
    given = {k: v for k, v in spec.items() if k != "kind" and not (k == "step" and v is None)}
    for key in given:
        if key not in (*fields, "when"):
            raise InvalidInput(f"unknown field {key!r}.", where=where, hint=did_you_mean(key, (*fields, "when")))
    try:
        parameter: Parameter = make(**given)
    except TypeError as error:
        raise InvalidInput(f"{kind} needs {', '.join(fields)}: {error}.", where=where) from error
    except InvalidInput as error:
        raise InvalidInput(error.message, where=where, hint=error.hint) from error
    return parameter
