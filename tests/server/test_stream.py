"""The event stream."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import httpx2


def events(api: Any, count: int, path: str = "/v1/events:stream", **headers: str) -> list[httpx2.ServerSentEvent]:
    with api.http.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(islice(httpx2.EventSource(answer), count))


def add(service: Any, subject: str, count: int) -> None:
    for number in range(count):
        with service.app.db.transaction() as tx:
            tx.events.add("test.happened", subject, {"number": number})


def test_it_tells_what_the_list_tells_and_goes_on_where_it_broke(api: Any, service: Any) -> None:
    add(service, "test/a", 4)
    listed = api("GET", "/v1/events", params={"subject": "test/a"})["items"]
    streamed = events(api, 2, "/v1/events:stream?subject=test/a")
    assert [json.loads(e.data) for e in streamed] == listed[:2]
    assert [e.event for e in streamed] == ["test.happened"] * 2
    # Browsers send the header, and the address as it was.
    rest = events(api, 2, "/v1/events:stream?subject=test/a&cursor=0", **{"Last-Event-ID": streamed[-1].id})
    assert [json.loads(e.data) for e in rest] == listed[2:]


def test_browsers_hear_of_every_kind_since_names_can_be_left_out(api: Any, service: Any) -> None:
    add(service, "test/nameless", 1)
    [event] = events(api, 1, "/v1/events:stream?subject=test/nameless&named=false")
    assert event.event == "message"
    assert json.loads(event.data)["kind"] == "test.happened"


def test_what_happens_to_others_is_passed_over(api: Any, service: Any) -> None:
    with api.http.stream("GET", "/v1/events:stream?subject=test/mine") as answer:
        stream = iter(httpx2.EventSource(answer))
        for _ in range(3):
            add(service, "test/others", 2)
            add(service, "test/mine", 1)
            event = next(stream)
            assert json.loads(event.data)["subject"] == "test/mine"


def test_it_tells_at_once_what_happens_later(api: Any, service: Any) -> None:
    with api.http.stream("GET", "/v1/events:stream?subject=test/later") as answer:
        add(service, "test/later", 1)
        [event] = islice(httpx2.EventSource(answer), 1)
    assert json.loads(event.data)["data"] == {"number": 0}


def test_pages_of_the_list(api: Any, service: Any) -> None:
    add(service, "test/pages", 3)
    first = api("GET", "/v1/events", params={"subject": "test/pages", "limit": 2})
    assert len(first["items"]) == 2
    second = api("GET", "/v1/events", params={"subject": "test/pages", "limit": 2, "cursor": first["cursor"]})
    assert [e["data"]["number"] for e in second["items"]] == [2]
    assert second["cursor"] is None
