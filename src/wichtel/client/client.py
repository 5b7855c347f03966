"""The client: one attribute per noun."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from wichtel.client.access import Audit, Principals, Teams, Tokens, me
from wichtel.client.catalogue import Datasets, Intents, Protocols
from wichtel.client.connection import Connection
from wichtel.client.events import Events
from wichtel.client.experiments import Experiments, Registrations
from wichtel.client.exports import Exports
from wichtel.client.health import Health
from wichtel.client.jobs import Jobs
from wichtel.client.models import Models
from wichtel.client.notifications import Channels, Notifications, Triage, Watches
from wichtel.client.queue import Limits, QuotaGroups, Waits
from wichtel.client.saved_searches import SavedSearches
from wichtel.client.usage import Usage
from wichtel.client.work import Runs, Studies

if TYPE_CHECKING:
    import httpx2

    from wichtel.domain import Registration


class Client:
    """A service, from Python.

    >>> client = Client()                                                   # doctest: +SKIP
    >>> client.models.add("flights/late", "examples/flights")               # doctest: +SKIP
    >>> made = client.register(["flights/late"], ["TuneHyperparameters"])   # doctest: +SKIP
    >>> client.experiments.wait(made.experiments)                           # doctest: +SKIP

    Args:
        url: Address of the service; by default what the settings say (``WICHTEL_URL``, ``wichtel.toml``), else ``http://127.0.0.1:8420``.
        token: Access token; by default what the settings say (``WICHTEL_TOKEN``), else the one that `wichtel serve` left in its home for
            this machine's user.
        transport: What carries the requests, such as one for a unix socket.

    Raises:
        InvalidInput: the settings do not fit together.

    Every call raises `NoService` if nothing answers, `NotPermitted` if the token does not do, and the `wichtel.domain` error that the
    service raised. Each call is repeated, for up to half a minute, when the connection breaks or the service asks to come again,
    and is carried out once all the same.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, transport: httpx2.BaseTransport | None = None) -> None:
        if url is None or token is None:
            url, token = _from_settings(url, token)
        self._connection = connection = Connection(url, token, transport)
        self.url = connection.url
        self.models = Models(connection)
        self.datasets = Datasets(connection)
        self.intents = Intents(connection)
        self.protocols = Protocols(connection)
        self.registrations = Registrations(connection)
        self.experiments = Experiments(connection)
        self.saved_searches = SavedSearches(connection)
        self.runs = Runs(connection)
        self.studies = Studies(connection)
        self.events = Events(connection)
        self.quota_groups = QuotaGroups(connection)
        self.limits = Limits(connection)
        self.queue = Waits(connection)
        self.teams = Teams(connection)
        self.principals = Principals(connection)
        self.tokens = Tokens(connection)
        self.audit = Audit(connection)
        self.health = Health(connection)
        self.jobs = Jobs(connection)
        self.exports = Exports(connection)
        self.channels = Channels(connection)
        self.watches = Watches(connection)
        self.notifications = Notifications(connection)
        self.triage = Triage(connection)
        self.usage = Usage(connection)

    def register(
        self,
        models: Sequence[str],
        protocols: Sequence[str | Mapping[str, Any]],
        *,
        intent: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        overrides: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        skip_unfit: bool = False,
    ) -> Registration:
        """Each of `protocols` on each of `models`.

        Args:
            models: Names of models.
            protocols: Names; or tables with ``protocol``, ``intent``, ``parameters`` and ``overrides``, where one differs from the others.
            intent: For all protocols that do not say; with none, the protocol decides.
            parameters: Of all protocols that do not say.
            overrides: Fields of the experiments' configuration that replace what is filled in; for all protocols that do not say.
            idempotency_key: The same key is the same registration; made up if absent, so that a lost answer can be asked for again.
            skip_unfit: Leave out the pairs that cannot be launched; otherwise one such pair refuses them all.

        Raises:
            NotFound: an unknown model or protocol.
            InvalidInput: a configuration that does not fit; with `skip_unfit`, none does.
        """
        defaults = {"intent": intent, "parameters": dict(parameters or {}), "overrides": dict(overrides or {})}
        request = {
            "models": list(models),
            "protocols": [{**defaults, **({"protocol": p} if isinstance(p, str) else p)} for p in protocols],
            "idempotency_key": idempotency_key or uuid.uuid4().hex,
            "skip_unfit": skip_unfit,
        }
        return self.registrations.add(request)

    def me(self) -> dict[str, Any]:
        """Who asks, as the service sees it: name, kind, team, role, teams, scopes, email, session."""
        return me(self._connection)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _from_settings(url: str | None, token: str | None) -> tuple[str, str | None]:
    from wichtel.settings import load_settings

    settings = load_settings({"url": url, "token": token})
    if settings.token is not None:
        return settings.url, settings.token.get_secret_value()
    return settings.url, home_token(settings.home)


def home_token(home: Path) -> str | None:
    """The token that a service left in its home, if this user may read it."""
    try:
        return (home / "token").read_text().strip() or None
    except OSError:
        return None
