"""Mail by SMTP: what belongs to a registration in one mail, plain and HTML."""

from __future__ import annotations

import re
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from html import escape
from ipaddress import ip_address
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from wichtel.domain import InvalidInput
from wichtel.experiments.notifications.message import Item, Message
from wichtel.experiments.notifications.port import NotAccepted, OutcomeUnknown

#: For each answer of the mail server.
_SECONDS = 15.0
#: Most experiments that a mail tells of one by one.
_MOST = 200
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mail goes out. Its text form never shows the password.

    Args:
        url: ``smtp://user:password@host:587`` (STARTTLS, without which nothing is sent but to this machine itself;
            ``?tls=on`` and ``?tls=off`` say otherwise), or ``smtps://…`` (TLS from the first byte).
        sender: The address that mail comes from.
    """

    url: str
    sender: str

    def __repr__(self) -> str:
        return f"MailServer({urlsplit(self.url).hostname!r}, {self.sender!r})"

    def check(self) -> None:
        """Refuse what nothing can be sent with.

        Raises:
            InvalidInput: the URL is none for mail, or the sender is no address.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise InvalidInput("this is no URL of a mail server.", where="smtp_url", hint="For example smtp://user:password@host:587.")
        if not _ADDRESS.fullmatch(parseaddr(self.sender)[1]):
            raise InvalidInput("this is no e-mail address.", where="smtp_from", hint="For example wichtel@example.org.")

    @property
    def _starttls(self) -> bool:
        parts = urlsplit(self.url)
        said = parse_qs(parts.query).get("tls")
        return said == ["on"] or (said != ["off"] and not _is_loopback(str(parts.hostname)))

    def connect(self) -> smtplib.SMTP:
        """A connection that is ready for a mail."""
        parts = urlsplit(self.url)
        host = str(parts.hostname)
        context = ssl.create_default_context()
        if parts.scheme == "smtps":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=_SECONDS, context=context)
        else:
            smtp = smtplib.SMTP(host, parts.port or 587, timeout=_SECONDS)
        try:
            smtp.ehlo()
            if parts.scheme == "smtp" and self._starttls:
                if not smtp.has_extn("starttls"):
                    raise NotAccepted("the mail server offers no encryption.", where=host, hint="Add ?tls=off to smtp_url to do without.")
                smtp.starttls(context=context)
                smtp.ehlo()
            if parts.username is not None:
                smtp.login(unquote(parts.username), unquote(parts.password or ""))
        except BaseException:
            smtp.close()
            raise
        return smtp


class Email:
    """Sends mail.

    Args:
        server: None if no mail server is set: then no channel of this kind can be added.
        url: Address of the service, for links.
    """

    kind: ClassVar[str] = "email"
    digests: ClassVar[bool] = True
    signs: ClassVar[bool] = False

    def __init__(self, server: MailServer | None, url: str) -> None:
        self._server = server
        self._url = url.rstrip("/")

    def check(self, address: str) -> str:
        """See `Notifier.check`."""
        if self._server is None:
            raise InvalidInput("this service sends no mail.", where="kind", hint="An admin can set smtp_url and smtp_from.")
        if not _ADDRESS.fullmatch(address) or ".." in address:
            raise InvalidInput("this is no e-mail address.", where="address", hint="For example ana@example.org.")
        return address

    def show(self, address: str) -> str:
        """See `Notifier.show`."""
        return address

    def send(self, message: Message, address: str, secret: str) -> None:
        """See `Notifier.send`."""
        if self._server is None:
            raise NotAccepted("this service sends no mail any more.", hint="An admin can set smtp_url and smtp_from.")
        sender = parseaddr(self._server.sender)[1]
        data = self.compose(message, address).as_bytes()
        # Until the last line is out, nothing can have been taken.
        sent = False
        try:
            smtp = self._server.connect()
            try:
                for code, text in (smtp.mail(sender), smtp.rcpt(address)):
                    if code not in (250, 251):
                        raise NotAccepted(f"the mail server refused: {code} {_text(text)}.")
                code, text = smtp.docmd("DATA")
                if code != 354:
                    raise NotAccepted(f"the mail server refused: {code} {_text(text)}.")
                sent = True
                # Lines of a lone dot would end the mail.
                smtp.send(re.sub(rb"(?m)^\.", b"..", re.sub(rb"\r\n|\r|\n", b"\r\n", data)) + b"\r\n.\r\n")
                code, text = smtp.getreply()
                if code != 250:
                    raise NotAccepted(f"the mail server refused: {code} {_text(text)}.")
            finally:
                # The farewell changes nothing any more, and may take long.
                smtp.close()
        except NotAccepted:
            raise
        except (OSError, smtplib.SMTPException) as error:
            told = _text(error.smtp_error) if isinstance(error, smtplib.SMTPResponseException) else str(error) or type(error).__name__
            if sent:
                raise OutcomeUnknown(f"the mail server did not say whether it took the mail: {told}.") from None
            raise NotAccepted(f"the mail server cannot be used: {told}.") from None

    def compose(self, message: Message, address: str) -> EmailMessage:
        """The mail."""
        assert self._server is not None
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = self._server.sender
        mail["To"] = address
        mail["Message-ID"] = f"<{message.id}@{parseaddr(self._server.sender)[1].partition('@')[2]}>"
        if message.items:
            mail["Date"] = format_datetime(max(item.finished for item in message.items))
        # Nobody's holiday notice is to come back.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(self._plain(message))
        mail.add_alternative(self._html(message), subtype="html")
        return mail

    def _plain(self, message: Message) -> str:
        lines = [message.introduction, ""]
        for item in message.items[:_MOST]:
            lines += [f"{item.status}  {item.protocol} on {item.model}", f"  {item.cause}"]
            lines += [f"  {name}: {text}" for name, text in _details(item)]
            lines += [f"  {self._link(item)}", f"  wichtel experiments show {item.experiment}", ""]
        if len(message.items) > _MOST:
            lines.append(f"… and {len(message.items) - _MOST} more.")
        return "\n".join(lines).replace("\r", " ")

    def _html(self, message: Message) -> str:
        rows = []
        for item in message.items[:_MOST]:
            details = "".join(f"<br><small>{escape(name)}: {escape(text)}</small>" for name, text in _details(item))
            link = f'<a href="{escape(self._link(item), quote=True)}">{escape(item.experiment)}</a>'
            what = f"{escape(item.protocol)} on {escape(item.model)}"
            rows.append(f"<tr><td>{escape(item.status)}</td><td>{what}<br>{escape(item.cause)}{details}</td><td>{link}</td></tr>")
        more = f"<p>… and {len(message.items) - _MOST} more.</p>" if len(message.items) > _MOST else ""
        head = '<!doctype html><html lang="en"><meta charset="utf-8">'
        table = f'<table cellpadding="6" border="1" style="border-collapse:collapse">{"".join(rows)}</table>' if rows else ""
        return f"{head}<body><p>{escape(message.introduction)}</p>{table}{more}</body></html>"

    def _link(self, item: Item) -> str:
        return f"{self._url}/v1/experiments/{item.experiment}"


def _details(item: Item) -> list[tuple[str, str]]:
    found = (("kind of failure", item.category), ("step", item.step), ("what to do", item.hint))
    return [(name, text) for name, text in found if text]


def _text(told: bytes | str) -> str:
    return (told.decode(errors="replace") if isinstance(told, bytes) else str(told)).replace("\n", " ")[:300]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
