"""Searches that are kept under names."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from wichtel.client.connection import Connection
from wichtel.domain import NotFound, SavedSearch, did_you_mean
from wichtel.store import codec


class SavedSearches:
    """Your saved searches, and those that are shared with your teams."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, name: str, query: str, *, sort: str = "-created", columns: Sequence[str] = (), team: str = "") -> SavedSearch:
        """Keep a search.

        Args:
            name: How you call it.
            query: In the language of searches.
            sort: Its order.
            columns: What pages show; none for what the reader likes.
            team: The team that sees it too; takes the role editor there.

        Raises:
            AlreadyExists: you have one of that name.
            InvalidInput: what is no name, query or order.
        """
        body = {"name": name, "query": query, "sort": sort, "columns": list(columns), "team": team}
        return codec.read(self._connection.call("POST", "/v1/saved-searches", body=body).content, SavedSearch)

    def list(self) -> builtins.list[SavedSearch]:
        """All of them, by name."""
        return self._connection.all(SavedSearch, "/v1/saved-searches")

    def find(self, name: str) -> SavedSearch:
        """The one of that name or id, your own before those of others.

        Raises:
            NotFound: there is none.
        """
        mine = self._connection.call("GET", "/v1/me").json()["name"]
        found = sorted(self.list(), key=lambda s: s.owner != mine)
        for search in found:
            if name in (search.name, search.id):
                return search
        raise NotFound(f"there is no saved search {name!r}.", hint=did_you_mean(name, [s.name for s in found]))

    def change(self, search: SavedSearch, **changes: Any) -> SavedSearch:
        """Change its name, query, sort, columns or team.

        Raises:
            NotFound: there is none that you may know of.
            AlreadyExists: its owner has another of that name.
        """
        body = {name: getattr(search, name) for name in ("name", "query", "sort", "columns", "team")} | changes
        return codec.read(self._connection.call("PUT", f"/v1/saved-searches/{quote(search.id)}", body=body).content, SavedSearch)

    def delete(self, identity: str) -> None:
        """Forget one.

        Raises:
            NotFound: there is none that you may know of.
        """
        self._connection.call("DELETE", f"/v1/saved-searches/{quote(identity)}")
