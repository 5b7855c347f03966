"""Wichtel improves an organisation's machine-learning models overnight.

``wt.tune`` searches hyperparameters of any function; ``wt.plan`` and ``wt.tunable`` are what the source of a registered model imports;
``wt.Client`` speaks to a service. Everything else is under `wichtel.<room>`; docs/architecture.md draws the rooms.

Names are loaded when first used, so that ``import wichtel`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wichtel.client import Client
    from wichtel.domain import Algorithm, Bool, Choice, Fixed, Float, Int, Space, UserError, WichtelError
    from wichtel.fleet import Stopped
    from wichtel.plans import plan, tunable
    from wichtel.tuning import (
        Reporter,
        StudyResult,
        ablate,
        callbacks,
        check_leaks,
        compare_searchers,
        import_optuna,
        load_study,
        meta_features,
        resume_study,
        run_once,
        tune,
    )

__version__ = "0.1.0"

_HOMES = {
    "Algorithm": "domain",
    "Bool": "domain",
    "Choice": "domain",
    "Client": "client",
    "Fixed": "domain",
    "Float": "domain",
    "Int": "domain",
    "Reporter": "tuning",
    "Space": "domain",
    "Stopped": "fleet",
    "StudyResult": "tuning",
    "UserError": "domain",
    "WichtelError": "domain",
    "ablate": "tuning",
    "callbacks": "tuning",
    "check_leaks": "tuning",
    "compare_searchers": "tuning",
    "import_optuna": "tuning",
    "load_study": "tuning",
    "meta_features": "tuning",
    "plan": "plans",
    "resume_study": "tuning",
    "run_once": "tuning",
    "tunable": "plans",
    "tune": "tuning",
}

__all__ = [
    "Algorithm",
    "Bool",
    "Choice",
    "Client",
    "Fixed",
    "Float",
    "Int",
    "Reporter",
    "Space",
    "Stopped",
    "StudyResult",
    "UserError",
    "WichtelError",
    "__version__",
    "ablate",
    "callbacks",
    "check_leaks",
    "compare_searchers",
    "import_optuna",
    "load_study",
    "meta_features",
    "plan",
    "resume_study",
    "run_once",
    "tunable",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
