"""Nested spaces and configurations: dicts within dicts for whoever writes and reads them, one flat table with dotted names inside.

``{"optimizer": {"lr": Float(1e-5, 1, log=True)}}`` is the parameter ``optimizer.lr``; a function that takes it is called with
``optimizer={"lr": …}``. A choice may open parameters: they stand beside it, under the condition that it takes the option.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wichtel.domain.errors import InvalidInput
from wichtel.domain.parameter import Choice, Fixed, Parameter, same


def path_of(name: str) -> tuple[str, ...]:
    """The keys under which a parameter stands in a nested configuration.

    >>> path_of("optimizer.lr"), path_of("lr"), path_of("lr.")
    (('optimizer', 'lr'), ('lr',), ('lr.',))
    """
    parts = tuple(name.split("."))
    return parts if all(parts) else (name,)


def nest(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as dicts within dicts; `flatten` is the way back.

    Raises:
        InvalidInput: a name is both a value and a group.

    >>> nest({"optimizer.lr": 0.1, "epochs": 3})
    {'optimizer': {'lr': 0.1}, 'epochs': 3}
    """
    nested: dict[str, Any] = {}
    for name, value in config.items():
        *groups, last = path_of(name) if "." in name else (name,)
        table = nested
        for group in groups:
            inner = table.setdefault(group, {})
            if not isinstance(inner, dict):
                raise _clash(name)
            table = inner
        if last in table:
            raise _clash(name)
        table[last] = value
    return nested


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dicts within dicts as dotted names; what is flat stays as it is.

    >>> flatten({"optimizer": {"lr": 0.1}, "epochs": 3})
    {'optimizer.lr': 0.1, 'epochs': 3}
    """
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def spread(written: Mapping[str, Any]) -> dict[str, Parameter]:
    """The parameters of a nested space, by their dotted names; a plain value is a `Fixed` one.

    A condition in a group means the nearest parameter of that name: beside it, else in the group around, and so on.

    Raises:
        InvalidInput: something that is no parameter, an empty group, or a name that means two things.
    """
    if all(isinstance(p, Parameter) and not (isinstance(p, Choice) and p.opens) for p in written.values()):
        return {_checked(name): p for name, p in written.items()}
    found: dict[str, tuple[str, Parameter]] = {}
    _gather(written, "", None, found)
    return {name: replace(p, when=_resolved(p, prefix, found)) if p.when else p for name, (prefix, p) in found.items()}


def _gather(written: Mapping[str, Any], prefix: str, opener: tuple[str, Any] | None, found: dict[str, tuple[str, Parameter]]) -> None:
    """Add what stands in one group; `opener` is the choice (its full name) and the option that open it, if one does."""
    for key, value in written.items():
        name = f"{prefix}{_checked(key)}"
        if isinstance(value, Mapping):
            if not value:
                raise InvalidInput("the group is empty.", where=f"parameter {name!r}")
            _gather(value, f"{name}.", opener, found)
            continue
        parameter = _parameter(value, name)
        opens = parameter.opens if isinstance(parameter, Choice) else {}
        if isinstance(parameter, Choice) and opens:
            parameter = Choice(parameter.options, when=parameter.when)
        if opener is not None:
            # Marked, because it is not to be looked up again.
            parameter = replace(parameter, when={**parameter.when, _ABSOLUTE + opener[0]: (opener[1],)})
        if name in found:
            parameter = _joined(name, found[name][1], parameter)
        found[name] = (prefix, parameter)
        for option, inner in opens.items():
            _gather(inner, prefix, (name, option), found)


#: Marks a condition's name as full.
_ABSOLUTE = "\0"


def _parameter(value: Any, name: str) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if value is None or isinstance(value, bool | int | float | str):
        try:
            return Fixed(value)
        except InvalidInput as error:
            raise InvalidInput(error.message, where=f"parameter {name!r}", hint=error.hint) from None
    raise InvalidInput(
        f"{value!r} is not a parameter.",
        where=f"parameter {name!r}",
        hint="Use Float, Int, Choice, Bool, Fixed, a plain value, or a dict of such.",
    )


def _joined(name: str, one: Parameter, other: Parameter) -> Parameter:
    """The same parameter under several options of one choice: it exists under each of them."""
    differing = [p for p in {**one.when, **other.when} if one.when.get(p) != other.when.get(p)]
    alike = replace(one, when={}) == replace(other, when={})
    if alike and len(differing) == 1 and differing[0] in one.when and differing[0] in other.when:
        (parent,) = differing
        more = tuple(v for v in other.when[parent] if not any(same(v, known) for known in one.when[parent]))
        return replace(one, when={**one.when, parent: (*one.when[parent], *more)})
    raise InvalidInput(
        "the name stands for two different parameters.",
        where=f"parameter {name!r}",
        hint="Put one of them into a group of its own, such as {'sgd': {'lr': …}}.",
    )


def _resolved(parameter: Parameter, prefix: str, found: Mapping[str, object]) -> dict[str, Any]:
    when: dict[str, Any] = {}
    for parent, allowed in parameter.when.items():
        if parent.startswith(_ABSOLUTE):
            full = parent.removeprefix(_ABSOLUTE)
        else:
            around = prefix
            while around and f"{around}{parent}" not in found:
                around = around[:-1].rpartition(".")[0]
                around = f"{around}." if around else ""
            full = f"{around}{parent}"
        known = when.get(full)
        when[full] = allowed if known is None else tuple(v for v in known if any(same(v, other) for other in allowed))
    return when


def _checked(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidInput(f"{name!r} is not a parameter name.")
    return name


def _clash(name: str) -> InvalidInput:
    return InvalidInput("it stands in a group whose name is another parameter's.", where=f"parameter {name!r}", hint="Rename one of them.")
