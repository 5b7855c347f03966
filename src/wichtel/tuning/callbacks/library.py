"""Libraries that a callback is for, which may not be installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from wichtel.domain import InvalidInput


def library(*names: str) -> Any:
    """The first of these modules that is installed.

    Raises:
        InvalidInput: none is.
    """
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if not error.name or not f"{name}.".startswith(f"{error.name}."):
                raise
    package = names[0].partition(".")[0]
    raise InvalidInput(f"{package} is not installed.", where=f"callbacks.{package}", hint=f"Install it: pip install {package}")
