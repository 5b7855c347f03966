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
    from wichtel.tuning.ablation import ablate
    from wichtel.tuning.compare import Comparison, compare_searchers
    from wichtel.tuning.contributions import AblationResult
    from wichtel.tuning.curves import Curve, Curves
    from wichtel.tuning.exchange import import_optuna
    from wichtel.tuning.function import Reporter, run_once
    from wichtel.tuning.host import StudyHost
    from wichtel.tuning.kept import kept_studies, load_study, resume_study
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
    from wichtel.tuning.retraining import Retrained, StepChoice
    from wichtel.tuning.selection import Confirmation
    from wichtel.tuning.tuner import tune

_HOMES = {
    "AblationResult": "contributions",
    "Comparison": "compare",
    "Confirmation": "selection",
    "Curve": "curves",
    "Curves": "curves",
    "Decision": "ports",
    "Leak": "leaks",
    "Problem": "ports",
    "Pruner": "ports",
    "Reporter": "function",
    "Result": "ports",
    "Retrained": "retraining",
    "Searcher": "ports",
    "StepChoice": "retraining",
    "StudyHost": "host",
    "StudyLoop": "loop",
    "StudyResult": "result",
    "Suggestion": "ports",
    "Terminator": "ports",
    "ablate": "ablation",
    "callbacks": "callbacks",
    "check_algorithms": "registry",
    "check_leaks": "leaks",
    "compare_searchers": "compare",
    "import_optuna": "exchange",
    "kept_studies": "kept",
    "load_study": "kept",
    "make_pruner": "registry",
    "make_searcher": "registry",
    "make_terminator": "registry",
    "meta_features": "metafeatures",
    "pruner_names": "registry",
    "resume_study": "kept",
    "run_once": "function",
    "searcher_names": "registry",
    "terminator_names": "registry",
    "tune": "tuner",
}

__all__ = [
    "AblationResult",
    "Comparison",
    "Confirmation",
    "Curve",
    "Curves",
    "Decision",
    "Leak",
    "Problem",
    "Pruner",
    "Reporter",
    "Result",
    "Retrained",
    "Searcher",
    "StepChoice",
    "StudyHost",
    "StudyLoop",
    "StudyResult",
    "Suggestion",
    "Terminator",
    "ablate",
    "callbacks",
    "check_algorithms",
    "check_leaks",
    "compare_searchers",
    "import_optuna",
    "kept_studies",
    "load_study",
    "make_pruner",
    "make_searcher",
    "make_terminator",
    "meta_features",
    "pruner_names",
    "resume_study",
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
