"""Studies and their trials."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Depends, Query
from starlette.responses import Response

from wichtel.domain import InvalidInput, Study, StudySpec, StudyState, Trial
from wichtel.experiments import TrialColumns, TrialCurve
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, json_body, read_as, reply, returns
from wichtel.store import Page
from wichtel.tuning.function import NAMED

router = NounRouter(tags=["studies"], route_class=Route)


@router.post("/studies", **returns(Study, status=201, accepts=StudySpec))
def add(app: Services, caller: Caller, request: Annotated[dict[str, Any], Depends(json_body(dict[str, Any]))]) -> Response:
    """Search.

    Each trial calls `entry`. With `wichtel.tuning.function:call_named`, that is the training function which the payload names, such as
    `{"function": "package.module:train", "metric": "accuracy"}`, called as `wt.tune` would; the workers must be able to import it.
    Any other is a "module:function" of your own, called with the payload and the run's context. Without an `id`, it is given one.
    """
    spec = read_as({"id": f"s-{uuid.uuid4().hex[:12]}", **request}, StudySpec)
    if spec.entry.partition(":")[0].partition(".")[0] == "wichtel" and spec.entry != NAMED:
        # Some of ours trust their payload; they are submitted by protocols and by `wt.tune`, not by whoever has a token.
        raise InvalidInput("entries of Wichtel itself are not for callers.", where="body, entry", hint="Name a function of your own.")
    return reply(app.studies.add(spec, caller), 201)


@router.get("/studies", **returns(Page[Study]))
def list_(
    app: Services,
    state: StudyState | None = None,
    name: Annotated[str | None, Query(description="Part of the study's name.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Response:
    """Studies, the newest first: in a state, or with `name` in theirs."""
    return reply(app.studies.list_written(state, name, limit, cursor))


@router.post("/studies/{study:path}:cancel", **returns(Study))
def cancel(app: Services, caller: Caller, study: str) -> Response:
    """End it now, with its runs."""
    return reply(app.studies.cancel(study, caller))


@router.get("/studies/{study:path}", **returns(Study))
def get(app: Services, study: str) -> Response:
    """One study by its id or name."""
    return reply(app.studies.get(study))


@router.get("/trials", **returns(Page[Trial]))
def trials(
    app: Services,
    study: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    cursor: str | None = None,
) -> Response:
    """The trials of a study, by number."""
    return reply(app.studies.trials_written(study, limit, cursor))


_Most = Annotated[int, Query(ge=1, le=10_000)]


@router.get("/trials:columns", **returns(TrialColumns))
def columns(
    app: Services,
    study: str,
    most: _Most = 2000,
    workers: Annotated[bool, Query(description="Whether to say who carried each out.")] = False,
) -> Response:
    """The trials of a study by columns, for pictures: the best, all that once were or are on the front, and of the others some."""
    return reply(app.studies.columns(study, most, workers=workers))


@router.get("/trials:curves", **returns(Page[TrialCurve]))
def curves(app: Services, study: str, metric: str, most: Annotated[int, Query(ge=1, le=500)] = 60) -> Response:
    """Learning curves of a study, thinned: of its best trials, its newest, and some that were stopped."""
    return reply(everything(app.studies.curves(study, metric, most)))


@router.get("/trials:importance", **returns(dict[str, float]))
def importance(app: Services, study: str) -> Response:
    """How much each parameter decides whether a trial is among the best: shares that add up to 1; none if too few trials have ended."""
    return reply(app.studies.view(study).importance)


@router.get("/trials:warnings", **returns(Page[str]))
def warnings(app: Services, study: str) -> Response:
    """What to know before the best of a study is believed: how much of it may be luck, or what fresh evaluations of it say."""
    return reply(everything(app.studies.warnings(study)))
