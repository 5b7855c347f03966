"""The client of a command: of a service, or of this very process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wichtel.client import Client
from wichtel.domain import NotPermitted

if TYPE_CHECKING:
    from wichtel.app import App
    from wichtel.settings import Settings

#: Longest path of a unix socket that every system takes, in bytes.
_SOCKET_PATH = 100


@contextmanager
def service_client(settings: Settings) -> Iterator[Client]:
    """A client of the service that the settings name; if they name none, of the one that serves the home."""
    from wichtel.server.home import read_token, serving

    url = settings.url
    origins = {s.name: s.origin for s in settings.describe()}
    if all(origins[name] == "default" for name in ("url", "host", "port")):
        there = serving(settings.home)
        if there is not None and there.url.startswith("http"):
            url = there.url
    token = settings.token.get_secret_value() if settings.token is not None else read_token(settings.home)
    # An empty token rather than none: the settings were asked already.
    with Client(url, token or "") as client:
        yield client


@contextmanager
def local_client(settings: Settings, *, works: bool, analyses: bool = False) -> Iterator[Client]:
    """A client of a service in this process, on a unix socket that only this user can open. Nothing remains running afterwards.

    Args:
        settings: Whose home is used.
        works: Whether to carry out what waits there; otherwise only questions are answered.
        analyses: Whether there are workers all the same.

    Raises:
        AlreadyExists: a service runs on that home.
    """
    import httpx2

    from wichtel.app import App
    from wichtel.server.home import HomeLock

    with ExitStack() as stack:
        folder = settings.home
        if len(str(folder / "local.sock").encode()) > _SOCKET_PATH:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wichtel-")))
        path = folder / "local.sock"
        stack.enter_context(HomeLock(settings.home, f"unix:{path}"))
        # A home made by hand may be open to others.
        folder.chmod(0o700)
        app = App(settings)
        stack.callback(app.stop)
        app.start(settings.roles if works else ("api", "controller") if analyses else ("api",))
        token = admin_token(app)
        from wichtel.server import Background

        stack.enter_context(Background(app, path))
        yield stack.enter_context(Client("http://localhost", token, transport=httpx2.HTTPTransport(uds=str(path))))


def admin_token(app: App) -> str:
    """The token that the home keeps for this user; made if there is none, since whoever may write the database may do all anyway."""
    from wichtel.experiments import Principal, Role
    from wichtel.server.home import read_token, write_token

    home = app.settings.home
    token = app.access.initialise()
    if token is None:
        token = read_token(home)
        try:
            if token is not None:
                app.access.authenticate(token)
                return token
        except NotPermitted:
            pass
        admin = Principal(name="admin", team="default", role=Role.ADMIN)
        token = app.access.create_token(admin, "admin", role="admin", team="default")
    write_token(home, token)
    return token
