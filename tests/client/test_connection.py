"""Connections that fail."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from wichtel import Client
from wichtel.client import NoService
from wichtel.domain import (
    Constraint,
    Expectation,
    Experiment,
    ExperimentConfig,
    ExperimentState,
    ExperimentStatus,
    Intent,
    InvalidInput,
    SystemFault,
    Unavailable,
)
from wichtel.store import codec

EMPTY = b'{"items":[],"cursor":null}'


def flaky(failures: int, body: bytes = EMPTY) -> tuple[Client, list[httpx2.Request]]:
    """A client whose first `failures` requests get no answer."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        if len(seen) <= failures:
            raise httpx2.RemoteProtocolError("the answer broke off")
        return httpx2.Response(200, content=body)

    return Client("http://service", "token", transport=httpx2.MockTransport(answer)), seen


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wichtel.client.connection._PAUSE_SECONDS", 0.001)


def test_a_question_is_asked_again() -> None:
    client, seen = flaky(3)
    assert client.models.list() == []
    assert len(seen) == 4


def test_but_not_for_ever() -> None:
    client, seen = flaky(99)
    with pytest.raises(NoService, match="wichtel serve"):
        client.models.list()
    assert len(seen) == 4


def test_what_may_happen_only_once_is_asked_for_again_under_one_key() -> None:
    client, seen = flaky(2, b'{"deleted":"careful"}')
    client.intents.delete("careful")
    assert len(seen) == 3
    assert len({request.headers["idempotency-key"] for request in seen}) == 1
    client.intents.delete("careful")
    assert seen[-1].headers["idempotency-key"] != seen[0].headers["idempotency-key"]


@pytest.mark.parametrize("status", [429, 502, 503])
def test_who_is_told_to_come_again_does(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("wichtel.client.connection.time.sleep", slept.append)
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, content=EMPTY) if len(seen) > 2 else httpx2.Response(status, headers={"Retry-After": "3"})

    with Client("http://service", "token", transport=httpx2.MockTransport(answer)) as client:
        assert client.models.list() == []
    assert len(seen) == 3
    assert all(seconds >= 3 for seconds in slept)


def test_a_gateway_without_a_service_is_told_apart_from_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wichtel.client.connection._PATIENCE_SECONDS", 0.0)
    transport = httpx2.MockTransport(lambda request: httpx2.Response(502, text="<h1>Bad Gateway</h1>"))
    with Client("http://service", "token", transport=transport) as client, pytest.raises(Unavailable, match="502"):
        client.models.list()


def test_a_registration_has_a_key_and_may_be_asked_for_again() -> None:
    body = b'{"id":"r","owner":"o","models":["m"],"protocols":["p"],"experiments":["e"],"created":"2026-01-01T00:00:00Z"}'
    client, seen = flaky(2, body)
    assert client.register(["m"], ["TrainModel"]).id == "r"
    assert len({request.content for request in seen}) == 1
    assert b'"idempotency_key":"' in seen[0].content


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with Client(url, "token") as client, pytest.raises(NoService) as caught:
        client.models.list()
    assert caught.value.where == url
    assert "wichtel serve" in str(caught.value.hint)
    assert "--local" in str(caught.value.hint)


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    server = socket.create_server(("127.0.0.1", 0))

    def loop() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                answer(connection)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def test_something_else_listens() -> None:
    page = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    with (
        listening(lambda c: c.sendall(page)) as url,
        Client(url, "token") as client,
        pytest.raises(SystemFault, match="no Wichtel service"),
    ):
        client.models.list()


def test_a_connection_that_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def answer(connection: socket.socket) -> None:
        calls.append(1)
        if len(calls) > 1:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(EMPTY), EMPTY))

    with listening(answer) as url, Client(url, "token") as client:
        assert client.models.list() == []
    assert len(calls) == 2


@pytest.mark.parametrize("url", ["nonsense", "ftp://there", "http://[::1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InvalidInput, match="address"), Client(url, "token") as client:
        client.models.list()


def test_the_settings_say_which_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WICHTEL_URL", "http://somewhere:1")
    monkeypatch.setenv("WICHTEL_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/token").write_text("kept\n")
    with Client() as client:
        assert client.url == "http://somewhere:1"
        assert client._connection._http.headers["authorization"] == "Bearer kept"
    monkeypatch.setenv("WICHTEL_TOKEN", "said")
    with Client() as client:
        assert client._connection._http.headers["authorization"] == "Bearer said"


def test_waiting_outlasts_a_restart_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wichtel.client.experiments._LOOK", 0.001)
    constraint = Constraint(metric="auc", expectation=Expectation.LARGER)
    experiment = Experiment(
        id="e-1",
        registration="r",
        model="m",
        target="v",
        protocol="p",
        config=ExperimentConfig(intent=Intent(name="i", constraints=(constraint,), primary="auc")),
        owner="o",
        quota_group="q",
        created=datetime.now(UTC),
    )
    seen = 0

    def answer(request: httpx2.Request) -> httpx2.Response:
        nonlocal seen
        seen += 1
        if 1 < seen < 8:
            raise httpx2.ConnectError("refused")
        now = experiment if seen == 1 else replace(experiment, state=ExperimentState.FINISHED, status=ExperimentStatus.SATISFIED)
        return httpx2.Response(200, content=codec.encode(now))

    with Client("http://service", "token", transport=httpx2.MockTransport(answer)) as client:
        [found] = client.experiments.wait("e-1")
    assert found.status is ExperimentStatus.SATISFIED


def test_waiting_for_a_service_that_never_was() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    with Client("http://service", "token", transport=httpx2.MockTransport(answer)) as client, pytest.raises(NoService):
        client.experiments.wait("e-1")
