"""Slack, and what takes messages in its form (Mattermost, Rocket.Chat, Discord's ``/slack`` addresses)."""

from __future__ import annotations

from typing import Any, ClassVar

from wichtel.experiments.notifications.http import Poster
from wichtel.experiments.notifications.message import Item, Message
from wichtel.experiments.notifications.webhook import hide_path
from wichtel.store import codec

#: Slack takes 50 blocks, and 3000 characters in each.
_MOST = 40
_CHARACTERS = 2900


class Slack:
    """Posts messages of blocks.

    Args:
        poster: What sends.
        url: Address of the service, for links.
    """

    kind: ClassVar[str] = "slack"
    digests: ClassVar[bool] = True
    signs: ClassVar[bool] = False

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
        self._poster.post(address, codec.encode(self.compose(message)), {})

    def compose(self, message: Message) -> dict[str, Any]:
        """The message in Slack's form. What is somebody else's text is sent as plain text, which mentions nobody and links nowhere."""
        blocks = [_plain(message.introduction), *(_plain(self._text(item)) for item in message.items[:_MOST])]
        if len(message.items) > _MOST:
            blocks.append(_plain(f"… and {len(message.items) - _MOST} more."))
        # The notification's text is read as markup wherever it is shown.
        return {"text": escape(message.subject), "blocks": blocks}

    def _text(self, item: Item) -> str:
        lines = [f"{item.status}: {item.protocol} on {item.model}", item.cause, item.hint]
        return "\n".join([*filter(None, lines), f"{self._url}/v1/experiments/{item.experiment}"])


def escape(text: str) -> str:
    """`text` without Slack's markup.

    >>> escape("<!channel> a & b")
    '&lt;!channel&gt; a &amp; b'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": escape(text)[:_CHARACTERS], "emoji": False}}
