"""Wichtel improves an organisation's machine-learning models overnight: it branches, edits, trains and judges them.

Names are loaded when they are first used, so that ``import wichtel`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wichtel.plans import plan as plan
    from wichtel.plans import tunable as tunable

#: Public name → module, and the attribute of it; no attribute for the module itself.
_LAZY: dict[str, tuple[str, str | None]] = {
    "plan": ("wichtel.plans.plan", None),
    "tunable": ("wichtel.plans.tunable", None),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    value = import_module(module)
    if attribute is not None:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
