"""Studies: who proposes configurations, who stops trials early, and the loop that carries a search to its end.

Owns: searchers, pruners, terminators, `tune`, the study loop, and all that is seen of a study. May import: `fleet`, `store`, `domain`;
searchers, pruners and terminators only `domain` and the pure parts of this room.

Start with `ports.py`, then `tuner.py` and `study/loop.py`. To add a searcher copy `searchers/random.py`, a pruner `pruners/patience.py`, a
terminator `terminators/target.py`, a tracker `trackers/tensorboard.py`; name it as an entry point and face it with `wichtel.testing`.

- `searchers`, `pruners`, `terminators`: who decides, one a file. `models`: what they compute with.
- `study`: a study on its way. `results`, `plots`, `progress`, `trackers`: what is seen of it.
- `function.py`, `callbacks`, `spaces.py`: what the user brings. `guards`, `transfer`, `ablation`, `comparison`: what one does with studies.

Names below are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wichtel.tuning import callbacks
    from wichtel.tuning.ablation.ablate import ablate
    from wichtel.tuning.ablation.contributions import AblationResult
    from wichtel.tuning.comparison.compare import Comparison, compare_searchers
    from wichtel.tuning.curves import Curve, Curves
    from wichtel.tuning.function import Reporter, run_once
    from wichtel.tuning.guards.leaks import Leak, check_leaks
    from wichtel.tuning.guards.retraining import Retrained, StepChoice
    from wichtel.tuning.guards.selection import Confirmation
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
    from wichtel.tuning.results.exchange import import_optuna
    from wichtel.tuning.results.kept import kept_studies, load_study, resume_study
    from wichtel.tuning.results.result import StudyResult
    from wichtel.tuning.study.host import StudyHost
    from wichtel.tuning.study.loop import StudyLoop
    from wichtel.tuning.transfer.metafeatures import meta_features
    from wichtel.tuning.tuner import tune

_HOMES = {
    "AblationResult": "ablation.contributions",
    "Comparison": "comparison.compare",
    "Confirmation": "guards.selection",
    "Curve": "curves",
    "Curves": "curves",
    "Decision": "ports",
    "Leak": "guards.leaks",
    "Problem": "ports",
    "Pruner": "ports",
    "Reporter": "function",
    "Result": "ports",
    "Retrained": "guards.retraining",
    "Searcher": "ports",
    "StepChoice": "guards.retraining",
    "StudyHost": "study.host",
    "StudyLoop": "study.loop",
    "StudyResult": "results.result",
    "Suggestion": "ports",
    "Terminator": "ports",
    "ablate": "ablation.ablate",
    "callbacks": "callbacks",
    "check_algorithms": "registry",
    "check_leaks": "guards.leaks",
    "compare_searchers": "comparison.compare",
    "import_optuna": "results.exchange",
    "kept_studies": "results.kept",
    "load_study": "results.kept",
    "make_pruner": "registry",
    "make_searcher": "registry",
    "make_terminator": "registry",
    "meta_features": "transfer.metafeatures",
    "pruner_names": "registry",
    "resume_study": "results.kept",
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
