"""`wichtel serve`: the service."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from wichtel.cli.command import Here, command

if TYPE_CHECKING:
    from types import FrameType

    from wichtel.app import App
    from wichtel.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "serve")(serve)


def serve(
    here: Here,
    host: Annotated[str | None, typer.Option(help="Address to listen on; by default only this machine can reach it.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 for any that is free.")] = None,
    roles: Annotated[str | None, typer.Option(help="What this process does: api,orchestrator,controller.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="With models of real flights, on which it works; in a home of its own.")] = False,
) -> None:
    """The service, in one process, until ctrl-C or SIGTERM; a second one ends it at once.

    What is under way then goes on when it is started again, or, on PostgreSQL, in another replica at once.
    """
    settings = here.settings(host=host, port=port, roles=roles, workers=workers)
    if demo:
        from wichtel.demo import HOME, TOKENS, Demo

        if any(s.name == "home" and s.origin == "default" for s in settings.describe()):
            # What people work on is not mixed with it.
            settings = replace(here, home=str(HOME)).settings(host=host, port=port, roles=roles, workers=workers)
        Demo.check(settings)
    from wichtel.log import configure
    from wichtel.server import HomeLock, listen, read_token, write_token
    from wichtel.server import serve as serve_
    from wichtel.server.departure import LEFTOVERS_SECONDS, leave_within

    configure(settings.log_level, settings.log_format)
    # Whatever asks the process to stop, what was started is stopped in order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(settings.host, settings.port)) if "api" in settings.roles else None
        url = ""
        if listening is not None:
            name = f"[{settings.host}]" if ":" in settings.host else settings.host
            url = f"http://{name}:{listening.getsockname()[1]}"
        if settings.database_url.startswith("sqlite"):
            # Of the embedded database one process takes care; PostgreSQL has any number of replicas.
            stack.enter_context(HomeLock(settings.home, url))
        try:
            app = _built(settings)
            app.url = url
            stack.callback(app.stop)
            token = app.access.initialise()
            if demo:
                Demo.claim(settings.home, fresh=token is not None)
            if token is not None:
                # Before anything else can fail: nobody can read it again.
                path = write_token(settings.home, token)
                here.out.say(f"The first access token, shown this once; {path} keeps it for you:\n  {token}")
            # Whoever looks at the demo again need not look for the token.
            known = token or (read_token(settings.home) if demo else None)
            if known is not None and url:
                # What stands behind the # is for the page alone; no server and no proxy is told of it.
                here.out.say(f"With a browser, this link logs you in:\n  {url}/login#{known}")
            app.start(settings.roles)
            if demo:
                here.out.say(f"The demo lives in {settings.home}; the tokens of its people are in {settings.home / TOKENS}.")
                stack.enter_context(Demo(app, here.out.say))

            def ready() -> None:
                data = {"url": url, "roles": list(settings.roles), "home": str(settings.home), "replica": app.replica, "token": token}
                what = f"serves {url}, and shows its calls at {url}/docs" if url else f"works as {', '.join(settings.roles)}"
                here.out.text(f"Wichtel {what}. Stop it with ctrl-C.", **data)
                sys.stdout.flush()

            if listening is not None:
                serve_(app, listening, ready=ready)
            else:
                ready()
                threading.Event().wait()
        except KeyboardInterrupt:
            here.out.say("Stopping.")
    # All is stopped. The interpreter would still wait for threads that nobody else waits for, such as one that cannot get a lock.
    leave_within(LEFTOVERS_SECONDS, code=0)


def _built(settings: Settings) -> App:
    """The services, also if the database goes away while they are made."""
    from wichtel.app import App
    from wichtel.domain import Unavailable

    deadline = time.monotonic() + settings.database_wait_seconds
    while True:
        try:
            return App(settings, wait_seconds=settings.database_wait_seconds)
        except Unavailable:
            if time.monotonic() >= deadline:
                raise


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    # Who asks again does not want to wait: what is under way is taken over as from a process that was killed.
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_DFL)
    from wichtel.server.departure import REST_SECONDS, leave_within

    leave_within(REST_SECONDS)
    raise KeyboardInterrupt
