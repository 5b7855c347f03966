"""Searchers, pruners and terminators by name. Every distribution that is installed may bring some, as entry points."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from wichtel.domain import Algorithm, InvalidInput, StudySpec, UserError, did_you_mean
from wichtel.tuning.ports import Problem, Pruner, Searcher, Terminator

if TYPE_CHECKING:
    from wichtel.tuning.trackers.port import Tracker

SEARCHERS = "wichtel.searchers"
PRUNERS = "wichtel.pruners"
TERMINATORS = "wichtel.terminators"
TRACKERS = "wichtel.trackers"

_log = logging.getLogger(__name__)


@cache
def _registered(group: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        # Wichtel's own come first: a plug-in adds names and takes none.
        ours = point.value.startswith("wichtel.")
        if point.name not in found or ours:
            found[point.name] = point
    return found


def searcher_names() -> list[str]:
    """The names that `make_searcher` knows."""
    return sorted(_registered(SEARCHERS))


def pruner_names() -> list[str]:
    """The names that `make_pruner` knows."""
    return sorted(_registered(PRUNERS))


def terminator_names() -> list[str]:
    """The names that `make_terminator` knows."""
    return sorted(_registered(TERMINATORS))


def tracker_names() -> list[str]:
    """The names that `make_tracker` knows."""
    return sorted(_registered(TRACKERS))


def make_searcher(algorithm: Algorithm, problem: Problem) -> Searcher:
    """The searcher of that name, for `problem`.

    Raises:
        InvalidInput: unknown name or option, or a plug-in that does not load or is no searcher.
    """
    made = _make(SEARCHERS, "searcher", algorithm, problem)
    if not isinstance(made, Searcher):
        raise InvalidInput("it has no sample(n) and update(results).", where=f"searcher {algorithm.name!r}")
    return made


def make_pruner(algorithm: Algorithm) -> Pruner:
    """The pruner of that name.

    Raises:
        InvalidInput: unknown name or option, or a plug-in that does not load or is no pruner.
    """
    made = _make(PRUNERS, "pruner", algorithm)
    if not isinstance(made, Pruner):
        raise InvalidInput("it has no decide(curves, trial).", where=f"pruner {algorithm.name!r}")
    return made


def make_terminator(algorithm: Algorithm, problem: Problem) -> Terminator:
    """The terminator of that name, for `problem`.

    Raises:
        InvalidInput: unknown name or option, or a plug-in that does not load or is no terminator.
    """
    made = _make(TERMINATORS, "terminator", algorithm, problem)
    if not isinstance(made, Terminator):
        raise InvalidInput("it has no decide(results).", where=f"terminator {algorithm.name!r}")
    return made


def make_tracker(algorithm: Algorithm) -> Tracker:
    """The tracker of that name.

    Raises:
        InvalidInput: unknown name or option, or a plug-in that does not load or is no tracker.
        UserError: what it needs is not installed.
    """
    from wichtel.tuning.trackers.port import Tracker

    made = _make(TRACKERS, "tracker", algorithm)
    if not isinstance(made, Tracker):
        raise InvalidInput("it has no start, begin_trial, measure, end_trial and finish.", where=f"tracker {algorithm.name!r}")
    return made


def _make(group: str, noun: str, algorithm: Algorithm, *arguments: Any) -> object:
    where = f"{noun} {algorithm.name!r}"
    known = _registered(group)
    if algorithm.name not in known:
        raise InvalidInput(f"there is no {noun} {algorithm.name!r}.", hint=did_you_mean(algorithm.name, known))
    try:
        factory: Callable[..., object] = known[algorithm.name].load()
    except Exception as error:
        # Whatever a plug-in's module does wrong is the plug-in's fault, and its user has to know which one it is.
        _log.warning("%s does not load", where, exc_info=True)
        raise InvalidInput(
            f"it does not load: {type(error).__name__}: {error}.", where=f"{where} ({known[algorithm.name].value})"
        ) from error
    signature = inspect.signature(factory)
    options = [p.name for p in signature.parameters.values() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)][len(arguments) :]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for name in algorithm.options:
        if name not in options and not open_ended:
            raise InvalidInput(f"there is no option {name!r}.", where=where, hint=did_you_mean(name, options))
        if name in options:
            _check_option(signature.parameters[name], algorithm.options[name], where)
    try:
        return factory(*arguments, **algorithm.options)
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"its options do not do: {error}.", where=where) from error


#: What plain annotations of options mean.
_PLAIN = {"int": "a whole number", "float": "a finite number", "bool": "true or false", "str": "a string", "None": "None"}


def _check_option(option: inspect.Parameter, value: object, where: str) -> None:
    """Refuse a value of another kind than the option is annotated with, if that is plain.

    Raises:
        InvalidInput: it is of another kind, or not finite.
    """
    written = option.annotation if isinstance(option.annotation, str) else getattr(option.annotation, "__name__", "")
    kinds = [kind.strip() for kind in written.split("|")]
    if any(kind not in _PLAIN for kind in kinds):
        return
    fits = type(value).__name__ in kinds or (value is None and "None" in kinds)
    if "float" in kinds and isinstance(value, int | float) and not isinstance(value, bool):
        fits = abs(value) < math.inf
    if not fits:
        words = " or ".join(_PLAIN[kind] for kind in kinds)
        raise InvalidInput(f"option {option.name!r} is {value!r}, but must be {words}.", where=where)


def check_algorithms(spec: StudySpec) -> None:
    """Make sure that a study that somebody submits can be carried.

    Raises:
        InvalidInput: its searcher, its pruner or a terminator does not exist or does not fit.
    """
    problem = Problem.of(spec)
    make_searcher(spec.searcher, problem)
    for terminator in spec.terminators:
        make_terminator(terminator, problem)
    if spec.pruner is not None:
        make_pruner(spec.pruner)
