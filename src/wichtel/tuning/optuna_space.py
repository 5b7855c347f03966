"""Our parameters as Optuna's distributions, and values there and back. Every value of ours has exactly one there.

Choices go by their position, since to Optuna ``1`` and ``True`` are the same one; what has a step goes by the number of steps from `low`.
"""

from __future__ import annotations

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from wichtel.domain import Bool, Choice, Config, Fixed, Float, Int, Parameter, Space, Value
from wichtel.domain.parameter import same


def groups(space: Space) -> list[dict[str, BaseDistribution]]:
    """The parameters that vary, those with the same conditions together: what Optuna samples jointly."""
    found: dict[str, dict[str, BaseDistribution]] = {}
    for name, parameter in space.items():
        made = distribution(parameter)
        if not made.single():
            condition = repr(sorted((parent, list(values)) for parent, values in parameter.when.items()))
            found.setdefault(condition, {})[name] = made
    return list(found.values())


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's distribution for `parameter`, over the values of `outward`."""
    match parameter:
        case Float():
            if parameter.step is None:
                return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
            return IntDistribution(0, _steps(parameter))
        case Int():
            if parameter.log:
                return IntDistribution(parameter.low, parameter.high, log=True)
            return IntDistribution(0, (parameter.high - parameter.low) // parameter.step)
        case Choice() | Bool():
            return CategoricalDistribution(range(len(parameter.values(1))))
        case Fixed():
            return CategoricalDistribution([0])


def distributions(space: Space, config: Config) -> dict[str, BaseDistribution]:
    """By name, those of the parameters that `config` has."""
    return {name: distribution(space[name]) for name in config}


def outward(parameter: Parameter, value: Value) -> int | float:
    """Optuna's value for ours."""
    if isinstance(parameter, Fixed):
        return 0
    if isinstance(parameter, Choice | Bool):
        return next(i for i, v in enumerate(parameter.values(1)) if same(v, value))
    assert isinstance(value, int | float)
    if isinstance(parameter, Float) and parameter.step is not None:
        return round((value - parameter.low) / parameter.step)
    if isinstance(parameter, Int) and not parameter.log:
        return (int(value) - parameter.low) // parameter.step
    if isinstance(parameter, Float):
        return min(max(float(value), parameter.low), parameter.high)
    return value


def inward(parameter: Parameter, value: int | float) -> Value:
    """Our value for Optuna's."""
    if isinstance(parameter, Fixed):
        return parameter.value
    if isinstance(parameter, Choice | Bool):
        return parameter.values(1)[int(value)]
    if isinstance(parameter, Float):
        if parameter.step is not None:
            return min(parameter.low + int(value) * parameter.step, parameter.high)
        return min(max(float(value), parameter.low), parameter.high)
    return int(value) if parameter.log else parameter.low + int(value) * parameter.step


def _steps(parameter: Float) -> int:
    assert parameter.step is not None
    return int((parameter.high - parameter.low) / parameter.step + 1e-9)
