"""Webhooks: a JSON body, signed, so that the receiver knows who sent it, when, and whether it has it already."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import ClassVar
from urllib.parse import urlsplit

from wichtel.experiments.notifications.http import Poster
from wichtel.experiments.notifications.message import Message
from wichtel.store import codec

#: ``t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "<t>.<body>">``
SIGNATURE = "Wichtel-Signature"
#: The same for each repetition of a message.
IDEMPOTENCY = "Idempotency-Key"


class Webhook:
    """Posts JSON.

    Args:
        poster: What sends.
        url: Address of the service, for links.
    """

    kind: ClassVar[str] = "webhook"
    digests: ClassVar[bool] = False
    signs: ClassVar[bool] = True

    def __init__(self, poster: Poster, url: str) -> None:
        self._poster = poster
        self._url = url.rstrip("/")

    def check(self, address: str) -> str:
        """See `Notifier.check`."""
        return self._poster.check(address)

    def show(self, address: str) -> str:
        """See `Notifier.show`."""
        return hide_path(address)

    def send(self, message: Message, address: str, secret: str) -> None:
        """See `Notifier.send`."""
        body = codec.encode(
            {
                "id": message.id,
                "kind": "test" if message.test else "experiment.finished",
                "experiments": [{**codec.to_plain(item), "url": f"{self._url}/v1/experiments/{item.experiment}"} for item in message.items],
            }
        )
        headers = {SIGNATURE: sign(body, secret, int(time.time())), IDEMPOTENCY: message.id}
        self._poster.post(address, body, headers)


def sign(body: bytes, secret: str, seconds: int) -> str:
    """The signature of `body`, sent at `seconds` since 1970."""
    mac = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={mac.hexdigest()}"


def verify(body: bytes, signature: str, secret: str, *, now: float | None = None, tolerance_seconds: float = 300.0) -> bool:
    """Whether `body` was signed with `secret`, not long ago: what a receiver does.

    >>> verify(b"{}", sign(b"{}", "s", 1000), "s", now=1001)
    True
    >>> verify(b"{}", sign(b"{}", "s", 1000), "s", now=2000)
    False
    """
    time_part, _, _ = signature.partition(",")
    if not time_part.removeprefix("t=").isdigit():
        return False
    seconds = int(time_part.removeprefix("t="))
    fresh = abs((time.time() if now is None else now) - seconds) <= tolerance_seconds
    return hmac.compare_digest(sign(body, secret, seconds), signature) and fresh


def hide_path(address: str) -> str:
    """A URL without path and query: many services put their secrets there.

    >>> hide_path("https://hooks.example.org/services/T0/B0/x?key=1")
    'https://hooks.example.org/…'
    """
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"
