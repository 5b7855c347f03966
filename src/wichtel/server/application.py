"""The HTTP application, made from the services."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Request

from wichtel.domain import InvalidInput, did_you_mean
from wichtel.server import pages, problems, schema
from wichtel.server.authentication import _principal
from wichtel.server.limits import Limits, admitted
from wichtel.server.metrics import Metrics
from wichtel.server.middleware import Gate, RequestIds
from wichtel.server.observation import Observed
from wichtel.server.routes import ROUTERS, events, health, sessions
from wichtel.server.selection import selected
from wichtel.server.statistics import Requests

if TYPE_CHECKING:
    from wichtel.app import App

STATIC = Path(__file__).parent / "static"


def create_app(app: App) -> FastAPI:
    """The API over `app`'s services. It neither starts nor stops them.

    Args:
        app: The services.
    """
    api = FastAPI(
        title="Wichtel",
        version=version("wichtel"),
        description="Improves an organisation's machine-learning models: models, intents, experiments, studies, runs. "
        "Every error is a problem report (RFC 9457). Lists are pages: hand `cursor` in again for the next one.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=schema.operation_id,
    )
    api.state.services = app
    #: Whoever runs the server puts a function here that says when long answers are to end.
    api.state.stopping = lambda: False
    api.state.newest_event = events.Newest(app)
    #: Counts them; whoever runs the server has it write them down.
    api.state.requests = requests = Requests()
    api.state.metrics = Metrics(app, requests)
    settings = app.settings
    common = [Depends(_principal), Depends(admitted), Depends(_known_parameters), Depends(selected)]
    for router in ROUTERS:
        # Each by itself: of routers within routers, every request is compared with all routes once for each level.
        api.include_router(router, prefix="/v1", dependencies=common)
    api.include_router(health.router)
    api.include_router(sessions.router)
    pages.install(api, STATIC)
    problems.install(api)
    # The last is the outermost.
    api.add_middleware(Observed, draining=lambda: app.draining)
    api.add_middleware(Gate, at_once=settings.concurrent_requests)
    api.add_middleware(RequestIds, requests=requests, limits=Limits(settings.requests_per_second, settings.request_burst))
    setattr(api, "openapi", lambda: schema.document(api))  # noqa: B010 FastAPI's documented way, which mypy does not like as an assignment
    return api


async def _known_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not have, or that is given twice: neither may silently be left out."""
    # The route does not know of what all of them have; `selected` refuses it where it says nothing.
    known = _query_names(request.scope["route"].dependant) | {"fields"}
    for name in request.query_params:
        if name not in known:
            raise InvalidInput(f"unknown parameter {name!r}.", where="query", hint=did_you_mean(name, known))
        if len(request.query_params.getlist(name)) > 1:
            raise InvalidInput("it is given twice.", where=f"query parameter {name!r}", hint="Each is given once.")


def _query_names(dependant: Any) -> set[str]:
    return {p.alias for p in dependant.query_params}.union(*(_query_names(d) for d in dependant.dependencies))
