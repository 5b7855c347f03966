"""Search spaces of other libraries: Optuna's distributions, and ConfigSpace."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wichtel.domain import Choice, Fixed, Float, Int, InvalidInput, Parameter, Space, Value

if TYPE_CHECKING:
    import optuna
    from ConfigSpace import ConfigurationSpace

#: A whole-numbered parent with more values than this has too many to list the ones under which a child exists.
_MOST_VALUES = 1000

Conditions = dict[str, tuple[Value, ...]]


def as_space(given: Any) -> Space:
    """The search space that `given` is: ours, also nested; a ConfigSpace; or Optuna's distributions, trial or study.

    Raises:
        InvalidInput: it is something else, or cannot be said in our terms.
    """
    if isinstance(given, Space):
        return given
    # What belongs to a library that nobody has imported cannot be given.
    if "ConfigSpace" in sys.modules:
        from ConfigSpace import ConfigurationSpace

        if isinstance(given, ConfigurationSpace):
            return space_from_configspace(given)
    if "optuna" in sys.modules:
        import optuna

        kinds = (optuna.Study, optuna.trial.BaseTrial, optuna.trial.FrozenTrial)
        distribution = optuna.distributions.BaseDistribution
        if isinstance(given, kinds) or (isinstance(given, Mapping) and any(isinstance(v, distribution) for v in given.values())):
            return space_from_optuna(given)
    if not isinstance(given, Mapping):
        hint = "Give a dict of parameters, such as {'lr': Float(1e-5, 1, log=True)}; or a space of Optuna or ConfigSpace."
        raise InvalidInput(f"{given!r:.200} is no search space.", where="space", hint=hint)
    return Space(given)


# Optuna


def space_from_optuna(
    source: Mapping[str, optuna.distributions.BaseDistribution] | optuna.Study | optuna.trial.BaseTrial | optuna.trial.FrozenTrial,
) -> Space:
    """The space of Optuna's distributions.

    A study does not say under which condition a parameter exists. If some of its trials are without one, the condition is read from them:
    it is a categorical parameter whose values tell the trials that have it from those that do not.

    Args:
        source: Distributions by name, a trial that has suggested its parameters, or a study that has trials.

    Raises:
        InvalidInput: a distribution or a value that has no counterpart, none at all, or a condition that cannot be read from the trials.
    """
    import optuna

    if isinstance(source, Mapping):
        return _optuna_space(source, {})
    if not isinstance(source, optuna.Study):
        return _optuna_space(source.distributions, {})
    trials = [t for t in source.get_trials(deepcopy=False) if t.distributions]
    distributions: dict[str, optuna.distributions.BaseDistribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            if distributions.setdefault(name, distribution) != distribution:
                raise InvalidInput(
                    f"it is {distributions[name]} in one trial and {distribution} in another.",
                    where=f"parameter {name!r} of the Optuna study {source.study_name!r}",
                    hint="Write the space out.",
                )
    partial = [name for name in distributions if any(name not in t.params for t in trials)]
    return _optuna_space(distributions, {name: _read_condition(name, distributions, [t.params for t in trials]) for name in partial})


def _optuna_space(distributions: Mapping[str, Any], conditions: Mapping[str, Conditions]) -> Space:
    return Space({name: _of_distribution(name, d, conditions.get(name, {})) for name, d in distributions.items()})


def _of_distribution(name: str, distribution: Any, when: Conditions) -> Parameter:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    where = f"parameter {name!r}"
    match distribution:
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return Float(low, high, log=log, step=step, when=when)
        case IntDistribution(low=low, high=high, log=log, step=step):
            return Int(low, high, log=log, step=step, when=when)
        case CategoricalDistribution(choices=choices):
            return _choice(choices, where, when)
    raise InvalidInput(f"{distribution!r} has no counterpart.", where=where)


def _read_condition(name: str, distributions: Mapping[str, Any], configs: Sequence[Mapping[str, Any]]) -> Conditions:
    """The categorical parameter, and its values, with which `name` is there."""
    from optuna.distributions import CategoricalDistribution

    having = [c for c in configs if name in c]
    lacking = [c for c in configs if name not in c]
    found: list[Conditions] = []
    for parent, distribution in distributions.items():
        if parent == name or not isinstance(distribution, CategoricalDistribution) or any(parent not in c for c in having):
            continue
        allowed = {c[parent] for c in having}
        others = {c[parent] for c in lacking if parent in c}
        # Without others it is only there and not there together with `name`.
        if others and allowed.isdisjoint(others):
            found.append({parent: tuple(v for v in distribution.choices if v in allowed)})
    if len(found) != 1:
        several = " or ".join(repr(next(iter(f))) for f in found)
        raise InvalidInput(
            "some trials have it and some do not, and "
            + (f"that may depend on {several}." if found else "nothing tells on what it depends."),
            where=f"parameter {name!r}",
            hint="Write the space out, with when={parent: [values]}.",
        )
    return found[0]


# ConfigSpace


def space_from_configspace(source: ConfigurationSpace) -> Space:
    """The space of a ConfigSpace.

    A space says what is possible, not what is likely: of a normal or beta distribution, its bounds are kept, of a weighted choice its
    options, and so are those of an ordinal parameter.

    Raises:
        InvalidInput: forbidden clauses, or a condition that is not a list of values of some parents.
    """
    if source.forbidden_clauses:
        raise InvalidInput(
            f"it forbids {source.forbidden_clauses[0]}, which has no counterpart.",
            where="ConfigSpace",
            hint="Take the clause out, and let the function raise for such configurations.",
        )
    conditions: dict[str, Conditions] = {}
    for condition in source.conditions:
        child = condition.child.name
        conditions[child] = _both(conditions.get(child, {}), _condition(condition))
    return Space({name: _of_hyperparameter(parameter, conditions.get(name, {})) for name, parameter in source.items()})


def _of_hyperparameter(parameter: Any, when: Conditions) -> Parameter:
    from ConfigSpace import hyperparameters as kinds

    where = f"parameter {parameter.name!r}"
    if isinstance(parameter, kinds.Constant):
        return Fixed(_plain(parameter.value), when=when)
    if isinstance(parameter, kinds.CategoricalHyperparameter):
        return _choice(parameter.choices, where, when)
    if isinstance(parameter, kinds.OrdinalHyperparameter):
        return _choice(parameter.sequence, where, when)
    low, high = (getattr(parameter, end, None) for end in ("lower", "upper"))
    if low is None or high is None:
        raise InvalidInput(f"{parameter!r} has no bounds.", where=where)
    if isinstance(parameter, kinds.IntegerHyperparameter):
        return Int(int(low), int(high), log=parameter.log, when=when)
    if isinstance(parameter, kinds.FloatHyperparameter):
        return Float(float(low), float(high), log=parameter.log, when=when)
    raise InvalidInput(f"{parameter!r} has no counterpart.", where=where)


def _condition(condition: Any) -> Conditions:
    from ConfigSpace import AndConjunction, OrConjunction

    if isinstance(condition, AndConjunction):
        together: Conditions = {}
        for part in condition.components:
            together = _both(together, _condition(part))
        return together
    if isinstance(condition, OrConjunction):
        parts = [_condition(part) for part in condition.components]
        if any(len(part) != 1 or part.keys() != parts[0].keys() for part in parts):
            raise _unsayable(condition, "its parts are about different parameters")
        (parent,) = parts[0]
        return {parent: tuple(dict.fromkeys(value for part in parts for value in part[parent]))}
    parent = condition.parent.name
    allowed = tuple(v for v in _values(condition) if condition.satisfied_by_value({parent: v}))
    if not allowed:
        raise _unsayable(condition, "it never holds")
    return {parent: tuple(_plain(v) for v in allowed)}


def _values(condition: Any) -> Iterable[Any]:
    """The values of the parent among which a condition chooses."""
    from ConfigSpace import EqualsCondition, InCondition
    from ConfigSpace import hyperparameters as kinds

    parent = condition.parent
    if isinstance(condition, EqualsCondition):
        return [condition.value]
    if isinstance(condition, InCondition):
        return list(condition.values)
    if isinstance(parent, kinds.CategoricalHyperparameter):
        return list(parent.choices)
    if isinstance(parent, kinds.OrdinalHyperparameter):
        return list(parent.sequence)
    if isinstance(parent, kinds.IntegerHyperparameter) and parent.size <= _MOST_VALUES:
        return range(int(parent.lower), int(parent.upper) + 1)
    raise _unsayable(condition, "the values for which it holds cannot be listed")


def _both(one: Conditions, other: Conditions) -> Conditions:
    together = one | other
    for parent in one.keys() & other.keys():
        together[parent] = tuple(v for v in one[parent] if v in other[parent])
    return together


def _unsayable(condition: Any, why: str) -> InvalidInput:
    return InvalidInput(f"the condition {condition} has no counterpart: {why}.", where="ConfigSpace")


def _choice(options: Iterable[Any], where: str, when: Conditions) -> Choice:
    try:
        return Choice([_plain(option) for option in options], when=when)
    except InvalidInput as error:
        raise InvalidInput(error.message, where=where, hint=error.hint) from None


def _plain(value: Any) -> Any:
    """A value of NumPy as one of Python."""
    item = getattr(value, "item", None)
    return item() if callable(item) else value
