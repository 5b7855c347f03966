"""One request and its answer, as the parts of the service that stand between the socket and the handler see it.

`RequestIds` opens it; everything further in, on whatever thread, finds it by `current`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wichtel.domain import InvalidInput

if TYPE_CHECKING:
    from wichtel.server.limits import Limits


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request that is being answered."""

    request_id: str
    method: str
    path: str
    query: str
    #: Of the request, in lower case.
    headers: Mapping[str, str]
    #: Where it comes from; empty if that cannot be told.
    address: str
    #: What may be asked of this replica.
    limits: Limits
    #: Who asks; empty until that is known.
    principal: str = ""
    #: Further headers of the answer.
    answer_headers: dict[str, str] = field(default_factory=dict)
    #: By `time.perf_counter`.
    started: float = field(default_factory=time.perf_counter)
    #: Digest of what was read of the request's body.
    body: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def changes(self) -> bool:
        """Whether the request may change something."""
        return self.method not in ("GET", "HEAD", "OPTIONS")

    @property
    def idempotency_key(self) -> str | None:
        """What the caller calls this one request, if it does.

        Raises:
            InvalidInput: it is no key.
        """
        given = self.headers.get("idempotency-key")
        if given is None:
            return None
        # The drafted standard has it in quotes.
        key = given[1:-1] if len(given) > 2 and given[0] == given[-1] == '"' else given
        if not 1 <= len(key) <= 200 or not all("!" <= letter <= "~" for letter in key):
            raise InvalidInput(
                "a key is 1 to 200 visible ASCII characters.", where="header Idempotency-Key", hint="A random one, such as a UUID."
            )
        return key

    @property
    def route(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"

    @property
    def digest(self) -> str:
        """Of all that is asked: method, address and body, as far as it was read."""
        return hashlib.sha256(f"{self.route}?{self.query}\n{self.body.hexdigest()}".encode()).hexdigest()


_current: ContextVar[Exchange] = ContextVar("wichtel_exchange")


def current() -> Exchange:
    """The exchange that this thread or task works for."""
    return _current.get()


def enter(exchange: Exchange) -> None:
    """Make `exchange` the current one of this task and all that it starts."""
    _current.set(exchange)
