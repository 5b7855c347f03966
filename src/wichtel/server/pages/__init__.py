"""The web pages: what people see of the service. Rendered here, one module per page; no page needs JavaScript to be read.

Owns: pages, their templates (`server/templates`) and small scripts and style (`server/static/pages`), the way into them, errors as pages.
May import what the rest of `server` may. Start with `reader.py` (who reads a page, and how it is shown) and `home.py` (the smallest page).
To add a page, copy `home.py` and `templates/home.html`, and name its router in `ROUTERS` and, if it is one of the main ones, in
`navigation.py`. A handler gathers what it shows by the same calls of the services as the API's routes, and never calls the API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wichtel.server.pages import docs
from wichtel.server.pages.admin import router as admin
from wichtel.server.pages.analysis import router as analysis
from wichtel.server.pages.datasets import router as datasets
from wichtel.server.pages.experiment import router as experiment
from wichtel.server.pages.health import router as health
from wichtel.server.pages.home import router as home
from wichtel.server.pages.intents import router as intents
from wichtel.server.pages.launch import router as launch
from wichtel.server.pages.login import router as login
from wichtel.server.pages.me import router as me
from wichtel.server.pages.models import router as models
from wichtel.server.pages.onboarding import router as onboarding
from wichtel.server.pages.protocols import router as protocols
from wichtel.server.pages.queue import router as queue
from wichtel.server.pages.registrations import router as registrations
from wichtel.server.pages.search import router as search
from wichtel.server.pages.studies import router as studies
from wichtel.server.pages.usage import router as usage

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

#: Every page. Of two that fit an address, the first answers.
ROUTERS = (
    login,
    home,
    search,
    experiment,
    registrations,
    datasets,
    launch,
    protocols,
    analysis,
    models,
    onboarding,
    intents,
    queue,
    usage,
    health,
    admin,
    me,
    studies,
)


def install(api: FastAPI, static: Path) -> None:
    """Add the pages, ``/docs`` and ``/static``.

    Args:
        api: Where to.
        static: The folder of the files that pages load.
    """
    from wichtel.server.pages.assets import Assets

    assets = api.state.assets = Assets(static)
    for router in ROUTERS:
        api.include_router(router)
    docs.install(api, static)
    api.mount("/static", assets, name="static")
