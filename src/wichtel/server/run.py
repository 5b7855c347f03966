"""The process that serves: uvicorn around the application, in the foreground or beside the caller."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import signal
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import uvicorn

from wichtel.domain import InvalidInput, SystemFault
from wichtel.server.application import create_app
from wichtel.server.connection import Patient
from wichtel.server.departure import REST_SECONDS, leave_within

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from wichtel.app import App
    from wichtel.server.statistics import Requests

#: A service beside its caller cuts off what it is answering this long after a stop was asked for.
GRACE_SECONDS = 3
#: Event streams end by themselves within this time, unless their reader does not read.
STREAM_SECONDS = 2.0


class _Server(uvicorn.Server):
    """A server that, asked to stop by SIGTERM, drains first: it goes on answering, and says by ``/readyz`` that it is to be asked no more.

    SIGINT comes from a person at a terminal and is not drained for. A second signal ends the process at once.
    """

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._services = app
        self._asked: tuple[int, float] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        if self._asked is not None:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self._services.draining = True
        settings = self._services.settings
        drain = settings.drain_seconds if sig == signal.SIGTERM else 0.0
        self._asked = (sig, time.monotonic() + drain)
        leave_within(drain + settings.stop_seconds + REST_SECONDS)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to stop now."""
        if self._asked is not None and not self.should_exit and time.monotonic() >= self._asked[1]:
            super().handle_exit(self._asked[0], None)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is under way, and accept nothing more."""
        timer = asyncio.get_running_loop().call_later(STREAM_SECONDS, self._let_readers_go)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()

    def _let_readers_go(self) -> None:
        """Whoever does not read an event stream would keep this process for all of its grace; it goes on elsewhere where it was."""
        for connection in list(self.server_state.connections):
            answer = getattr(connection, "cycle", None)
            if answer is not None and not answer.response_complete and answer.scope["path"].endswith(":stream"):
                connection.transport.abort()


def _server(app: App, grace_seconds: float) -> tuple[uvicorn.Server, Requests]:
    api = create_app(app)
    config = uvicorn.Config(
        api,
        timeout_graceful_shutdown=math.ceil(grace_seconds),
        log_config=None,
        access_log=logging.getLogger("uvicorn.access").isEnabledFor(logging.DEBUG),
        lifespan="off",
        server_header=False,
        http=Patient,
        forwarded_allow_ips=app.settings.trusted_proxies,
    )
    server = _Server(config, app)
    api.state.stopping = lambda: server.should_exit
    return server, api.state.requests


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes any that is free.

    Raises:
        InvalidInput: the address is taken, or is none of this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise InvalidInput(
            f"cannot listen there: {error.strerror or error}.", where=f"{host}:{port}", hint="Choose another --port, or stop what uses it."
        ) from None
    # Connections inherit it. asyncio sees to it only for sockets that name their protocol; without it, each answer waits 40 ms for an ACK.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def serve(app: App, listening: socket.socket, *, ready: Callable[[], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; then answer what is under way, for at most `Settings.stop_seconds`.

    Args:
        app: The services, started.
        listening: Where.
        ready: Called when requests are about to be answered.
    """
    server, requests = _server(app, app.settings.stop_seconds)
    # What was imported stays. To look through all of it again and again for garbage would hold up answers.
    gc.collect()
    gc.freeze()
    if ready is not None:
        ready()
    with listening, requests.flushing(app.db):
        server.run(sockets=[listening])


class Background:
    """A service in a thread of this process, on a unix socket or a TCP socket. Used as a context manager.

    Args:
        app: The services, started.
        where: A path for a unix socket, in a folder that only its owner may enter; or a listening socket.
    """

    def __init__(self, app: App, where: Path | socket.socket) -> None:
        self._server, self._requests = _server(app, GRACE_SECONDS)
        self._db = app.db
        self._where = where
        self._thread = threading.Thread(target=self._run, name="wichtel-server", daemon=True)

    def _run(self) -> None:
        with self._requests.flushing(self._db):
            self._server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        if isinstance(self._where, Path):
            self._where.unlink(missing_ok=True)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.bind(str(self._where))
            self._where.chmod(0o600)
        else:
            self._socket = self._where
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise SystemFault("the service did not start.", where=str(self._where))
            time.sleep(0.005)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(GRACE_SECONDS + 10)
        self._socket.close()
        if isinstance(self._where, Path):
            self._where.unlink(missing_ok=True)
