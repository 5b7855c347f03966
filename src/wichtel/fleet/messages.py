"""What a controller and its workers say to one another.

The same messages travel over a local socket pair and, later, a WebSocket: MessagePack, plain JSON values, no pickles. Every message about
a run names the attempt and the *epoch* (the fencing token of the controller that handed it out), so that a late one is known as such.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wichtel.domain import InvalidInput

#: A payload or result larger than this belongs in the artifact store.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

#: Part of `Hello`; a controller refuses a worker that speaks another.
VERSION = 3


class Message(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Root of all messages."""


class Hello(Message, frozen=True, tag=True):
    """Worker: here I am."""

    pid: int
    version: int = VERSION


class Reported(msgspec.Struct, frozen=True, array_like=True):
    """One measurement on its way."""

    step: int
    metrics: dict[str, float]


class Heartbeat(Message, frozen=True, tag=True):
    """Worker: I live, and since the last one this was measured. Without a run when idle."""

    run: str = ""
    attempt: int = 0
    epoch: int = 0
    measurements: list[Reported] = []


class Result(Message, frozen=True, tag=True):
    """Worker: the run's function ended. Sent again until acknowledged."""

    run: str
    attempt: int
    epoch: int
    #: ``SUCCEEDED``, ``STOPPED``, ``CANCELED``, ``FAILED`` (the user's doing) or ``PREEMPTED`` (not the user's doing: try again).
    state: str
    value: Any = None
    #: `WichtelError.to_json`, for a failure with ``"traceback"``; for a stop the reason under ``"message"``.
    error: dict[str, Any] | None = None
    #: What no heartbeat has carried yet.
    measurements: list[Reported] = []
    #: The attempt left neither a checkpoint nor a scratch directory behind.
    clean: bool = False
    #: The worker ends after this one; hand it nothing more.
    last: bool = False


class Goodbye(Message, frozen=True, tag=True):
    """Worker: I end, on purpose. Controller: end when idle."""


class Welcome(Message, frozen=True, tag=True):
    """Controller: work like this."""

    heartbeat_seconds: float
    report_seconds: float
    resend_seconds: float
    #: Directory on the worker's machine for checkpoints, scratch and logs.
    state_dir: str
    artifacts_url: str
    log_bytes: int


class Assign(Message, frozen=True, tag=True):
    """Controller: carry this out."""

    run: str
    attempt: int
    epoch: int
    entry: str
    payload: dict[str, Any]
    seed: int = 0
    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int | None = None
    #: Indices of the graphics processors that are the run's, `gpus` rounded up of them.
    devices: list[int] = []
    #: The run whose kept checkpoint this one begins with.
    checkpoint_from: str = ""
    keep_checkpoint: bool = False


class Reply(Message, frozen=True, tag=True):
    """Controller: the answer to the measurements up to a step."""

    run: str
    attempt: int
    step: int
    #: Why the run is to end; empty for one that goes on.
    stop: str = ""


class Cancel(Message, frozen=True, tag=True):
    """Controller: end this run at its next report."""

    run: str
    attempt: int
    reason: str = ""


class Ack(Message, frozen=True, tag=True):
    """Controller: the result is durable, forget it."""

    run: str
    attempt: int


ToController = Hello | Heartbeat | Result | Goodbye
ToWorker = Welcome | Assign | Reply | Cancel | Ack | Goodbye


def _plain(value: object) -> object:
    """Turn a numpy-like scalar into Python's own."""
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 1) == 1:
        plain: object = item()
        return plain
    raise InvalidInput(f"{type(value).__name__} is not plain JSON.", hint="Use numbers, strings, lists and tables, or the artifact store.")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_to_controller: msgspec.msgpack.Decoder[ToController] = msgspec.msgpack.Decoder(ToController)
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)


def encode(message: Message) -> bytes:
    """The message as bytes.

    Raises:
        InvalidInput: a value in it is not plain JSON, or it is larger than `MAX_MESSAGE_BYTES`.
    """
    try:
        data = _encoder.encode(message)
    except (TypeError, OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise InvalidInput(f"it is not plain JSON: {error}.") from error
    if len(data) > MAX_MESSAGE_BYTES:
        raise InvalidInput(
            f"it takes {len(data):,} bytes, more than {MAX_MESSAGE_BYTES:,}.",
            hint="Put large values into the artifact store and pass digests.",
        )
    return data


def read_by_controller(data: bytes | bytearray | memoryview) -> ToController:
    """Decode what a worker sent; raises `msgspec.DecodeError` if it is none of ours."""
    return _to_controller.decode(data)


def read_by_worker(data: bytes | bytearray | memoryview) -> ToWorker:
    """Decode what a controller sent; raises `msgspec.DecodeError` if it is none of ours."""
    return _to_worker.decode(data)
