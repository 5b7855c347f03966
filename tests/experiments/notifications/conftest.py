"""Real servers on this machine that take, refuse, hang and vanish."""

from __future__ import annotations

import asyncio
import email.policy
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from wichtel.experiments.notifications import email as email_module


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class HttpReceiver:
    """Takes webhooks."""

    def __init__(self) -> None:
        self.how = "accept"
        #: Headers and body of what arrived, whatever was answered.
        self.arrived: list[tuple[dict[str, str], bytes]] = []
        self.accepted: list[bytes] = []
        self.delay = 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.arrived.append((dict(self.headers), body))
                how = receiver.how
                time.sleep(receiver.delay)
                if how == "hang":
                    receiver.released.wait(30)
                    return
                if how == "trickle":
                    for _ in range(100):
                        self.wfile.write(b"H")
                        time.sleep(0.05)
                    return
                if how == "break":
                    self.connection.close()
                    return
                if how == "accept":
                    # Before the answer: whoever has it may look at once.
                    receiver.accepted.append(body)
                status = {"accept": 204, "refuse": 503, "forbid": 403, "redirect": 302, "gateway": 504}[how]
                self.send_response(status)
                if how == "redirect":
                    self.send_header("Location", receiver.address)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None: ...

        self.released = threading.Event()
        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/hook/T0/secret?key=1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def behave(self, how: str) -> None:
        if how == "gone":
            self.stop()
        self.how = how

    def taken(self) -> list[str]:
        return [json.dumps(json.loads(body), ensure_ascii=False) for body in self.accepted]

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class MailReceiver:
    """Takes mail."""

    def __init__(self, **options: Any) -> None:
        self.how = "accept"
        self.mails: list[Any] = []
        self.recipients: list[list[str]] = []
        self.address = "ana@example.org"
        receiver = self

        class Handler:
            async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
                if receiver.how == "refuse":
                    return "550 no such user"
                envelope.rcpt_tos.append(address)
                return "250 OK"

            async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
                if receiver.how == "hang":
                    await asyncio.sleep(5)
                if receiver.how == "break":
                    server.transport.close()
                    return "451 gone"
                if receiver.how == "greylist":
                    return "451 try again later"
                receiver.recipients.append(envelope.rcpt_tos)
                receiver.mails.append(BytesParser(policy=email.policy.default).parsebytes(envelope.content))
                return "250 taken"

        self._controller = Controller(Handler(), hostname="127.0.0.1", port=free_port(), **options)
        self._controller.start()
        self.url = f"smtp://127.0.0.1:{self._controller.port}"
        self.stopped = False

    def behave(self, how: str) -> None:
        if how == "gone":
            self.stop()
        self.how = how

    def taken(self) -> list[str]:
        return [f"{mail['Subject']}\n{mail.get_body(('plain',)).get_content()}" for mail in self.mails]

    def stop(self) -> None:
        if not self.stopped:
            self._controller.stop()
            self.stopped = True


@pytest.fixture
def http() -> Iterator[HttpReceiver]:
    receiver = HttpReceiver()
    yield receiver
    receiver.behave("gone")


@pytest.fixture
def make_mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MailReceiver]]:
    monkeypatch.setattr(email_module, "_SECONDS", 2.0)
    made: list[MailReceiver] = []

    def make(**options: Any) -> MailReceiver:
        made.append(MailReceiver(**options))
        return made[-1]

    yield make
    for receiver in made:
        receiver.stop()


@pytest.fixture
def mail(make_mail: Callable[..., MailReceiver]) -> MailReceiver:
    return make_mail()
