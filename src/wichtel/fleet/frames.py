"""Messages as frames on a stream: four bytes of length, big-endian, then the message."""

from __future__ import annotations

from collections.abc import Iterator

from wichtel.domain import SystemFault
from wichtel.fleet.messages import MAX_MESSAGE_BYTES, Message, encode

HEADER = 4


def frame(message: Message) -> bytes:
    """The message with its length before it.

    Raises:
        InvalidInput: it is not plain JSON, or too large.
    """
    data = encode(message)
    return len(data).to_bytes(HEADER, "big") + data


class Splitter:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in what came; yield the frames that are complete now.

        Raises:
            SystemFault: a length that no message has: the other side does not speak this language.
        """
        buffer = self._buffer
        buffer += data
        start, size = 0, len(buffer)
        try:
            while size - start >= HEADER:
                length = int.from_bytes(buffer[start : start + HEADER], "big")
                if length > MAX_MESSAGE_BYTES:
                    raise SystemFault(f"a message of {length:,} bytes was announced.")
                end = start + HEADER + length
                if size < end:
                    break
                data = bytes(buffer[start + HEADER : end])
                start = end
                yield data
        finally:
            del buffer[:start]
