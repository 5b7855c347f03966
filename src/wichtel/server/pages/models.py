"""Models: how each stands, where its versions came from, what it is made of, and what can be done with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import Experiment, Model, ModelVersion, NotFound, Outline, SubjectKind
from wichtel.domain.query import equals
from wichtel.server.pages.datasets import windows
from wichtel.server.pages.lineage import lineage
from wichtel.server.pages.reader import PageReader, Reader, page_router

router = page_router("/models")

_ON_A_PAGE = 25
_VERSIONS = 30
#: Experiments that the chart is made of, and that are listed.
_CHARTED, _LISTED = 200, 8
_MOST_METRICS = 12
_MOST_FILES = 40
#: Of the picture of the windows, in its own units: as `windows` draws it.
_WIDTH = 600


@dataclass(frozen=True, slots=True)
class Row:
    """A model in the list."""

    model: Model
    head: ModelVersion | None
    versions: int
    last: Outline | None
    #: The newest with a verdict.
    judged: Experiment | None

    @property
    def value(self) -> float | None:
        """Its primary metric, when it was last measured."""
        result = self.judged.result if self.judged else None
        return result.baseline_metrics.get(self.head.analysis.metadata.primary_metric) if result and self.head else None


@router.get("")
def models(
    reader: Reader,
    name: Annotated[str, Query(max_length=200)] = "",
    team: Annotated[str, Query(max_length=200)] = "",
    archived: str = "",
    after: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """The list, or for htmx its table."""
    latest = reader.latest_event()
    app = reader.app
    name = name.strip()
    found = app.models.list(contains=name or None, team=team or None, archived=bool(archived), limit=_ON_A_PAGE + 1, after=after or None)
    shown = found[:_ON_A_PAGE]
    names = [model.name for model in shown]
    heads, counts, last = app.models.heads(shown), app.models.counts(names), app.experiments.latest_of(names)
    measured = app.experiments.latest_of(names, judged=True)
    whole = {e.model: e for e in app.experiments.many([outline.id for outline in measured.values()]).values()}
    given = {key: value for key, value in (("name", name), ("team", team), ("archived", archived)) if value}
    return reader.show(
        "parts/models.html" if reader.partial else "models.html",
        title="Models",
        rows=[Row(m, heads.get(m.name), counts.get(m.name, 0), last.get(m.name), whole.get(m.name)) for m in shown],
        name=name,
        team=team,
        archived=archived,
        after=after,
        teams=[t.name for t in app.teams.list()],
        address=_address("/models", given | ({"after": after} if after else {})),
        first=_address("/models", given),
        following=_address("/models", given | {"after": names[-1]}) if len(found) > len(shown) else "",
        add_not=reader.why_not("add_model", team=reader.principal.team),
        latest=latest,
    )


@router.post("/{name:path}/launch")
def launch(reader: Reader, name: str) -> Response:
    """Let experiments start from a version."""
    reader.app.models.launch(name, reader.form.one("version"), reader.principal)
    return reader.go(f"/models/{quote(name)}")


@router.post("/{name:path}/archive")
def archive(reader: Reader, name: str) -> Response:
    """Put it away."""
    reader.app.models.archive(name, reader.principal)
    return reader.go(f"/models/{quote(name)}")


@router.post("/{name:path}/restore")
def restore(reader: Reader, name: str) -> Response:
    """Fetch it back."""
    reader.app.models.restore(name, reader.principal)
    return reader.go(f"/models/{quote(name)}")


@router.post("/{name:path}/watch")
def watch(reader: Reader, name: str) -> Response:
    """Be told what becomes of its experiments."""
    reader.app.channels.watch(SubjectKind.MODEL, name, reader.principal)
    return reader.go(f"/models/{quote(name)}")


@router.post("/{name:path}/unwatch")
def unwatch(reader: Reader, name: str) -> Response:
    """Be told no more."""
    reader.app.channels.unwatch(SubjectKind.MODEL, name, reader.principal)
    return reader.go(f"/models/{quote(name)}")


@router.get("/{name:path}")
def model(
    reader: Reader,
    name: str,
    version: Annotated[str, Query(max_length=200)] = "",
    show: Annotated[str, Query(max_length=500)] = "",
    cursor: Annotated[str, Query(max_length=1000)] = "",
) -> Response:
    """One model, or for htmx all of it but what stands around."""
    latest = reader.latest_event()
    app = reader.app
    m = app.models.get(name)
    head = app.models.version(m.head)
    chosen = app.models.version(version) if version else head
    if chosen.model != name:
        raise NotFound(f"it has no version {version!r}.", where=f"model {name}")
    page = app.models.newest(name, _VERSIONS, cursor or None)
    made = app.experiments.many([v.experiment for v in {v.id: v for v in (*page.items, chosen)}.values() if v.experiment])
    recent = app.experiments.search(equals("model", name), sort="-created", limit=_CHARTED).items
    files = app.models.files(chosen.id)
    analysis = head.analysis
    try:
        dataset = app.datasets.get(analysis.job.dataset)
    except NotFound:
        dataset = None
    address = f"/models/{quote(name)}"
    metadata = analysis.metadata
    return reader.show(
        "parts/model.html" if reader.partial else "model.html",
        title=f"{name} · model",
        m=m,
        head=head,
        a=analysis,
        address=address,
        here=_address(address, {"version": version, "show": show, "cursor": cursor}),
        versions=lineage(page.items, m.head),
        all_versions=app.models.counts([name]).get(name, 0),
        following=_address(address, {"cursor": page.cursor}) if page.cursor else "",
        cursor=cursor,
        made=made,
        chosen=chosen,
        **_files(chosen, files, show, app.models.diff(chosen.parent, chosen.id) if chosen.parent else ""),
        recent=recent[:_LISTED],
        more=len(recent) > _LISTED,
        history=_history(recent, metadata.primary_metric),
        onboarding=app.protocols.onboarding(analysis, files if chosen.id == head.id else app.models.files(head.id), dataset),
        dataset=dataset,
        windows=windows(dataset, head) if dataset else (),
        width=_WIDTH,
        intents=[(one, one.intent.resolve(metadata.primary_metric, metadata.better)) for one in app.intents.applied(name)],
        watched=any((w.kind, w.subject) == (SubjectKind.MODEL, name) for w in app.channels.watches(reader.principal)),
        **_may(reader, m),
        latest=latest,
    )


def _may(reader: PageReader, m: Model) -> dict[str, Any]:
    archived = "it is archived." if m.archived else ""
    return {
        "launch_not": archived or reader.why_not("launch", team=m.team),
        "archive_not": reader.why_not("archive_model", team=m.team, owner=m.owner),
        "watch_not": reader.why_not("watch"),
        "register_not": archived or reader.why_not("register_models", team=m.team),
        "add_not": archived or reader.why_not("add_version", team=m.team),
    }


def _files(chosen: ModelVersion, files: Mapping[str, bytes], show: str, diff: str) -> dict[str, Any]:
    """What is shown of a version: what it changed, or one of its files."""
    if show not in files:
        # What somebody added without a parent is told best by the plan itself.
        show = "changes" if chosen.parent else "plan.py"
    text: str | None = None
    if show in files:
        try:
            text = files[show].decode()
        except UnicodeDecodeError:
            text = None
    names = sorted(files, key=lambda path: (path not in ("plan.py", "job.toml"), path != "plan.py", path))
    return {"diff": diff, "show": show, "text": text, "size": len(files.get(show, b"")), "files": names[:_MOST_FILES]}


def _history(experiments: Sequence[Experiment], primary: str) -> str:
    """What experiments measured, oldest first, as the chart reads it; empty if they measured nothing."""
    done = [(e.finished, e, e.result) for e in experiments if e.finished is not None and e.result is not None]
    if not done:
        return ""
    points = [
        {
            "at": round(finished.timestamp() * 1000),
            "id": e.id,
            "protocol": e.protocol,
            "status": str(e.status),
            "baseline": _finite(result.baseline_metrics),
            "candidate": _finite(result.candidate_metrics),
        }
        for finished, e, result in sorted(done, key=lambda one: one[0])
    ]
    names = {name for _, _, result in done for name in result.baseline_metrics}
    ordered = sorted(names, key=lambda metric: (metric != primary, metric))[:_MOST_METRICS]
    return json.dumps({"metrics": ordered, "points": points})


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _address(path: str, given: Mapping[str, str]) -> str:
    kept = {name: value for name, value in given.items() if value}
    return f"{path}?{urlencode(kept, safe='/*')}" if kept else path
