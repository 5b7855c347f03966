"""Each notifier against real servers."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from wichtel.domain import InvalidInput
from wichtel.experiments.notifications import Message, NotAccepted, Notifier, OutcomeUnknown
from wichtel.experiments.notifications.email import Email, MailServer
from wichtel.experiments.notifications.http import Poster, refuse_private
from wichtel.experiments.notifications.slack import Slack
from wichtel.experiments.notifications.webhook import Webhook, verify
from wichtel.testing.notifiers import HOSTILE, check_notifier, item

URL = "https://wichtel.example.org"


def poster(seconds: float = 2.0) -> Poster:
    return Poster(private_addresses=True, total_seconds=seconds)


def mailer(receiver: Any) -> Email:
    return Email(MailServer(url=receiver.url, sender="Wichtel <wichtel@example.org>"), URL)


@pytest.mark.parametrize("kind", [Webhook, Slack])
def test_what_goes_by_http_keeps_the_contract(kind: Any, http: Any) -> None:
    check_notifier(kind(poster(), URL), http)


def test_mail_keeps_the_contract(mail: Any) -> None:
    check_notifier(mailer(mail), mail)


# Webhooks


def test_a_webhook_is_signed_and_says_which_message_it_is(http: Any) -> None:
    Webhook(poster(), URL).send(Message(id="m-1", items=(item(1),)), http.address, "whsec_x")
    [(headers, body)] = http.arrived
    assert verify(body, headers["Wichtel-Signature"], "whsec_x")
    assert not verify(body + b" ", headers["Wichtel-Signature"], "whsec_x")
    assert not verify(body, headers["Wichtel-Signature"], "another")
    assert not verify(body, headers["Wichtel-Signature"], "whsec_x", now=time.time() + 3600)
    assert headers["Idempotency-Key"] == json.loads(body)["id"] == "m-1"
    assert json.loads(body)["experiments"][0]["url"] == f"{URL}/v1/experiments/e-1"


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("forbid", NotAccepted),
        ("redirect", NotAccepted),
        ("gateway", OutcomeUnknown),
        ("break", OutcomeUnknown),
        ("trickle", OutcomeUnknown),
    ],
)
def test_what_an_answer_means(how: str, error: type[Exception], http: Any) -> None:
    http.behave(how)
    began = time.monotonic()
    with pytest.raises(error):
        Webhook(poster(2.0), URL).send(Message(id="m", items=(item(1),)), http.address, "s")
    assert time.monotonic() - began < 4.5
    assert len(http.arrived) == 1, "no redirect is followed, nothing is repeated"


@pytest.mark.parametrize(
    "address",
    ["http://example.org/", "https://localhost/", "https://127.0.0.1/", "https://[::1]/", "https://10.1.2.3/", "https://169.254.169.254/latest",
     "https://[::ffff:127.0.0.1]/", "https://user:pw@example.org/", "ftp://example.org/", "https://", "https://example.org:0/",
     "https://exa mple.org"],
)  # fmt: skip
def test_addresses_that_no_webhook_may_have(address: str) -> None:
    with pytest.raises(InvalidInput):
        Poster().check(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1", "0.0.0.0", "100.64.0.1", "224.0.0.1", "::1", "fe80::1", "fc00::1",
     "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "255.255.255.255"],
)  # fmt: skip
def test_addresses_that_are_not_connected_to(address: str) -> None:
    with pytest.raises(NotAccepted, match="public internet"):
        refuse_private([ip_address("93.184.215.14"), ip_address(address)])


def test_public_addresses_are_connected_to() -> None:
    refuse_private([ip_address("93.184.215.14"), ip_address("2606:2800:21f:cb07:6820:80da:af6b:8b2c")])


def test_a_name_that_leads_inside_when_it_is_used_gains_nothing(http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name looks public when the channel is added, and resolves to this machine later."""
    port = http.address.split(":")[2].split("/")[0]
    inside = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(port)))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: inside)
    strict = Webhook(Poster(), URL)
    address = strict.check(f"https://rebind.example.org:{port}/")
    with pytest.raises(NotAccepted, match="public internet"):
        strict.send(Message(id="m", items=(item(1),)), address, "s")
    assert http.arrived == []


def test_what_is_secret_in_an_address_is_not_shown() -> None:
    shown = Slack(Poster(), URL).show("https://hooks.slack.com/services/T0/B0/geheim?key=geheim")
    assert shown == "https://hooks.slack.com/…"


def test_what_others_wrote_does_nothing_in_slack() -> None:
    made = Slack(Poster(), URL).compose(Message(id="m", items=(item(1, HOSTILE),)))
    assert "<" not in json.dumps(made)
    assert {block["text"]["type"] for block in made["blocks"]} == {"plain_text"}


# Mail


def test_what_others_wrote_does_nothing_in_a_mail(mail: Any) -> None:
    hostile = item(1, HOSTILE)
    mailer(mail).send(Message(id="m", items=(hostile,)), "ana@example.org", "")
    [sent] = mail.mails
    html = sent.get_body(("html",)).get_content()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert mail.recipients == [["ana@example.org"]]
    assert sent["Bcc"] is None
    assert sent["Message-ID"] == "<m@example.org>"
    subject = Message(id="m", items=(item(1), item(2))).subject
    assert subject == "Wichtel: 2 experiments of r-1: 2 UNSATISFIED"


@pytest.mark.parametrize(("how", "error"), [("greylist", NotAccepted), ("break", OutcomeUnknown)])
def test_what_the_mail_server_says_last_counts(how: str, error: type[Exception], mail: Any) -> None:
    mail.behave(how)
    with pytest.raises(error):
        mailer(mail).send(Message(id="m", items=(item(1),)), "ana@example.org", "")


def test_a_line_of_a_lone_dot_does_not_end_a_mail(mail: Any) -> None:
    mailer(mail).send(Message(id="m", items=(item(1, "one\n.\ntwo"),)), "ana@example.org", "")
    assert "one\n.\ntwo" in mail.taken()[0].replace("\r", "")


def test_no_mail_goes_out_without_encryption_but_to_this_machine(mail: Any) -> None:
    asked = MailServer(url=mail.url + "?tls=on", sender="w@example.org")
    with pytest.raises(NotAccepted, match="no encryption"):
        Email(asked, URL).send(Message(id="m", items=(item(1),)), "ana@example.org", "")
    assert mail.mails == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_mail_by_starttls_with_a_password(certificate: Path, make_mail: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiosmtpd.smtp import AuthResult

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    logins: list[Any] = []

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        logins.append((data.login, data.password))
        return AuthResult(success=True)

    receiver = make_mail(tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True)
    server = MailServer(url=receiver.url.replace("//", "//me:ge%40heim@") + "?tls=on", sender="w@example.org")
    assert "ge" not in repr(server).replace("w@example.org", "")
    with pytest.raises(NotAccepted, match=r"(?i)certificate"):
        Email(server, URL).send(Message(id="m", items=(item(1),)), "ana@example.org", "")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    Email(server, URL).send(Message(id="m", items=(item(1),)), "ana@example.org", "")
    assert logins == [(b"me", b"ge@heim")]
    assert len(receiver.mails) == 1


def test_without_a_mail_server_no_channel_of_mail_can_be_had() -> None:
    with pytest.raises(InvalidInput, match="sends no mail"):
        Email(None, URL).check("ana@example.org")


def test_a_notifier_is_told_by_what_it_can_do() -> None:
    assert isinstance(Slack(Poster(), URL), Notifier)
    assert not isinstance(object(), Notifier)
