"""Studies: who proposes configurations, who stops trials early, and the loop that carries a search to its end.

Owns: searchers, pruners, `tune`, the study loop. May import: `fleet`, `store`, `domain`; searchers and pruners only `domain`.
Start with `ports.py`, then `loop.py` (an owner of runs) and `log.py` (what a study writes down, and how it resumes). To add a searcher copy
`searchers/random.py`, to add a pruner copy `pruners/patience.py`; name it as an entry point and face it with `wichtel.testing`.
Names below are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wichtel.tuning import callbacks
    from wichtel.tuning.curves import Curve, Curves
    from wichtel.tuning.function import Reporter, run_once
    from wichtel.tuning.host import StudyHost
    from wichtel.tuning.leaks import Leak, check_leaks
    from wichtel.tuning.loop import StudyLoop
    from wichtel.tuning.metafeatures import meta_features
    from wichtel.tuning.ports import Decision, Problem, Pruner, Result, Searcher, Suggestion, Terminator
    from wichtel.tuning.registry import (
        check_algorithms,
        make_pruner,
        make_searcher,
        make_terminator,
        pruner_names,
        searcher_names,
        terminator_names,
    )
    from wichtel.tuning.result import StudyResult
    from wichtel.tuning.selection import Confirmation
    from wichtel.tuning.tuner import tune

_HOMES = {
    "Confirmation": "selection",
    "Curve": "curves",
    "Curves": "curves",
    "Decision": "ports",
    "Leak": "leaks",
    "Problem": "ports",
    "Pruner": "ports",
    "Reporter": "function",
    "Result": "ports",
    "Searcher": "ports",
    "StudyHost": "host",
    "StudyLoop": "loop",
    "StudyResult": "result",
    "Suggestion": "ports",
    "Terminator": "ports",
    "check_algorithms": "registry",
    "callbacks": "callbacks",
    "check_leaks": "leaks",
    "make_pruner": "registry",
    "make_searcher": "registry",
    "make_terminator": "registry",
    "meta_features": "metafeatures",
    "pruner_names": "registry",
    "searcher_names": "registry",
    "terminator_names": "registry",
    "run_once": "function",
    "tune": "tuner",
}

__all__ = [
    "Confirmation",
    "Curve",
    "Curves",
    "Decision",
    "Leak",
    "Problem",
    "Pruner",
    "Reporter",
    "Result",
    "Searcher",
    "StudyHost",
    "StudyLoop",
    "StudyResult",
    "Suggestion",
    "Terminator",
    "callbacks",
    "check_algorithms",
    "check_leaks",
    "make_pruner",
    "make_searcher",
    "make_terminator",
    "meta_features",
    "pruner_names",
    "run_once",
    "searcher_names",
    "terminator_names",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "callbacks":  # a room within this one
        return import_module(f"{__name__}.callbacks")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
