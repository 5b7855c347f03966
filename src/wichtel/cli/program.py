"""All commands, and how errors become exit codes."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from wichtel.cli import (
    audit,
    bench_searchers,
    channels,
    compare,
    config,
    datasets,
    db,
    events,
    experiments,
    export,
    export_candidate,
    health,
    intents,
    jobs,
    models,
    principals,
    protocols,
    queue,
    quotas,
    register,
    registrations,
    run,
    runs,
    searches,
    serve,
    studies,
    teams,
    tokens,
    triage,
    tune,
    usage,
    watch,
)
from wichtel.cli.command import HOME, JSON, LOCAL, TOKEN, URL, group
from wichtel.domain import NotFound, NotPermitted, SystemFault, UserError, WichtelError

EXIT_CODES = """Exit codes: 0 done; 1 system fault; 2 bad input or usage; 3 an experiment that was followed ended UNSATISFIED; 4 not found;
5 no service, or not permitted; 130 interrupted with ctrl-C (what runs in a service goes on)."""

app = group(
    "Improves an organisation's machine-learning models: branches, edits, trains and judges them overnight.\n\n"
    "Every command also takes --json (data on stdout, nothing else), --url and --token (which service), --local (no service needed: this "
    "process does the work, on --home) and --home.",
    epilog=EXIT_CODES,
)

for module in (run, register, tune, bench_searchers, serve, compare):
    module.add_to(app)
for name, noun in (
    ("models", models.app),
    ("datasets", datasets.app),
    ("intents", intents.app),
    ("protocols", protocols.app),
    ("experiments", experiments.app),
    ("searches", searches.app),
    ("registrations", registrations.app),
    ("runs", runs.app),
    ("studies", studies.app),
    ("quotas", quotas.app),
    ("teams", teams.app),
    ("principals", principals.app),
    ("tokens", tokens.app),
    ("channels", channels.app),
    ("watch", watch.app),
    ("notifications", channels.notifications),
    ("triage", triage.app),
    ("jobs", jobs.app),
    ("exports", export.app),
    ("db", db.app),
    ("config", config.app),
):
    app.add_typer(noun, name=name)
events.add_to(app)
usage.add_to(app)
export.add_to(app)
audit.add_to(app)
tokens.add_to(app)
export_candidate.add_to(experiments.app)
health.add_to(app)
queue.add_to(app)
config.add_to(app)


@app.callback()
def _before(
    context: typer.Context,
    json: Annotated[bool, JSON] = False,
    url: Annotated[str | None, URL] = None,
    token: Annotated[str | None, TOKEN] = None,
    local: Annotated[bool, LOCAL] = False,
    home: Annotated[str | None, HOME] = None,
) -> None:
    # Its help stands above: a docstring here would replace it.
    context.obj = {"json": json, "url": url, "token": token, "local": local, "home": home}


def exit_code(error: WichtelError) -> int:
    """The exit code that stands for `error`."""
    if error.code == "no_service" or isinstance(error, NotPermitted):
        return 5
    if isinstance(error, NotFound):
        return 4
    return 2 if isinstance(error, UserError) else 1


def main() -> None:
    """Carry out the command line; exits."""
    try:
        app()
    except WichtelError as error:
        sys.exit(_tell(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "wichtel":
            raise
        # A plain install has what `tune` and the client need, and no more.
        hint = "This needs the server part: pip install 'wichtel[server]'."
        sys.exit(_tell(SystemFault(f"the package {error.name} is not installed.", hint=hint)))


def _tell(error: WichtelError) -> int:
    report: dict[str, Any] = error.to_json()
    if "--json" in sys.argv:
        sys.stderr.write(json.dumps({"error": report}) + "\n")
    else:
        sys.stderr.write(f"Error: {error}\n")
    return exit_code(error)
