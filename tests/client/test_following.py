"""Whoever follows the feed goes on when the service is away for a moment, and misses nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any

import pytest

from wichtel.client import Client
from wichtel.domain import NotPermitted


class Replica:
    """Answers each request for the stream with the next of `answers`: a status, or the ids of the events that it sends before it breaks."""

    def __init__(self) -> None:
        self.answers: list[int | list[int]] = []
        self.asked: list[str] = []
        replica = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                replica.asked.append(self.path)
                answer = replica.answers.pop(0)
                if isinstance(answer, int):
                    self.send_response(answer)
                    self.end_headers()
                    if answer == 403:
                        self.wfile.write(b'{"code": "not_permitted", "message": "no"}')
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for number in answer:
                    event = {"id": number, "kind": "a.b", "subject": "a/1", "data": {}, "created": "2026-01-01T00:00:00Z"}
                    self.wfile.write(f"id: {number}\nevent: a.b\ndata: {json.dumps(event)}\n\n".encode())

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def replica() -> Iterator[Replica]:
    made = Replica()
    yield made
    made.stop()


def test_it_goes_on_where_it_was_also_when_it_is_told_to_come_again(replica: Replica) -> None:
    replica.answers = [503, [1, 2], 502, [], 503, [3]]
    with Client(replica.url, "t") as client:
        assert [event.id for event in islice(client.events.follow(), 3)] == [1, 2, 3]
    assert [path.rpartition("=")[2] for path in replica.asked] == ["0", "0", "2", "2", "2", "2"]


def test_who_may_not_is_told_at_once(replica: Replica) -> None:
    replica.answers = [403]
    with Client(replica.url, "t") as client, pytest.raises(NotPermitted):
        next(client.events.follow())
