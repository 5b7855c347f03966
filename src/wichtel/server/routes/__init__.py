"""One file per noun; all of it needs a token but what `health` has for load balancers."""

from wichtel.server.routes import (
    audit,
    datasets,
    events,
    experiments,
    health,
    intents,
    jobs,
    models,
    principals,
    protocols,
    quota_groups,
    registrations,
    runs,
    sessions,
    studies,
    teams,
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
    sessions.me,
    teams.router,
    principals.router,
    tokens.router,
    audit.router,
    health.system,
    jobs.router,
    usage.router,
)

__all__ = ["ROUTERS"]
