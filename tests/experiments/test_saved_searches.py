"""Searches that are kept under names: whose they are, who sees them, who changes them."""

from __future__ import annotations

from typing import Any

import pytest

from wichtel.domain import AlreadyExists, InvalidInput, NotFound, NotPermitted
from wichtel.experiments import Access, SavedSearches, SaveSearch, Teams
from wichtel.store import Database


def principals(database: Database) -> list[Any]:
    """An editor and a viewer of one team, an editor of another, an admin."""
    access, teams = Access(database), Teams(database)
    admin = access.authenticate(str(access.initialise()))
    found = []
    for name, role, team in (("ana", "editor", "ads"), ("vic", "viewer", "ads"), ("otto", "editor", "maps"), ("eve", "editor", "ads")):
        found.append(access.authenticate(access.create_token(admin, name, role=role, team=team)))
    teams.put("other", "", admin)
    access.close()
    return [*found, admin]


def test_who_sees_and_changes_a_saved_search(database: Database) -> None:
    ana, vic, otto, eve, admin = principals(database)
    searches = SavedSearches(database)
    wins = searches.add(SaveSearch(name="Wins", query="delta.auc>0", sort="-delta.auc", columns=("id", "delta.auc")), ana)
    assert searches.list(ana) == [wins]
    assert searches.list(eve) == searches.list(admin) == []
    with pytest.raises(NotFound):
        searches.get(wins.id, eve)
    with pytest.raises(AlreadyExists, match="Wins"):
        searches.add(SaveSearch(name="Wins"), ana)
    # A viewer keeps searches, but shares none.
    own = searches.add(SaveSearch(name="Wins", query="owner:vic"), vic)
    with pytest.raises(NotPermitted):
        searches.put(own.id, SaveSearch(name="Wins", team="ads"), vic)
    with pytest.raises(NotPermitted):
        searches.add(SaveSearch(name="theirs", team="maps"), ana)
    # Shared: seen by the team, changed by its editors, given to others by its owner only.
    shared = searches.put(wins.id, SaveSearch(name="Our wins", query="delta.auc>0", team="ads"), ana)
    assert (shared.owner, shared.created, shared.columns) == ("ana", wins.created, ())
    assert [s.name for s in searches.list(vic)] == ["Our wins", "Wins"]
    assert searches.list(otto) == []
    with pytest.raises(NotPermitted):
        searches.delete(wins.id, vic)
    changed = searches.put(wins.id, SaveSearch(name="Our wins", query="delta.auc>0.1", team="ads"), eve)
    assert changed.query == searches.get(wins.id, ana).query == "delta.auc>0.1"
    with pytest.raises(NotPermitted):
        searches.put(wins.id, SaveSearch(name="Our wins", team=""), eve)
    searches.delete(wins.id, eve)
    assert searches.list(ana) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": " a"},
        {"name": "x" * 81},
        {"name": "a\nb"},
        {"query": "stattus:x"},
        {"sort": "-beauty"},
        {"columns": ("a",) * 21},
    ],
)
def test_what_cannot_be_kept(database: Database, wrong: dict[str, Any]) -> None:
    ana = principals(database)[0]
    with pytest.raises(InvalidInput):
        SavedSearches(database).add(SaveSearch(**{"name": "a", **wrong}), ana)
