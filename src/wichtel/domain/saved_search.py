"""Searches that somebody keeps under a name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    """A question that is asked again and again, and how its answer is shown."""

    id: str
    #: Whose it is; of an owner's searches no two have the same name.
    owner: str
    name: str
    #: In the language of searches.
    query: str
    #: As in searches, such as ``-created``.
    sort: str = "-created"
    #: What pages show of each experiment, such as ``id`` and ``delta.auc``; none stand for what the reader likes.
    columns: tuple[str, ...] = ()
    #: The team that sees it too, of which editors may change it; empty if it is only the owner's.
    team: str = ""
    created: datetime
