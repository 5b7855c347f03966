"""Registrations: models × protocols."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from wichtel.domain import Registration
from wichtel.experiments import RegisterModels
from wichtel.experiments.forecasts import MOST_OUTLOOKS
from wichtel.experiments.preview import Extent, RegistrationPreview
from wichtel.experiments.preview import preview as preview_
from wichtel.server.authentication import Caller, Services
from wichtel.server.exchange import current
from wichtel.server.idempotency import Route, harmless
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import json_body, reply, returns
from wichtel.store import Page

router = NounRouter(prefix="/registrations", tags=["registrations"], route_class=Route)

Request = Annotated[RegisterModels, Depends(json_body(RegisterModels))]


@router.post("", **returns(Registration, status=201, accepts=RegisterModels))
def register(app: Services, caller: Caller, request: Request) -> Response:
    """Make an experiment for each model and protocol. `idempotency_key` means what the header Idempotency-Key does."""
    # Either way the registration is known by its key as long as it exists, when the answer is long forgotten.
    request = replace(request, idempotency_key=request.idempotency_key or current().idempotency_key)
    return reply(app.experiments.register_models(request, caller), 201)


@router.post(":preview", **returns(RegistrationPreview, accepts=RegisterModels))
@harmless
def preview(
    app: Services,
    caller: Caller,
    request: Request,
    forecast: Annotated[
        Extent | None, Query(description=f"What they would take and need: each of up to {MOST_OUTLOOKS}, or all together.")
    ] = None,
) -> Response:
    """The experiments that a registration would make, with their complete configurations; nothing is stored.

    With `skip_unfit`, also the pairs of model and protocol that would be left out, each with why.
    """
    return reply(preview_(app.experiments, app.forecasts, request, caller, forecast))


@router.get("", **returns(Page[Registration]))
def list_(
    app: Services,
    owner: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Response:
    """Registrations, the newest first: all, or an owner's."""
    return reply(app.experiments.registrations(owner, limit, cursor))


@router.get("/{registration}", **returns(Registration))
def get(app: Services, registration: str) -> Response:
    """One registration."""
    return reply(app.experiments.get_registration(registration))


@router.post("/{registration}:cancel", **returns(Registration))
def cancel(app: Services, caller: Caller, registration: str) -> Response:
    """Cancel every experiment of it that is not finished."""
    return reply(app.experiments.cancel_registration(registration, caller))
