"""What every notifier must do. Copy `tests/experiments/test_notifiers.py` to face your own with it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from wichtel.domain import ExperimentStatus, InvalidInput
from wichtel.experiments.notifications import Item, Message, NotAccepted, Notifier, OutcomeUnknown

#: Text that would do something if it were not escaped.
HOSTILE = "<script>alert(1)</script> <!channel> \r\nBcc: all@example.org"


class Receiver(Protocol):
    """The other end, real, on this machine; the notifier under test is allowed to reach it."""

    #: An address that leads here.
    address: str

    def behave(self, how: str) -> None:
        """From now on: ``accept``; ``refuse`` with an answer; ``hang`` once the message has arrived; ``gone``: nobody listens."""

    def taken(self) -> list[str]:
        """The messages that were accepted or arrived, decoded, as text."""


def item(number: int, cause: str = "no gain") -> Item:
    """An experiment that has finished."""
    return Item(
        experiment=f"e-{number}",
        registration="r-1",
        model=f"flights/{number}",
        protocol="TuneHyperparameters",
        owner="ana",
        status=ExperimentStatus.UNSATISFIED,
        cause=cause,
        finished=datetime(2026, 1, 1, tzinfo=UTC),
    )


def check_notifier(notifier: Notifier, receiver: Receiver, *, most_seconds: float = 60.0) -> None:
    """Assert what holds for every notifier.

    Args:
        notifier: The one under test.
        receiver: What it sends to.
        most_seconds: A hanging receiver must be given up by then.

    Raises:
        AssertionError: the notifier breaks the contract.
    """
    assert isinstance(notifier, Notifier)
    assert notifier.kind.isidentifier()
    address = notifier.check(receiver.address)
    assert notifier.check(address) == address, "the kept form is accepted again"
    for nonsense in ("", " ", "no address", "file:///etc/passwd", f"{address}\r\nBcc: x@example.org"):
        try:
            notifier.check(nonsense)
        except InvalidInput:
            continue
        raise AssertionError(f"{nonsense!r} is taken for an address")

    receiver.behave("accept")
    notifier.send(Message(id="m-1", items=(item(1), item(2))), address, "secret")
    [text] = receiver.taken()
    for told in ("e-1", "e-2", "flights/1", "UNSATISFIED", "no gain"):
        assert told in text, f"the message does not say {told}"
    assert "secret" not in text
    notifier.send(Message(id="m-2", items=(), test=True), address, "secret")
    assert len(receiver.taken()) == 2, "a test arrives"
    notifier.send(Message(id="m-3", items=tuple(item(n) for n in range(500))), address, "secret")
    assert len(receiver.taken()) == 3, "a large digest arrives"

    receiver.behave("refuse")
    _expect(NotAccepted, notifier, address, "a refusal")
    receiver.behave("hang")
    began = time.monotonic()
    _expect(OutcomeUnknown, notifier, address, "an answer that never comes")
    assert time.monotonic() - began < most_seconds, "a receiver that hangs is given up"
    receiver.behave("gone")
    _expect(NotAccepted, notifier, address, "nobody who listens")


def _expect(kind: type[Exception], notifier: Notifier, address: str, what: str) -> None:
    try:
        notifier.send(Message(id="m-4", items=(item(4),)), address, "secret")
    except kind:
        return
    raise AssertionError(f"{what} is no {kind.__name__}")
