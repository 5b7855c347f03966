"""Experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from wichtel.domain import Experiment, ExperimentResult, ExperimentState, ExperimentStatus, IllegalTransition
from wichtel.server.authentication import Administrator, Caller, Services
from wichtel.server.wire import everything, json_body, reply, returns, text
from wichtel.store import ExperimentFilter, Page
from wichtel.workflows import StepStatus

router = APIRouter(prefix="/experiments", tags=["experiments"])


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishExperiment:
    """How an experiment ends."""

    status: ExperimentStatus
    #: Why, in words.
    cause: str
    result: ExperimentResult | None = None


@router.get("", **returns(Page[Experiment]))
def search(
    app: Services,
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
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    cursor: str | None = None,
) -> Response:
    """Experiments that fit everything that is given, the newest first."""
    wanted = ExperimentFilter(
        owner=owner,
        model=model,
        protocol=protocol,
        status=status,
        state=state,
        intent=intent,
        registration=registration,
        quota_group=quota_group,
        created_from=created_from,
        created_before=created_before,
        text=text,
    )
    return reply(app.experiments.search(wanted, limit, cursor))


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


@router.post("/{experiment}:cancel", **returns(Experiment))
def cancel(app: Services, caller: Caller, experiment: str) -> Response:
    """End it now."""
    return reply(app.experiments.cancel(experiment, caller))


@router.post("/{experiment}:finish", **returns(Experiment, accepts=FinishExperiment), dependencies=[Administrator])
def finish(app: Services, experiment: str, request: Annotated[FinishExperiment, Depends(json_body(FinishExperiment))]) -> Response:
    """Set how it ended. For protocols that do their work elsewhere; needs the role admin."""
    if not app.experiments.finish(experiment, request.status, request.cause, request.result):
        raise IllegalTransition("it has finished already.", where=f"experiment {experiment}")
    return reply(app.experiments.get(experiment))
