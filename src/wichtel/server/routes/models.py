"""Models and their versions. A name may hold slashes, so what belongs to a model is asked for by a parameter, not by a longer path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from wichtel.domain import Model, ModelVersion, NotFound
from wichtel.experiments import Checked, Onboarding
from wichtel.plans import SourceTree
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route, check_conditions, conditional, lengthy, remember
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import ARCHIVE_BYTES, json_body, page, raw_body, reply, returns, text
from wichtel.store import Page

router = NounRouter(tags=["models"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Which version becomes the head."""

    version: str


# PUT, since adding the same source tree twice is adding it once: a client may safely try again.
@router.put("/models/{name:path}", **returns(ModelVersion, status=201, accepts="application/zip"))
@lengthy
@conditional("models", lambda app, name: app.models.get(name))
def add(
    app: Services,
    caller: Caller,
    name: str,
    archive: Annotated[bytes, Depends(raw_body(ARCHIVE_BYTES))],
    team: str | None = None,
    new: bool = False,
) -> Response:
    """Analyse the plan in the zip archive and keep it, as a new model or a version of a known one, which `new` refuses."""
    return reply(app.models.add(name, archive, caller, team=team, new=new, check=check_conditions, also=remember), 201)


@router.post("/models:check", **returns(Checked, accepts="application/zip"))
@lengthy
def check(
    app: Services,
    caller: Caller,
    archive: Annotated[bytes, Depends(raw_body(ARCHIVE_BYTES))],
    team: str | None = None,
) -> Response:
    """Analyse the plan in the zip archive as adding it would, and tell what each protocol still needs; nothing is registered."""
    caller.permit("add_model", team=team or caller.team)
    tree = SourceTree.from_archive(archive)
    analysis, dataset = app.models.check(tree, caller, team=team)
    return reply(Checked(analysis=analysis, onboarding=tuple(app.protocols.onboarding(analysis, tree.files, dataset))))


@router.get("/onboarding", **returns(Page[Onboarding]))
def onboarding(app: Services, model: str) -> Response:
    """What each protocol still needs of the head of a model, with the lines that would do."""
    head = app.models.version(app.models.get(model).head)
    try:
        dataset = app.datasets.get(head.analysis.job.dataset)
    except NotFound:
        dataset = None
    return reply(Page(items=tuple(app.protocols.onboarding(head.analysis, app.models.files(head.id), dataset))))


@router.get("/models", **returns(Page[Model]))
def list_(
    app: Services,
    owner: str | None = None,
    contains: str | None = None,
    archived: Annotated[bool, Query(description="Also those that are archived.")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Response:
    """Models by name, of an owner, or with `contains` in the name."""
    return reply(page(app.models.list(owner, contains, limit + 1, cursor, archived=archived), limit, lambda model: model.name))


@router.post("/models/{name:path}:launch", **returns(Model, accepts=Launch))
@conditional("models", lambda app, name: app.models.get(name))
def launch(app: Services, caller: Caller, name: str, request: Annotated[Launch, Depends(json_body(Launch))]) -> Response:
    """Make a version, such as a candidate that an experiment proposes, the one that experiments start from."""
    return reply(app.models.launch(name, request.version, caller))


@router.post("/models/{name:path}:archive", **returns(Model))
@conditional("models", lambda app, name: app.models.get(name))
def archive(app: Services, caller: Caller, name: str) -> Response:
    """Put a model away: lists leave it out, and no version, launch or registration of it is taken. What runs goes on."""
    return reply(app.models.archive(name, caller))


@router.post("/models/{name:path}:restore", **returns(Model))
@conditional("models", lambda app, name: app.models.get(name))
def restore(app: Services, caller: Caller, name: str) -> Response:
    """Take back that a model was archived."""
    return reply(app.models.restore(name, caller))


@router.get("/models/{name:path}", **returns(Model))
def get(app: Services, name: str) -> Response:
    """One model."""
    return reply(app.models.get(name))


@router.get("/versions", **returns(Page[ModelVersion]))
def versions(
    app: Services,
    model: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Response:
    """The versions of a model, candidates among them, oldest first."""
    return reply(app.models.versions(model, limit, cursor))


@router.get("/versions/{version}", **returns(ModelVersion))
def version(app: Services, version: str) -> Response:
    """One version with what the analysis of its plan found."""
    return reply(app.models.version(version))


@router.get("/versions/{version}/diff", **returns(None, media_type="text/x-diff"))
def diff(app: Services, version: str, base: str) -> Response:
    """The unified diff from version `base` to this one."""
    return text(app.models.diff(base, version), "text/x-diff")


@router.get("/versions/{version}/archive", **returns(None, media_type="application/zip"))
def source(app: Services, version: str) -> Response:
    """The source tree as a zip archive."""
    return Response(app.models.source(version), media_type="application/zip")
