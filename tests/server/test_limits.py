"""How much one caller may ask, and how slowly."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.app import App
from wichtel.client import Client
from wichtel.server import Background, connection, limits, listen, middleware
from wichtel.server.limits import Buckets
from wichtel.settings import load_settings


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, str, str]]:
    """A service that answers five requests at once of each principal, and one more every two seconds."""
    monkeypatch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("small") / "home"
    # Read when the application is made.
    monkeypatch.setattr(limits, "FAILURES_AT_ONCE", 10)
    monkeypatch.setattr(limits, "FAILURES_PER_SECOND", 0.01)
    app = App(load_settings({"home": home, "requests_per_second": 0.5, "request_burst": 5, "concurrent_requests": 3}))
    try:
        token = app.access.initialise()
        assert token is not None
        listening = listen("127.0.0.1", 0)
        with Background(app, listening):
            yield app, f"http://127.0.0.1:{listening.getsockname()[1]}", token
    finally:
        monkeypatch.undo()
        app.stop()


@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0.5, 20), st.integers(1, 10))
def test_a_bucket_never_gives_more_than_it_holds_and_gets(gaps: list[float], rate: float, burst: int) -> None:
    buckets, now, taken = Buckets(rate, burst), 1000.0, 0
    for gap in gaps:
        now += gap
        wait = buckets.take("ana", now)
        taken += wait == 0
        assert taken <= burst + (now - 1000) * rate + 1e-6
        if wait:
            assert Buckets(rate, burst).take("eva", now) == 0
            assert buckets.left("ana", now + wait + 1e-6) >= 1


def somebody(small: Any) -> str:
    """The token of a principal that has not asked for anything yet."""
    app, _, token = small
    made = app.access.make_token(app.access.authenticate(token), f"somebody-{uuid.uuid4().hex[:8]}", role="editor", team="default")
    return str(made.token)


def test_a_principal_that_asks_too_often_is_told_when_to_come_again(small: Any) -> None:
    _, url, _ = small
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {somebody(small)}"}, timeout=60) as http:
        first = answer = http.get("/v1/protocols")
        for _ in range(60):
            answer = http.get("/v1/protocols")
            if answer.status_code == 429:
                break
    assert first.status_code == 200
    assert first.headers["ratelimit-policy"] == '"principal";q=5;w=10'
    assert first.headers["ratelimit"].startswith('"principal";r=4;')
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert answer.headers["ratelimit"].startswith('"principal";r=0;')
    assert int(answer.headers["retry-after"]) >= 1


def test_the_client_waits_and_comes_again(small: Any) -> None:
    _, url, _ = small
    with Client(url, somebody(small)) as client:
        for _ in range(7):
            assert client.protocols.list()


def read_all(sock: socket.socket, seconds: float) -> bytes:
    sock.settimeout(seconds)
    found = b""
    try:
        while part := sock.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def begun_post(token: str, path: str = "/v1/registrations") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 1000"
    return head.encode() + b"\r\n\r\n{"


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_a_head_that_dribbles_in_is_cut_off(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    _, url, _ = small
    with connect(url) as silent, connect(url) as slow:
        begun = time.monotonic()
        for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ":
            try:
                slow.send(bytes([byte]))
            except OSError:
                break
            time.sleep(0.05)
        assert read_all(slow, 5) == b""
        assert read_all(silent, 5) == b""
        assert time.monotonic() - begun < 5


def test_a_connection_that_is_kept_and_then_dribbles_is_cut_off_too(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    _, url, _ = small
    with connect(url) as kept:
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        told = b""
        while not told.endswith(b'{"status":"ok"}'):
            told += (more := kept.recv(65536))
            assert more, told
        kept.sendall(b"GET /he")
        assert read_all(kept, 5) == b""


@pytest.mark.parametrize("path", ["/v1/registrations", "/login"])
def test_a_body_that_dribbles_in_is_refused_and_does_no_harm_to_others(small: Any, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.5)
    _, url, _ = small
    token = somebody(small)
    with connect(url) as slow:
        slow.sendall(begun_post(token, path))
        assert httpx2.get(f"{url}/healthz", timeout=60).status_code == 200
        answer = read_all(slow, 10)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not come in time" in answer


def test_more_at_once_than_there_is_room_for_are_asked_to_come_again(small: Any) -> None:
    _, url, _ = small
    token = somebody(small)
    head = begun_post(token)
    busy = [connect(url) for _ in range(3)]
    try:
        for one in busy:
            one.sendall(head)
        time.sleep(0.5)
        answer = httpx2.get(f"{url}/v1/protocols", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert httpx2.get(f"{url}/healthz", timeout=60).status_code == 200
    finally:
        for one in busy:
            one.close()
    time.sleep(1)
    assert httpx2.get(f"{url}/v1/protocols", headers={"Authorization": f"Bearer {token}"}, timeout=60).status_code == 200


# The last: it leaves the address of all tests without credit.
def test_an_address_that_guesses_tokens_is_kept_waiting_but_not_who_has_one(small: Any) -> None:
    _, url, _ = small
    token = somebody(small)
    with httpx2.Client(base_url=url, timeout=60) as http:
        assert http.get("/v1/protocols", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        statuses = [http.get("/v1/protocols", headers={"Authorization": f"Bearer wt_{i}"}).status_code for i in range(15)]
        assert statuses[0] == 401
        assert statuses[-1] == 429
        assert http.get("/healthz").status_code == 200
        time.sleep(0.3)
        assert http.get("/v1/protocols", headers={"Authorization": f"Bearer {token}"}).status_code == 200
