"""Callbacks that report for a training function: one line instead of a loop of one's own.

Each takes the ``report`` that the function asked for, and passes on what its library measures. When the trial is stopped, the library's
``fit`` ends as after early stopping, and `wichtel.Stopped` comes out of it: let it pass.

May import: `domain`, `fleet.ports`. Each file is for one library, which is imported when the callback is made. To add one copy
`for_xgboost.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wichtel.tuning.callbacks.for_keras import keras
    from wichtel.tuning.callbacks.for_lightgbm import lightgbm
    from wichtel.tuning.callbacks.for_lightning import lightning
    from wichtel.tuning.callbacks.for_sklearn import fit_in_steps
    from wichtel.tuning.callbacks.for_xgboost import xgboost

# Not named as the libraries: a module of that name would take the function's place here once it is imported.
_HOMES = {
    "fit_in_steps": "for_sklearn",
    "keras": "for_keras",
    "lightgbm": "for_lightgbm",
    "lightning": "for_lightning",
    "xgboost": "for_xgboost",
}

__all__ = ["fit_in_steps", "keras", "lightgbm", "lightning", "xgboost"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
