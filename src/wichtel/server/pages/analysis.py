"""Many experiments side by side: what a gain costs, what the settings do, a table of differences, one that is looked at as candidate."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import Comparison, Experiment, ExperimentState, WichtelError
from wichtel.domain.query import all_of, equals
from wichtel.server.pages.reader import PageReader, Reader, page_router
from wichtel.server.pages.sidebyside import as_csv, cells, drawing, ordered, settings_of, text
from wichtel.server.pages.verdicts import draw

router = page_router("/analysis")

#: Of each kind, unless more are asked for.
_FEW_METRICS, _FEW_SETTINGS, _FEW_CHARTS = 4, 5, 6
_SCALES = {"": None, "values": False, "differences": True}
#: Experiments from which it is told what could be compared.
_LATELY = 200

_Names = Annotated[list[str] | None, Query()]
_Text = Annotated[str, Query(max_length=4000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is shown: the page's address."""

    #: The experiments; or
    id: tuple[str, ...] = ()
    #: what they have in common.
    query: str = ""
    #: The one that is looked at, and that all are compared with.
    candidate: str = ""
    #: The axes of the trade-off.
    x: str = ""
    y: str = ""
    #: What is drawn against which settings; empty for several.
    metric: str = ""
    against: str = ""
    #: ``values`` or ``differences``; empty for what fits.
    scale: str = ""
    #: The columns; empty for the usual ones.
    metrics: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    sort: str = ""

    def address(self, path: str = "/analysis", **changes: Any) -> str:
        """The address of this view, with changes."""
        pairs = self.pairs(changes)
        return f"{path}?{urlencode(pairs, safe=',.:*')}" if pairs else path

    def pairs(self, changes: dict[str, Any] | None = None, without: Sequence[str] = ()) -> list[tuple[str, str]]:
        """Names and values of the address, with `changes`, without some names."""
        found: list[tuple[str, str]] = []
        for name in (field.name for field in fields(self) if field.name not in without):
            value = (changes or {}).get(name, getattr(self, name))
            found += [(name, one) for one in (value if isinstance(value, tuple | list) else (value,)) if one]
        return found


@router.get("")
def analysis(
    reader: Reader,
    id: _Names = None,  # noqa: A002 -- what it is in the address
    query: _Text = "",
    candidate: _Text = "",
    x: _Text = "",
    y: _Text = "",
    metric: _Text = "",
    against: _Text = "",
    scale: str = "",
    metrics: _Names = None,
    settings: _Names = None,
    sort: _Text = "",
) -> Response:
    """The page, or for htmx all of it but the search box."""
    # Before anything is asked for: what happens meanwhile is then told twice rather than never.
    latest = reader.latest_event()
    ids = _split(id)
    view = View(
        id=ids,
        query="" if ids else query.strip(),
        candidate=candidate.strip(),
        x=x,
        y=y,
        metric=metric,
        against=against,
        scale=scale if scale in _SCALES else "",
        metrics=_split(metrics),
        settings=_split(settings),
        sort=sort,
    )
    found, wrong = _compared(reader, view)
    shown: dict[str, Any] = {} if found is None else _shown(reader, found, view)
    return reader.show(
        "parts/analysis.html" if reader.partial else "analysis.html",
        422 if wrong else 200,
        title=f"Analysis · {_what(found)}" if found is not None else "Analysis",
        view=view,
        comparison=found,
        wrong=wrong,
        what=_what(found) if found is not None else "",
        suggestions=_suggestions(reader) if found is None else (),
        latest=latest,
        **shown,
    )


@router.get("/export.csv")
def export(reader: Reader, id: _Names = None, query: _Text = "", candidate: _Text = "") -> Response:  # noqa: A002
    """All that is known of them, as a table."""
    ids = _split(id)
    found = reader.app.comparisons.compare(ids, query="" if ids else query.strip(), reference=candidate.strip())
    headers = {"Content-Disposition": 'attachment; filename="comparison.csv"', "Cache-Control": "no-store"}
    return Response(as_csv(found), media_type="text/csv", headers=headers)


