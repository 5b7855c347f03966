"""Our parameters as Optuna's distributions, as somebody who uses Optuna would write them, and values there and back.

Every value of ours has exactly one there. Options of a choice that Python takes for equal, such as ``1`` and ``True``, go by their names.
"""

from __future__ import annotations

import math
from decimal import Decimal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from wichtel.domain import Config, Float, Int, Parameter, Space, Value
from wichtel.domain.parameter import same


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's distribution for `parameter`, over the values of `outward`."""
    match parameter:
        case Float(low=low, high=high, log=log, step=step):
            return FloatDistribution(low, high if step is None else _in_decimals(parameter, _steps(parameter)), log=log, step=step)
        case Int(low=low, high=high, log=log, step=step):
            return IntDistribution(low, low + (high - low) // step * step, log=log, step=step)
    return CategoricalDistribution([outward(parameter, option) for option in parameter.values(1)])


def distributions(space: Space, config: Config) -> dict[str, BaseDistribution]:
    """By name, those of the parameters that `config` has."""
    return {name: distribution(space[name]) for name in config}


def outward(parameter: Parameter, value: Value) -> Value:
    """Optuna's value for ours: itself, unless Optuna would take it for another or for none of its own."""
    if isinstance(parameter, Float):
        assert isinstance(value, int | float)
        if parameter.step is None:
            return min(max(float(value), parameter.low), parameter.high)
        return _in_decimals(parameter, round((value - parameter.low) / parameter.step))
    if isinstance(parameter, Int):
        return value
    return repr(value) if _ambiguous(parameter) else value


def inward(parameter: Parameter, value: Value) -> Value:
    """Our value for Optuna's; one that is none of the parameter's is returned as it is, for `Space.check` to judge."""
    if isinstance(parameter, Float | Int):
        if isinstance(parameter, Float) and parameter.step is not None and isinstance(value, int | float):
            # To the last digit what it is here.
            k = round((value - parameter.low) / parameter.step)
            ours = min(parameter.low + k * parameter.step, parameter.high)
            return ours if 0 <= k <= _steps(parameter) and abs(value - ours) < 1e-6 * parameter.step else value
        return value
    options = parameter.values(1)
    if _ambiguous(parameter):
        return next((option for option in options if repr(option) == value or same(option, value)), value)
    return next((option for option in options if same(option, value)), value)


def _in_decimals(parameter: Float, k: int) -> float:
    """`k` steps from `low`, as Optuna counts them."""
    assert parameter.step is not None
    return float(Decimal(str(float(parameter.low))) + min(k, _steps(parameter)) * Decimal(str(float(parameter.step))))


def _steps(parameter: Float) -> int:
    assert parameter.step is not None
    return math.floor((parameter.high - parameter.low) / parameter.step + 1e-9)


def _ambiguous(parameter: Parameter) -> bool:
    options = parameter.values(1)
    return len(set(options)) < len(options)
