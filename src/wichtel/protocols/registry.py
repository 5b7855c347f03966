"""The protocols that are installed: the stock ones and those of plug-ins, found by entry point."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from wichtel.domain import NotFound, did_you_mean
from wichtel.protocols.port import Protocol

GROUP = "wichtel.protocols"


@cache
def broken() -> dict[str, str]:
    """Plug-ins that could not be loaded, and why. Reported, never fatal."""
    return {}


@cache
def protocols() -> dict[str, Protocol]:
    """All protocols by name."""
    found: dict[str, Protocol] = {}
    for point in entry_points(group=GROUP):
        try:
            kind = point.load()
            protocol = kind()
            if not isinstance(protocol, Protocol):
                broken()[point.name] = f"{point.value} is not a Protocol"
                continue
        except Exception as error:  # noqa: BLE001 - somebody else's code, at somebody else's import
            broken()[point.name] = f"{type(error).__name__}: {error}"
            continue
        found[protocol.name] = protocol
    return dict(sorted(found.items()))


def get_protocol(name: str) -> Protocol:
    """The protocol called `name`.

    Raises:
        NotFound: there is none.
    """
    try:
        return protocols()[name]
    except KeyError:
        why = broken().get(name)
        hint = f"Its plug-in could not be loaded: {why}." if why else did_you_mean(name, protocols())
        raise NotFound(f"there is no protocol {name!r}.", hint=hint) from None
