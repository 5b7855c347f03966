"""Find every tunable that a plan can reach, and under which values of others.

The plan is executed again and again, each time with another value of one discrete tunable; every execution in which a new tunable shows
itself becomes a base from which all are varied once more, until nothing new is found or the budget is used up. A tunable that was not read
in every execution gets conditions (`Tunable.when`): the fewest values of earlier tunables that tell the executions apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from wichtel.domain import PlanError, Tunable
from wichtel.domain.parameter import Value, same
from wichtel.plans.context import Mode, Session
from wichtel.plans.load import execute

MAX_EXECUTIONS = 64
#: A range of whole numbers is tried value by value up to this size, else at its ends.
_SMALL_RANGE = 16


@dataclass(frozen=True, slots=True)
class Discovery:
    """All tunables, those that were found first coming first."""

    tunables: tuple[Tunable, ...]
    warnings: tuple[str, ...]


def discover(first: Session, *, max_seconds: float, max_executions: int = MAX_EXECUTIONS) -> Discovery:
    """Discover the tunables of the plan that `first` was an execution of.

    Raises:
        PlanError: two executions declare a tunable differently.
    """
    started = time.monotonic()
    known: dict[str, Tunable] = dict(first.tunables)
    executions: list[dict[str, Value]] = [dict(first.read)]
    bases = [dict(first.read)]
    tried = {_key(first.read)}
    warnings: list[str] = []
    while bases:
        base = bases.pop(0)
        for config in _variations(base, known):
            if _key(config) in tried:
                continue
            if len(executions) >= max_executions or time.monotonic() - started > max_seconds:
                warnings.append(
                    f"discovery of tunables ended after {len(executions)} executions; some that depend on others may be unknown."
                )
                bases.clear()
                break
            tried.add(_key(config))
            session = Session(root=first.root, mode=Mode.TRACE, values=config)
            try:
                execute(session)
            except PlanError as error:
                _check_agreement(known, session)
                changed = next(f"{n}={v!r}" for n, v in config.items() if n not in base or not same(base[n], v))
                warnings.append(f"with {changed} the plan fails: {error}")
                continue
            _check_agreement(known, session)
            tried.add(_key(session.read))
            executions.append(dict(session.read))
            if session.tunables.keys() - known.keys():
                bases.append(dict(session.read))
                known |= {name: tunable for name, tunable in session.tunables.items() if name not in known}
    return Discovery(tuple(replace(t, when=_conditions(t.name, known, executions)) for t in known.values()), tuple(warnings))


def alternatives(tunable: Tunable) -> tuple[Value, ...]:
    """The values of a discrete tunable that are worth an execution; none for a real range."""
    if tunable.candidates is not None:
        return tunable.candidates
    if tunable.kind == "bool":
        return (False, True)
    if tunable.kind == "int" and tunable.min is not None and tunable.max is not None:
        low, high = int(tunable.min), int(tunable.max)
        return tuple(range(low, high + 1)) if high - low < _SMALL_RANGE else (low, high)
    return ()


def _variations(base: dict[str, Value], known: dict[str, Tunable]) -> Iterator[dict[str, Value]]:
    for name, value in base.items():
        for other in alternatives(known[name]):
            if not same(other, value):
                yield {**base, name: other}


def _key(config: dict[str, Value]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in config.items()))


def _check_agreement(known: dict[str, Tunable], session: Session) -> None:
    for name, tunable in session.tunables.items():
        if name in known and replace(known[name], place="") != replace(tunable, place=""):
            raise PlanError(f"the tunable {name!r} is declared differently at {known[name].place}.", where=tunable.place)


def _conditions(name: str, known: dict[str, Tunable], executions: list[dict[str, Value]]) -> dict[str, list[Value]]:
    """Values of earlier tunables that hold whenever `name` was read, the fewest that tell those executions from all others."""
    active = [e for e in executions if name in e]
    inactive = [e for e in executions if name not in e]
    earlier: dict[str, list[Value]] = {}
    for parent, tunable in known.items():
        # An execution's order is that of reading: what is read later cannot be the reason.
        if parent == name or not all(parent in e and list(e).index(parent) < list(e).index(name) for e in active):
            continue
        values: list[Value] = []
        for execution in active:
            if not any(same(execution[parent], v) for v in values):
                values.append(execution[parent])
        earlier[parent] = [v for v in alternatives(tunable) if any(same(v, w) for w in values)] or values
    when: dict[str, list[Value]] = {}
    while inactive:

        def excluded(parent: str) -> int:
            return sum(not _holds(e, parent, earlier[parent]) for e in inactive)  # noqa: B023 - used at once

        best = max(earlier, key=excluded, default=None)
        if best is None or excluded(best) == 0:
            break
        when[best] = earlier.pop(best)
        inactive = [e for e in inactive if _holds(e, best, when[best])]
    return when


def _holds(execution: dict[str, Value], parent: str, values: list[Value]) -> bool:
    return parent in execution and any(same(execution[parent], v) for v in values)
