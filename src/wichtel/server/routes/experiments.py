"""Experiments."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from wichtel.domain import Experiment, ExperimentResult, ExperimentState, ExperimentStatus, IllegalTransition, parse_query
from wichtel.domain.query import Pattern, Word, all_of, compares, contains, equals
from wichtel.experiments import On, Rerun, Seed
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, json_body, reply, returns, text
from wichtel.store import Page
from wichtel.workflows import StepStatus

router = NounRouter(prefix="/experiments", tags=["experiments"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishExperiment:
    """How an experiment ends."""

    status: ExperimentStatus
    #: Why, in words.
    cause: str
    result: ExperimentResult | None = None


class Form(StrEnum):
    """In which form a candidate is handed over."""

    PATCH = "patch"
    FOLDER = "folder"


#: An answer of one of two kinds.
_EXPORT = returns(None, media_type="text/x-patch")
_EXPORT["responses"][200]["content"]["application/zip"] = {"schema": {"type": "string", "format": "binary"}}


@router.get("", **returns(Page[Experiment]))
def search(
    app: Services,
    query: Annotated[str, Query(max_length=4000, description="Such as 'owner:ana -status:SATISFIED delta.auc>0.002 created>-7d'.")] = "",
    owner: str | None = None,
    model: Annotated[str | None, Query(description="Part of the model's name.")] = None,
    protocol: str | None = None,
    status: ExperimentStatus | None = None,
    state: ExperimentState | None = None,
    intent: str | None = None,
    registration: str | None = None,
    quota_group: str | None = None,
    created_from: AwareDatetime | None = None,
    created_before: AwareDatetime | None = None,
    text: Annotated[str | None, Query(description="Part of the id, model, protocol, owner, intent or cause.")] = None,
    sort: Annotated[str, Query(description="A field of the query language; a minus before it for the largest first.")] = "-created",
    count: Annotated[bool, Query(description="Whether to say how many there are in all, up to 10000.")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    cursor: str | None = None,
) -> Response:
    """Experiments that fit the query. Each other parameter is one more term of it, so that all must hold."""
    names = {"owner": owner, "protocol": protocol, "intent": intent, "registration": registration, "team": quota_group}
    wanted = all_of(
        parse_query(query),
        *(equals(name, value) for name, value in names.items() if value is not None),
        *(equals(name, value) for name, value in (("status", status), ("state", state)) if value is not None),
        contains("model", model) if model else None,
        compares("created", ">=", created_from) if created_from else None,
        compares("created", "<", created_before) if created_before else None,
        Word(Pattern((text,))) if text else None,
    )
    return reply(app.experiments.search_written(wanted, sort=sort, limit=limit, cursor=cursor, total=count))


@router.get("/{experiment}", **returns(Experiment))
def get(app: Services, experiment: str) -> Response:
    """One experiment, with its verdict once it has one."""
    return reply(app.experiments.get(experiment))


@router.get("/{experiment}/steps", **returns(Page[StepStatus]))
def steps(app: Services, experiment: str) -> Response:
    """The steps of its workflow and how far each is."""
    return reply(everything(app.experiments.steps(experiment)))


@router.get("/{experiment}/diff", **returns(None, media_type="text/x-diff"))
def diff(app: Services, experiment: str) -> Response:
    """The unified diff from the model to the candidate that it proposes."""
    return text(app.experiments.diff(experiment), "text/x-diff")


@router.get("/{experiment}/export", **_EXPORT)
def export(
    app: Services,
    experiment: str,
    form: Annotated[Form, Query(description="A patch, or a zip archive that is ready for a pull request.")] = Form.PATCH,
    prefix: Annotated[str, Query(max_length=1000, description="The model's folder in its repository.")] = "",
) -> Response:
    """The candidate for the repository that the model comes from, with the verdict: a patch that `git apply` and `git am` take, or a zip
    archive with description, patch and source tree.
    """
    if form is Form.FOLDER:
        return Response(app.handover.folder(experiment, prefix), media_type="application/zip")
    return text(app.handover.patch(experiment, prefix), "text/x-patch")


@router.post("/{experiment}:rerun", **returns(Experiment, status=201))
def rerun(
    app: Services,
    caller: Caller,
    experiment: str,
    on: Annotated[On, Query(description="The version that it started from, or the model's head.")] = On.TARGET,
    seed: Annotated[Seed, Query(description="The same seed, or a fresh one.")] = Seed.SAME,
) -> Response:
    """Register it once more with the same configuration."""
    return reply(app.experiments.rerun(experiment, Rerun(on=on, seed=seed), caller), 201)


@router.post("/{experiment}:cancel", **returns(Experiment))
def cancel(app: Services, caller: Caller, experiment: str) -> Response:
    """End it now."""
    return reply(app.experiments.cancel(experiment, caller))


@router.post("/{experiment}:finish", **returns(Experiment, accepts=FinishExperiment))
def finish(
    app: Services, caller: Caller, experiment: str, request: Annotated[FinishExperiment, Depends(json_body(FinishExperiment))]
) -> Response:
    """Set how it ended. For protocols that do their work elsewhere; needs the role admin."""
    if not app.experiments.finish(experiment, request.status, request.cause, request.result, caller):
        raise IllegalTransition("it has finished already.", where=f"experiment {experiment}")
    return reply(app.experiments.get(experiment))
