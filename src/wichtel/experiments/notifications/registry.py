"""The notifiers that are installed: those that come with Wichtel and those of plug-ins, found by entry point."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from wichtel.experiments.notifications.email import Email, MailServer
from wichtel.experiments.notifications.http import Poster
from wichtel.experiments.notifications.port import Notifier
from wichtel.experiments.notifications.slack import Slack
from wichtel.experiments.notifications.webhook import Webhook

GROUP = "wichtel.notifiers"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierSettings:
    """What a notifier is made from."""

    #: Address of the service, for links.
    url: str
    #: None if this service sends no mail.
    mail: MailServer | None = None
    #: Whether webhooks may lead to loopback, private and link-local addresses.
    private_addresses: bool = False


def email(settings: NotifierSettings) -> Notifier:
    """Mail by SMTP."""
    return Email(settings.mail, settings.url)


def webhook(settings: NotifierSettings) -> Notifier:
    """Signed JSON."""
    return Webhook(Poster(private_addresses=settings.private_addresses), settings.url)


def slack(settings: NotifierSettings) -> Notifier:
    """Slack's form."""
    return Slack(Poster(private_addresses=settings.private_addresses), settings.url)


def notifiers(settings: NotifierSettings) -> dict[str, Notifier]:
    """All of them by kind. An entry point names a function that makes one of `NotifierSettings`; a broken one is reported, never fatal."""
    found: dict[str, Notifier] = {}
    for point in entry_points(group=GROUP):
        try:
            make: Callable[[NotifierSettings], Any] = point.load()
            notifier = make(settings)
            if not isinstance(notifier, Notifier):
                _log.warning("the notifier %s is left out: %s makes none", point.name, point.value)
                continue
        except Exception as error:  # noqa: BLE001 - somebody else's code, at somebody else's import
            _log.warning("the notifier %s is left out: %s: %s", point.name, type(error).__name__, error)
            continue
        found[notifier.kind] = notifier
    return dict(sorted(found.items()))
