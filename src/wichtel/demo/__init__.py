"""A service with something to look at: teams, models of real flights, and experiments and studies that are carried out when it starts.

Owns: the data of the demo, its models, its people, and the order in which they ask for things. May import: `app` and everything below.
Start with `demo.py` (what happens when), then `asked.py` (who asks for what). To add a model, copy `models/late_trees` and name it in
`asked.py`.

Names are loaded when they are first used, since workers import `logistic.py` and need nothing else of this.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wichtel.demo.demo import HOME, TOKENS, Demo

__all__ = ["HOME", "TOKENS", "Demo"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("wichtel.demo.demo"), name)
