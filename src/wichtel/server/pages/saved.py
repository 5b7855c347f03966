"""Saved searches on the page of the search: chips beside those that many want, and a menu to keep, rename, share and delete them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wichtel.domain import SavedSearch, WichtelError
from wichtel.server.pages.reader import PageReader

#: Chips; the others are in the menu.
_MOST_CHIPS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What the menu shows."""

    #: The reader's own first.
    all: tuple[SavedSearch, ...]
    #: The one that is shown now, if there is one.
    current: SavedSearch | None
    #: Why the reader may not change that one; empty if they may.
    change_not: str
    #: Why the reader may not keep searches; empty if they may.
    save_not: str
    #: Teams that the reader may share with.
    teams: tuple[str, ...]
    #: What was typed, when it did not fit, and why.
    name: str = ""
    problem: str = ""

    @property
    def chips(self) -> tuple[SavedSearch, ...]:
        """Those that stand beside "All"."""
        return self.all[:_MOST_CHIPS]

    @property
    def others(self) -> tuple[SavedSearch, ...]:
        """The rest."""
        return self.all[_MOST_CHIPS:]


def keeping(
    reader: PageReader, query: str, sort: str, columns: Sequence[str], *, name: str = "", wrong: WichtelError | None = None
) -> Keeping:
    """What there is for `reader` while the list shows a query.

    Args:
        reader: Who looks.
        query: What is shown.
        sort: Its order.
        columns: What is shown of each experiment.
        name: What was typed as a name, if that did not fit.
        wrong: Why it did not.
    """
    me = reader.principal
    found = sorted(reader.app.saved_searches.list(me), key=lambda s: s.owner != me.name)
    here = [s for s in found if (s.query, s.sort) == (query, sort)]
    # Of two that ask the same, the one with these columns.
    current = min(here, key=lambda s: s.columns != tuple(columns), default=None)
    return Keeping(
        all=tuple(found),
        current=current,
        change_not=reader.why_not("save_search", owner=current.owner, team=current.team or None) if current else "",
        save_not=reader.why_not("save_search", owner=me.name),
        teams=tuple(team for team in sorted(me.teams) if me.may("save_search", team=team)),
        name=name,
        problem=" ".join(filter(None, (wrong.message[:1].upper() + wrong.message[1:], wrong.hint))) if wrong else "",
    )
