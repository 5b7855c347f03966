"""Tunables as a search space."""

from __future__ import annotations

from collections.abc import Iterable

from wichtel.domain import Bool, Choice, Float, Int, Parameter, PlanError, Space, Tunable


def search_space(tunables: Iterable[Tunable]) -> Space:
    """The space of all values that the tunables can take: candidates are a `Choice`, ranges an `Int` or `Float`.

    Raises:
        PlanError: there are no tunables.
    """
    parameters = {tunable.name: _parameter(tunable) for tunable in tunables}
    if not parameters:
        raise PlanError(
            "declares no tunables, so there is nothing to search.",
            where="plan.py",
            hint='Add for instance: tunable.Int("width", default=32, candidates=[16, 32, 64])',
        )
    return Space(parameters)


def _parameter(tunable: Tunable) -> Parameter:
    when = tunable.when
    if tunable.candidates is not None:
        return Choice(tunable.candidates, when=when)
    if tunable.kind == "bool":
        return Bool(when=when)
    assert tunable.min is not None
    assert tunable.max is not None
    if tunable.kind == "int":
        return Int(int(tunable.min), int(tunable.max), log=tunable.log, when=when)
    return Float(tunable.min, tunable.max, log=tunable.log, when=when)
