"""What may come next in a query, while somebody types it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wichtel.domain.query import FIELDS, FieldKind, field_text

if TYPE_CHECKING:
    from wichtel.app import App
    from wichtel.experiments import Principal

_MOST = 12
_TERM = re.compile(r'(?:^|[\s(])(-?)([a-z_]*)(?:(:|>=|<=|>|<|=)([^\s"()]*))?$')
_METRIC = re.compile(r'(?:^|[\s(])-?([a-z]+)\.([^\s"():<>=,*]*)$')
_BARE = re.compile(r'[^\s"(),<>=*]+')
_EXAMPLES = {
    FieldKind.TIME: (("-1d", "within a day"), ("-7d", "within a week"), ("today", ""), ("yesterday", "")),
    FieldKind.DURATION: (("30min", ""), ("2h", "")),
}


@dataclass(frozen=True, slots=True)
class Completion:
    """One way to go on."""

    #: What stands in the place of the last characters.
    text: str
    help: str
    #: How many characters before the caret it replaces.
    replaces: int


def completions(app: App, principal: Principal, before: str) -> list[Completion]:
    """Ways to go on after `before`, the query up to the caret; fields first, then their values."""
    if metric := _METRIC.search(before):
        return _metrics(app, *metric.groups())
    found = _TERM.search(before)
    if found is None:
        return []
    _, name, operator, value = found.groups()
    if operator is None:
        names = ((f.name + ("." if f.of_metric else ""), f) for f in FIELDS.values())
        return [
            Completion(text + ("" if f.of_metric else ">" if f.kind.ordered else ":"), f.help, len(name))
            for text, f in names
            if text.startswith(name)
        ][:_MOST]
    last = value.rpartition(",")[2]
    return [
        Completion(text if _BARE.fullmatch(text) else f'"{text}"', meaning, len(last))
        for text, meaning in _values(app, principal, name, last)
        if last.lower() in text.lower()
    ][:_MOST]


def _values(app: App, principal: Principal, name: str, begun: str) -> list[tuple[str, str]]:
    field = FIELDS.get("team" if name == "quota_group" else name)
    if field is None:
        return []
    if field.words:
        return [(word, "") for word in field.words]
    if field.kind in _EXAMPLES:
        return list(_EXAMPLES[field.kind])
    names = app.vocabulary.names
    if name == "model":
        return [(model.name, model.team) for model in app.models.list(contains=begun or None, limit=_MOST)]
    if name == "protocol":
        return [(info.name, info.help.partition("\n")[0]) for info in app.protocols.list()]
    if name == "intent":
        # Those that are put, and those that experiments had.
        return [(intent, "") for intent in dict.fromkeys([*(i.name for i in app.intents.list()), *names("intent", begun)])]
    if name == "owner":
        return _mine_first({principal.name: "you"}, names("owner", begun))
    if name in ("team", "quota_group"):
        return _mine_first(dict.fromkeys(principal.teams, "yours"), names("team", begun))
    return []


def _mine_first(mine: dict[str, str], known: list[str]) -> list[tuple[str, str]]:
    return [*mine.items(), *((name, "") for name in known if name not in mine)]


def _metrics(app: App, name: str, begun: str) -> list[Completion]:
    """After ``delta.``: the metrics that experiments reported."""
    field = FIELDS.get(name)
    if field is None or not field.of_metric:
        return []
    known = app.vocabulary.names("metric", begun, _MOST)
    return [Completion(field_text(name, metric).removeprefix(f"{name}.") + ">", field.help, len(begun)) for metric in known]
