"""A round-robin proxy in front of the API replicas of a service: enough to try replicas out, and to restart them one after the other.

``python scripts/proxy.py --port 8420 http://127.0.0.1:8421 http://127.0.0.1:8422``

Each request gets a connection of its own to the next replica that is ready. A replica is asked for ``/readyz`` twice a second; one that
says 503, because it drains or cannot reach its database, is passed over while there are others, as is one to which no connection can be
made. A request that changes nothing and was not answered at all, because its replica died, goes to the next. For any other such request
the connection is closed without an answer, from which the client learns that it has to ask again; ours does, with its idempotency key.

Use a real one, with TLS, where others can reach it: nginx, HAProxy, Envoy, or the load balancer of your cloud.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
from collections import Counter
from collections.abc import Iterable
from urllib.parse import urlsplit

CHECK_SECONDS = 0.5
CONNECT_SECONDS = 2.0
HEAD_BYTES = 64 * 1024
PIECE_BYTES = 64 * 1024

_AGAIN = (b"GET", b"HEAD", b"OPTIONS")
_NOBODY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Address = tuple[str, int]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Hands requests to `replicas`, one after the other."""

    def __init__(self, replicas: Iterable[Address]) -> None:
        self.replicas = list(replicas)
        self.ready: dict[Address, bool] = dict.fromkeys(self.replicas, True)
        #: What happened: ``answered``, ``elsewhere`` (the first replica did not answer), ``unanswered``, ``nobody``.
        self.counts: Counter[str] = Counter()
        self._turns = itertools.count()
        self._server: asyncio.Server | None = None
        self._checks: list[asyncio.Task[None]] = []
        #: asyncio itself holds on to a task that reads from a stream only weakly.
        self._serving: set[asyncio.Task[None] | None] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the port."""
        self._checks = [asyncio.create_task(self._check(replica)) for replica in self.replicas]
        self._server = await asyncio.start_server(self._serve, host, port, limit=HEAD_BYTES, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more."""
        for check in self._checks:
            check.cancel()
        if self._server is not None:
            self._server.close()

    def _in_turn(self) -> list[Address]:
        """Who is asked first, second, …: the ready ones from the next on, then the others, which may have become ready."""
        first = next(self._turns) % len(self.replicas)
        turned = self.replicas[first:] + self.replicas[:first]
        return sorted(turned, key=lambda replica: not self.ready[replica])

    async def _check(self, replica: Address) -> None:
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection(*replica)
                    try:
                        writer.write(b"GET /readyz HTTP/1.1\r\nHost: replica\r\nConnection: close\r\n\r\n")
                        self.ready[replica] = b" 200 " in await reader.readline()
                    finally:
                        writer.close()
            except (OSError, TimeoutError):
                self.ready[replica] = False
            await asyncio.sleep(CHECK_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        try:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                writer.write(_BAD)
                return
            await self._answer(_with_our_headers(head, writer.get_extra_info("peername")), reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two went away
        finally:
            self._serving.discard(asyncio.current_task())
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        has_body = any(name in head.lower() for name in (b"\r\ncontent-length:", b"\r\ntransfer-encoding:"))
        again = head.split(b" ", 1)[0] in _AGAIN and not has_body
        for attempt, replica in enumerate(self._in_turn()):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    theirs, ours = await asyncio.open_connection(*replica)
            except (OSError, TimeoutError):
                self.ready[replica] = False
                continue
            body = asyncio.create_task(_pump(reader, ours))
            try:
                ours.write(head)
                first = await _piece(theirs)
                if not first and again:
                    continue
                if first:
                    writer.write(first)
                    await _pump(theirs, writer)
                self.counts["elsewhere" if attempt else "answered" if first else "unanswered"] += 1
                return
            finally:
                body.cancel()
                ours.close()
        self.counts["nobody"] += 1
        writer.write(_NOBODY)


def _with_our_headers(head: bytes, peer: tuple[str, int]) -> bytes:
    """One request a connection, and who sent it; what the client says of that is not believed."""
    request, *headers = head[:-4].split(b"\r\n")
    kept = [line for line in headers if line.split(b":", 1)[0].strip().lower() not in (b"connection", b"keep-alive", b"x-forwarded-for")]
    return b"\r\n".join([request, *kept, b"X-Forwarded-For: " + peer[0].encode(), b"Connection: close"]) + b"\r\n\r\n"


async def _piece(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(PIECE_BYTES)
    except OSError:
        return b""


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await _piece(reader):
        with contextlib.suppress(OSError):
            writer.write(data)
            await writer.drain()


async def _main(given: argparse.Namespace) -> None:
    replicas = []
    for url in given.replicas:
        parts = urlsplit(url)
        replicas.append((parts.hostname or "127.0.0.1", parts.port or 80))
    proxy = Proxy(replicas)
    port = await proxy.start(given.host, given.port)
    print(f"http://{given.host}:{port} → {', '.join(given.replicas)}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await proxy.stop()


def main() -> int:
    """Serve until ctrl-C."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("replicas", nargs="+", help="Addresses of the replicas, such as http://127.0.0.1:8421.")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=8420, help="0 for any that is free.")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(arguments.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
