"""Engines by name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, cast

from wichtel.domain import InvalidInput, NotFound, did_you_mean
from wichtel.fleet.ports import Engine

GROUP = "wichtel.engines"


def open_engine(name: str, **options: Any) -> Engine:
    """The engine registered under `name` in the entry-point group `wichtel.engines`, made with `options`.

    Raises:
        NotFound: there is none of that name.
        InvalidInput: it does not know one of the options.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in known:
        raise NotFound(f"there is no engine {name!r}.", hint=did_you_mean(name, known))
    factory = known[name].load()
    try:
        return cast("Engine", factory(**options))
    except TypeError as error:
        raise InvalidInput(f"these options do not fit: {error}.", where=f"engine {name!r}") from error
