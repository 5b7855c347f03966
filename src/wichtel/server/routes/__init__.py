"""One file per noun; all of it needs a token but `health`."""

from wichtel.server.routes import (
    datasets,
    events,
    experiments,
    intents,
    jobs,
    models,
    protocols,
    quota_groups,
    registrations,
    runs,
    studies,
    tokens,
    usage,
)

#: What stands under /v1, in the order in which the documentation shows it.
ROUTERS = (
    models.router,
    datasets.router,
    intents.router,
    protocols.router,
    registrations.router,
    experiments.router,
    runs.router,
    studies.router,
    events.router,
    quota_groups.router,
    tokens.router,
    jobs.router,
    usage.router,
)

__all__ = ["ROUTERS"]