@router.post("/of")
def of(reader: Reader) -> Response:
    """To the page of the experiments that were chosen in a list."""
    chosen = tuple(dict.fromkeys(reader.form.all("id")))
    return reader.go(View(id=chosen).address())


def with_others(e: Experiment) -> str:
    """The address where an experiment is compared with others of its model and protocol."""
    return View(query=str(all_of(equals("model", e.model), equals("protocol", e.protocol))), candidate=e.id).address()


def _compared(reader: PageReader, view: View) -> tuple[Comparison | None, WichtelError | None]:
    if not view.id and not view.query:
        return None, None
    try:
        return reader.app.comparisons.compare(view.id, query=view.query, reference=view.candidate), None
    except WichtelError as error:
        return None, error


def _shown(reader: PageReader, found: Comparison, view: View) -> dict[str, Any]:
    """All that the page has of a comparison."""
    known = {c.name: c for c in found.metrics}
    names = list(known)
    y = view.y if view.y in known else names[0] if names else ""
    x = view.x if view.x in known else next((name for name in names if name != y), y)
    metric = view.metric if view.metric in known else y
    settings = settings_of(found)
    axes = [name for name, fits in settings.items() if fits]
    against = [view.against] if view.against in axes else axes[:_FEW_CHARTS]
    objectives = list(dict.fromkeys([*found.objectives, y, x]))
    metrics = [name for name in view.metrics if name in known] or [n for n in objectives if n][:_FEW_METRICS]
    chosen = [name for name in view.settings if name in settings] or list(settings)[:_FEW_SETTINGS]
    better = known[y].better if y else "larger"
    order = view.sort or (f"{'-' if better == 'larger' else ''}delta.{y}" if y else "-created")
    drawn = drawing(found, x=x, y=y, metric=metric, settings=against, as_difference=_SCALES[view.scale])
    return {
        "x": x,
        "y": y,
        "metric": metric,
        "against": against,
        "axes": axes,
        "all_metrics": names,
        "all_settings": list(settings),
        "columns": [known[name] for name in metrics],
        "cells": {name: cells(found, name) for name in metrics},
        "settings": chosen,
        "rows": ordered(found, order),
        "order": order,
        "front": set(drawn["front"]),
        "points": json.dumps(drawn, allow_nan=False, separators=(",", ":")),
        "drawn": drawn,
        "unfinished": {e.id for e in found.experiments if e.state is not ExperimentState.FINISHED},
        "text": text,
        **_candidate(reader, view),
    }


def _candidate(reader: PageReader, view: View) -> dict[str, Any]:
    """The one that is looked at, with its verdict."""
    if not view.candidate:
        return {"candidate": None, "findings": [], "rerun_not": ""}
    e = reader.app.experiments.get(view.candidate)
    return {
        "candidate": e,
        "findings": [draw(finding) for finding in e.result.verdict.findings] if e.result else [],
        "rerun_not": reader.why_not("register_models", team=reader.app.models.get(e.model).team),
        "candidate_address": f"/experiments/{quote(e.id, safe='')}",
    }


def _what(found: Comparison) -> str:
    """What is compared, in words."""
    number = f"{len(found.experiments)} experiment{'s' if len(found.experiments) != 1 else ''}"
    of = f" of {found.common['protocol']}" if "protocol" in found.common else ""
    return f"{number}{of}{' on ' + found.common['model'] if 'model' in found.common else ''}"


def _suggestions(reader: PageReader) -> list[tuple[str, str, int, str]]:
    """What could be compared: model, protocol, how many lately, address."""
    lately = reader.app.experiments.search("status:SATISFIED,UNSATISFIED", limit=_LATELY).items
    often = Counter((e.model, e.protocol) for e in lately)
    return [
        (model, protocol, number, View(query=str(all_of(equals("model", model), equals("protocol", protocol)))).address())
        for (model, protocol), number in often.most_common(6)
    ]


def _split(names: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for name in names or () for part in name.split(",") if part.strip()))
