"""Routers that look at their routes only for addresses that begin as these do."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.routing import Match
from starlette.types import Scope

#: For an address that may begin with anything.
_ANY = "{"


class NounRouter(APIRouter):
    """The routes of a noun or a few, such as ``/experiments`` and all below it.

    A service has some two hundred routes. A router of FastAPI compares an address with all of its own, one after the other, and then once
    more to handle it; this one first looks whether the address begins with one of its nouns, after ``/v1`` if that is there.
    """

    _nouns: frozenset[str] = frozenset()
    _counted = -1

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a route fits the address."""
        if self._counted != len(self.routes):
            self._nouns = frozenset(_noun(getattr(route, "path", "/{any}")) for route in self.routes)
            self._counted = len(self.routes)
        if _noun(scope["path"].removeprefix(scope.get("root_path", ""))) in self._nouns or _ANY in self._nouns:
            return super().matches(scope)
        return Match.NONE, {}


def _noun(path: str) -> str:
    first = path.removeprefix("/v1").split("/", 2)[1:2]
    return first[0].partition(":")[0] if first and not first[0].startswith("{") else _ANY
