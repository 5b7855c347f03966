"""Parameters of a search space: what values each may take, how one is drawn, and which make up a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from wichtel.domain.errors import InvalidInput

if TYPE_CHECKING:
    from random import Random


Value = int | float | bool | str | None
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
        # `len` has no numbers beyond those of the machine.
        if (self.high - self.low) // self.step < resolution:
            return [*every]
        points = Float(self.low, self.high, log=self.log).values(resolution)
        near = (self.low + round((float(p) - self.low) / self.step) * self.step for p in points)  # type: ignore[arg-type]
        return [*sorted({min(v, every[-1]) for v in near})]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `options`, which have no order.

    Args:
        options: A list of them; or a dict, option → the parameters that exist only when it is taken, written as in a space. They stand
            beside the choice, and have the names that are written.
        when: Under which values of other parameters it exists.

    Raises:
        InvalidInput: no option, an option twice, or one that is not a plain JSON scalar.

    >>> Choice({"sgd": {"momentum": Float(0, 1)}, "adam": {}}).options
    ('sgd', 'adam')
    """

    options: tuple[Value, ...]
    when: When = field(default_factory=dict, kw_only=True)
    #: Option → what it opens, until the space has spread it out; options that open nothing are left out.
    opens: Mapping[Value, Mapping[str, Any]] = field(init=False, repr=False)
    kind: ClassVar[str] = "choice"

    def __init__(self, options: Sequence[Value] | Mapping[Value, Mapping[str, Any]], *, when: When | None = None) -> None:
        if isinstance(options, str) or not isinstance(options, Sequence | Mapping):
            raise InvalidInput("the options must be a list, or a dict of what they open.", where=f"Choice({options!r})")
        object.__setattr__(self, "options", tuple(options))
        _keep_when(self, when if when is not None else {})
        if not self.options:
            raise InvalidInput("a choice needs at least one option.", where="Choice")
        for i, option in enumerate(self.options):
            _check_scalar(option, where="Choice")
            if any(same(option, other) for other in self.options[:i]):
                raise InvalidInput(f"option {option!r} stands there twice.", where="Choice")
        opens: Mapping[Value, Any] = options if isinstance(options, Mapping) else {}
        for option, inner in opens.items():
            if not isinstance(inner, Mapping):
                hint = "Give a dict of parameters, {} for none."
                raise InvalidInput(f"option {option!r} opens {inner!r}, which is no dict.", where="Choice", hint=hint)
        object.__setattr__(self, "opens", {option: dict(inner) for option, inner in opens.items() if inner})

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
