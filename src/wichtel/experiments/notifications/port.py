"""The contract of a notifier: puts a message into the words of its kind of channel, and sends it."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from wichtel.domain import SystemFault
from wichtel.experiments.notifications.message import Message


class NotAccepted(SystemFault):
    """The message surely was not taken: it may be sent again."""


class OutcomeUnknown(SystemFault):
    """The message may have been taken: it must not be sent again."""


@runtime_checkable
class Notifier(Protocol):
    """Sends messages to one kind of channel. Called from several threads at once."""

    #: Name of the kind, such as ``email``.
    kind: ClassVar[str]
    #: Whether what belongs to a registration goes as one message.
    digests: ClassVar[bool]
    #: Whether messages are signed with a secret that the receiver has too.
    signs: ClassVar[bool]

    def check(self, address: str) -> str:
        """The address in the form in which it is kept.

        Raises:
            InvalidInput: it is none that this notifier can send to, or may.
        """
        ...

    def show(self, address: str) -> str:
        """The address without what is secret in it."""
        ...

    def send(self, message: Message, address: str, secret: str) -> None:
        """Send `message`, within a minute; returning means that it was taken.

        Args:
            message: What to tell. Its texts are somebody else's.
            address: As `check` returned it.
            secret: What to sign with, if it signs.

        Raises:
            NotAccepted: it surely was not taken. It will be tried again.
            OutcomeUnknown: it may have been taken. Any other exception is held for this.
        """
        ...
