"""POST to addresses that users name: to the public internet only, unless a setting allows more; in bounded time; nowhere else.

The name is resolved here, every address of it is looked at, and the connection goes to the address that was looked at: a name that
resolves to something else a moment later gains nothing. Redirects are not followed, proxies of the environment are not used, and of the
answer nothing but its status is read.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore2

from wichtel.domain import InvalidInput
from wichtel.experiments.notifications.port import NotAccepted, OutcomeUnknown

#: For all of it: the connection, the request, the answer's head.
TOTAL_SECONDS = 20.0
CONNECT_SECONDS = 5.0
#: A gateway that heard nothing in time: whoever stands behind it may have taken the message.
_NOBODY_DECIDED = (504,)
#: Addresses that lead to IPv4 ones.
_NAT64 = IPv6Network("64:ff9b::/96")


class Poster:
    """Posts bodies.

    Args:
        private_addresses: Whether loopback, private and link-local addresses may be posted to.
        total_seconds: For one request.
    """

    def __init__(self, *, private_addresses: bool = False, total_seconds: float = TOTAL_SECONDS) -> None:
        self._private_addresses = private_addresses
        self._total_seconds = total_seconds

    @cached_property
    def _context(self) -> ssl.SSLContext:
        # Reading the certificates of all authorities takes long.
        return ssl.create_default_context()

    def check(self, address: str) -> str:
        """The URL, if it can be posted to.

        Raises:
            InvalidInput: it is none of http or https, has a password, or names a place that may not be posted to.
        """
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError as error:
            raise InvalidInput(f"this is no URL: {error}.", where="address") from None
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or not address.isascii()
            or not address.isprintable()
            or " " in address
        ):
            raise InvalidInput("this is no URL of a webhook.", where="address", hint="For example https://example.org/hook.")
        if len(address) > 2000:
            raise InvalidInput("this is longer than 2000 characters.", where="address")
        if parts.username is not None or parts.password is not None:
            raise InvalidInput("a URL with a user or password is not taken.", where="address", hint="The signature tells who sends.")
        if port == 0:
            raise InvalidInput("there is no port 0.", where="address")
        if not self._private_addresses:
            if parts.scheme != "https":
                raise InvalidInput("the URL must begin with https.", where="address", hint="What is sent would be readable on its way.")
            try:
                refuse_private([ip_address(parts.hostname)])
            except ValueError:
                if parts.hostname.rstrip(".").lower() == "localhost":
                    raise _forbidden(parts.hostname) from None
            except NotAccepted:
                raise _forbidden(parts.hostname) from None
        return address

    def post(self, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        """POST `body`; returning means that it was answered with success.

        Raises:
            NotAccepted: there was no connection, or the answer was no success.
            OutcomeUnknown: it was sent, but no answer came.
        """
        try:
            self.check(address)
        except InvalidInput as error:
            # The setting has changed since.
            raise NotAccepted(error.message, hint=error.hint) from None
        context = self._context
        backend = _Guarded(time.monotonic() + self._total_seconds, private_addresses=self._private_addresses)
        timeout = {"connect": CONNECT_SECONDS, "read": self._total_seconds, "write": self._total_seconds, "pool": CONNECT_SECONDS}
        all_headers = {"Content-Type": "application/json", "User-Agent": "wichtel", "Connection": "close", **headers}
        given = [(name.encode(), value.encode()) for name, value in {"Host": urlsplit(address).netloc, **all_headers}.items()]
        try:
            with (
                httpcore2.ConnectionPool(ssl_context=context, network_backend=backend, retries=0) as pool,
                pool.stream("POST", address, headers=given, content=body, extensions={"timeout": timeout}) as answer,
            ):
                status = answer.status
        except NotAccepted:
            raise
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.UnsupportedProtocol, httpcore2.LocalProtocolError) as error:
            raise NotAccepted(f"there is no connection: {error or type(error).__name__}.") from None
        except Exception as error:  # noqa: BLE001 - what was sent decides, not what went wrong
            if not backend.wrote:
                raise NotAccepted(f"the connection broke before anything was sent: {error or type(error).__name__}.") from None
            raise OutcomeUnknown(f"the connection broke, or no answer came in time ({type(error).__name__}).") from None
        if status in _NOBODY_DECIDED:
            raise OutcomeUnknown(f"a gateway had no answer in time (status {status}).")
        if not 200 <= status < 300:
            raise NotAccepted(f"it was answered with status {status}.")


class _Guarded(httpcore2.NetworkBackend):
    """Connects to addresses that were looked at, and lets nothing take longer than until `deadline`."""

    def __init__(self, deadline: float, *, private_addresses: bool) -> None:
        self._deadline = deadline
        self._private_addresses = private_addresses
        self._plain = httpcore2.SyncBackend()
        #: Whether anything of the request was sent; the greeting of TLS does not count.
        self.wrote = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """See `httpcore2.NetworkBackend`."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NotAccepted(f"the name {host!r} is not known: {error}.") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._private_addresses:
            refuse_private(ip_address(address.partition("%")[0]) for address in addresses)
        problem: Exception = NotAccepted(f"the name {host!r} has no address.")
        for address in addresses:
            try:
                return _Bounded(self._plain.connect_tcp(address, port, self._left(timeout)), self)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                problem = error
        raise problem

    def _left(self, timeout: float | None) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("it took too long")
        return left if timeout is None else min(left, timeout)


class _Bounded(httpcore2.NetworkStream):
    """A connection that ends at the deadline, however many bytes trickle in until then."""

    def __init__(self, stream: httpcore2.NetworkStream, backend: _Guarded) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See `httpcore2.NetworkStream`."""
        return self._stream.read(max_bytes, self._backend._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See `httpcore2.NetworkStream`."""
        left = self._backend._left(timeout)
        self._backend.wrote = True
        self._stream.write(buffer, left)

    def close(self) -> None:
        """See `httpcore2.NetworkStream`."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """See `httpcore2.NetworkStream`."""
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, self._backend._left(timeout)), self._backend)

    def get_extra_info(self, info: str) -> Any:
        """See `httpcore2.NetworkStream`."""
        return self._stream.get_extra_info(info)


def refuse_private(addresses: Iterable[IPv4Address | IPv6Address]) -> None:
    """Refuse addresses that only machines near this one can reach.

    Raises:
        NotAccepted: one is loopback, private, link-local, reserved, or a way to write such a one.
    """
    for address in addresses:
        inner = None
        if isinstance(address, IPv6Address):
            inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
            if inner is None and address in _NAT64:
                inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if not address.is_global or address.is_multicast or (inner is not None and (not inner.is_global or inner.is_multicast)):
            raise NotAccepted(f"{address} is not on the public internet.", hint="The setting notify_private_addresses allows it.")


def _forbidden(host: str) -> InvalidInput:
    return InvalidInput(
        f"{host} is not on the public internet.", where="address", hint="An admin can allow it: setting notify_private_addresses."
    )
