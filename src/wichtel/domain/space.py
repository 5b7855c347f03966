"""Search spaces: named parameters, some of which exist only when another has a certain value.

A configuration is a plain ``dict[str, int | float | bool | str | None]`` that holds a value for each *active*
parameter and for no other. Spaces may be written nested; inside, and in configurations, they are flat: see `wichtel.domain.nesting`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from wichtel.domain.errors import InvalidInput, did_you_mean
from wichtel.domain.nesting import flatten, nest, spread
from wichtel.domain.parameter import Bool, Choice, Fixed, Float, Int, Parameter, Value, same

if TYPE_CHECKING:
    from random import Random

Config = dict[str, Value]


class Space(Mapping[str, Parameter]):
    """Named parameters, in an order in which each stands after those it depends on.

    Not a dataclass, so that the codec of the store writes it in its own form, `to_json`.

    Args:
        parameters: Name → parameter; or a plain value, which is fixed; or a dict of such, whose names are dotted: ``group.name``.

    Raises:
        InvalidInput: no parameter, a bad name, a condition on an unknown parameter, on a value that it never takes, or in a circle.

    >>> list(Space({"optimizer": {"kind": Choice({"sgd": {"momentum": Float(0, 1)}, "adam": {}})}, "epochs": 10}))
    ['optimizer.kind', 'optimizer.momentum', 'epochs']
    """

    __slots__ = ("_parameters",)

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters: dict[str, Parameter] = _in_order(spread(parameters))

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
        when = self._parameters[name].when
        return not when or all(parent in config and any(same(config[parent], v) for v in allowed) for parent, allowed in when.items())

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

    def nest(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """`config` as functions are given it: dotted names as dicts within dicts.

        Raises:
            InvalidInput: a name is both a parameter and a group.
        """
        return nest(config)

    def flatten(self, config: Mapping[str, Any]) -> Config:
        """The way back; a configuration that is flat stays as it is."""
        return flatten(config)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, flat; `from_json` is the way back."""
        return {name: _parameter_to_json(p) for name, p in self.parameters.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, or what a user typed: a table without a ``kind`` is a group, a plain value is fixed.

        Raises:
            InvalidInput: an unknown kind or field, or a value that does not fit.
        """
        if not isinstance(data, Mapping):
            raise InvalidInput(f"a search space is a table of parameters, not {data!r}.")
        return cls({name: _from_json(name, spec) for name, spec in data.items()})


def _canonical(value: Any) -> Value:
    # Whole numbers as such: exact beyond 2**53, and without a negative zero.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _in_order(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    if not parameters:
        raise InvalidInput("a search space needs at least one parameter.")
    for name, parameter in parameters.items():
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


_ANY_FIELD = {field for _, fields in _FIELDS.values() for field in fields} | {"when"}


def _parameter_to_json(parameter: Parameter) -> dict[str, Any]:
    _, fields = _FIELDS[parameter.kind]
    data: dict[str, Any] = {"kind": parameter.kind}
    for name in fields:
        value = getattr(parameter, name)
        data[name] = list(value) if isinstance(value, tuple) else value
    if parameter.when:
        data["when"] = {parent: list(allowed) for parent, allowed in parameter.when.items()}
    return data


def _from_json(path: str, spec: object) -> Any:
    """A parameter, a group of them, or a plain value."""
    where = f"parameter {path!r}"
    if not isinstance(spec, Mapping):
        if spec is None or isinstance(spec, bool | int | float | str):
            return spec
        raise InvalidInput("it needs a table with a 'kind'.", where=where, hint="Kinds: " + ", ".join(_FIELDS))
    kind = spec.get("kind", spec)
    if isinstance(kind, Mapping):
        # Fields and nothing else: not a group, but a parameter whose kind was forgotten.
        if all(key in _ANY_FIELD and not isinstance(value, Mapping) for key, value in spec.items()):
            raise InvalidInput("it needs a table with a 'kind'.", where=where, hint="Kinds: " + ", ".join(_FIELDS))
        return {name: _from_json(f"{path}.{name}", inner) for name, inner in spec.items()}
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise InvalidInput(f"unknown kind {kind!r}.", where=where, hint=did_you_mean(str(kind), _FIELDS))
    make, fields = _FIELDS[kind]
    given = {k: v for k, v in spec.items() if k != "kind" and not (k == "step" and v is None)}
    for key in given:
        if key not in (*fields, "when"):
            raise InvalidInput(f"unknown field {key!r}.", where=where, hint=did_you_mean(key, (*fields, "when")))
    options = given.get("options")
    if isinstance(options, Mapping):
        beside = path.rpartition(".")[0]
        given["options"] = {option: _opened(beside, inner, where) for option, inner in options.items()}
    try:
        parameter: Parameter = make(**given)
    except TypeError as error:
        raise InvalidInput(f"{kind} needs {', '.join(fields)}: {error}.", where=where) from error
    except InvalidInput as error:
        raise InvalidInput(error.message, where=where, hint=error.hint) from error
    return parameter


def _opened(beside: str, inner: object, where: str) -> dict[str, Any]:
    if not isinstance(inner, Mapping):
        raise InvalidInput(f"an option opens a table of parameters, not {inner!r}.", where=where)
    return {name: _from_json(f"{beside}.{name}" if beside else name, spec) for name, spec in inner.items()}
