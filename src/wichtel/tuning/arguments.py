"""What `tune` is given, in whatever form, as what a study is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from wichtel.domain import Algorithm, Expectation, InvalidInput, MetricBound, Objective
from wichtel.tuning.ports import Problem, Pruner, Searcher, Terminator
from wichtel.tuning.registry import make_pruner, make_searcher, make_terminator

#: A registered name, one with options, an object, what makes one from a `Problem`, or any sampler of Optuna's.
AnySearcher = str | Algorithm | Searcher | Callable[[Problem], Searcher] | Any
#: A registered name, one with options, or an object.
AnyPruner = str | Algorithm | Pruner | None
#: Likewise.
AnyTerminator = str | Algorithm | Terminator


def objectives(maximize: str | Sequence[str] | None, minimize: str | Sequence[str] | None) -> tuple[Objective, ...]:
    """Those to maximise, then those to minimise.

    Raises:
        InvalidInput: there is none.
    """
    larger, smaller = _names(maximize), _names(minimize)
    if not larger and not smaller:
        raise InvalidInput("say what is better: maximize=… or minimize=… with the metric's name, or a list of names.", where="tune")
    return tuple(
        Objective(metric=name, better=better)
        for names, better in ((larger, Expectation.LARGER), (smaller, Expectation.SMALLER))
        for name in names
    )


def constraints(given: str | MetricBound | Sequence[str | MetricBound]) -> tuple[MetricBound, ...]:
    """Bounds on metrics.

    Raises:
        InvalidInput: one is none.
    """
    bounds = [given] if isinstance(given, str | MetricBound) else given
    return tuple(bound if isinstance(bound, MetricBound) else MetricBound.parse(str(bound)) for bound in bounds)


def searcher(given: AnySearcher) -> tuple[Algorithm, Callable[[Problem], Searcher]]:
    """What the study calls its searcher, and what makes it.

    Raises:
        InvalidInput: it is none.
    """
    if isinstance(given, str):
        given = Algorithm(name=given)
    if isinstance(given, Algorithm):
        return given, partial(make_searcher, given)
    named = Algorithm(name=_called(given))
    if _is_sampler(given):
        from wichtel.tuning.searchers.optuna import OptunaSearcher

        sampler: Any = given
        return named, lambda problem: OptunaSearcher(problem, sampler=sampler)
    if isinstance(given, Searcher) and not isinstance(given, type):
        return named, lambda _: given
    if callable(given):
        return named, partial(_made, given)
    raise InvalidInput(f"{given!r} is no searcher.", where="tune", hint="It needs sample(n) and update(results).")


def pruner(given: AnyPruner) -> tuple[Algorithm | None, Pruner | None]:
    """What the study calls its pruner, and the pruner.

    Raises:
        InvalidInput: it is none.
    """
    if given is None:
        return None, None
    if isinstance(given, str):
        given = Algorithm(name=given)
    if isinstance(given, Algorithm):
        return given, make_pruner(given)
    if isinstance(given, Pruner) and not isinstance(given, type):
        return Algorithm(name=_called(given)), given
    raise InvalidInput(f"{given!r} is no pruner.", where="tune", hint="It needs decide(curves, trial); pass an instance.")


def terminators(given: AnyTerminator | Sequence[AnyTerminator]) -> tuple[tuple[Algorithm, ...], Callable[[Problem], list[Terminator]]]:
    """What the study calls its terminators, and what makes them.

    Raises:
        InvalidInput: one is none.
    """
    several = list(given) if isinstance(given, list | tuple) else [given]
    named: list[Algorithm] = []
    makers: list[Callable[[Problem], Terminator]] = []
    for one in several:
        algorithm = Algorithm(name=one) if isinstance(one, str) else one
        if isinstance(algorithm, Algorithm):
            named.append(algorithm)
            makers.append(partial(make_terminator, algorithm))
        elif isinstance(one, Terminator) and not isinstance(one, type):
            named.append(Algorithm(name=_called(one)))
            makers.append(partial(_itself, one))
        else:
            raise InvalidInput(f"{one!r} is no terminator.", where="tune", hint="It needs decide(results); pass an instance.")
    return tuple(named), lambda problem: [make(problem) for make in makers]


def _names(given: str | Sequence[str] | None) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def _itself(terminator: Terminator, _: Problem) -> Terminator:
    return terminator


def _is_sampler(given: object) -> bool:
    """Whether it is a sampler of Optuna's, without importing that."""
    return any(kind.__name__ == "BaseSampler" and kind.__module__.startswith("optuna.") for kind in type(given).__mro__)


def _made(factory: Callable[[Problem], Searcher], problem: Problem) -> Searcher:
    made = factory(problem)
    if not isinstance(made, Searcher):
        raise InvalidInput(f"{made!r} is no searcher.", where="tune", hint="It needs sample(n) and update(results).")
    return made


def _called(thing: Any) -> str:
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"
