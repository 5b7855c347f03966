"""How much one caller may ask of this replica: a bucket of tokens for each principal, and for each address that nobody stands behind.

The limits are each replica's own. They keep one script from taking the service away from everybody else; they are no accounting.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from dataclasses import dataclass

from anyio import CapacityLimiter

from wichtel.domain import TooManyRequests
from wichtel.domain.doing import note
from wichtel.server.authentication import Caller
from wichtel.server.exchange import current

#: Wrong or missing tokens from one address: so many at once, and so many more each second. Behind one address may be many people.
FAILURES_AT_ONCE = 200
FAILURES_PER_SECOND = 20.0
#: Requests that take long, such as adding a model, which a worker loads first: so many are carried out at once, the others wait.
LENGTHY_AT_ONCE = 16
#: How many principals, addresses and tokens are remembered.
_REMEMBERED = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float


class Buckets:
    """Token buckets by name: each starts full, and fills again evenly.

    Args:
        per_second: Tokens that come back each second.
        burst: Tokens of a full one.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second = per_second
        self.burst = burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str, now: float | None = None) -> float:
        """Take one token of `name`'s bucket. Return 0, or the seconds until there is one, if there is none."""
        bucket = self._filled(name, now)
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self.per_second
        bucket.tokens -= 1
        return 0.0

    def left(self, name: str, now: float | None = None) -> int:
        """Whole tokens in the bucket."""
        return int(self._filled(name, now).tokens)

    def _filled(self, name: str, now: float | None) -> _Bucket:
        now = time.monotonic() if now is None else now
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(self.burst, now)
            if len(self._buckets) > _REMEMBERED:
                # Whoever was not heard of for longest has the fullest bucket.
                self._buckets.popitem(last=False)
        else:
            bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.filled) * self.per_second)
            bucket.filled = now
            self._buckets.move_to_end(name)
        return bucket


class Limits:
    """The limits of this replica. Belongs to the event loop's thread.

    Args:
        per_second: Requests of a principal; 0 for no limit.
        burst: As many at once.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._requests = Buckets(per_second, burst) if per_second else None
        self._failures = Buckets(FAILURES_PER_SECOND, FAILURES_AT_ONCE)
        self._good: OrderedDict[bytes, None] = OrderedDict()
        #: Of the threads for what takes long.
        self.lengthy = CapacityLimiter(LENGTHY_AT_ONCE)

    def admit(self, principal: str) -> dict[str, str]:
        """Count a request. Return the headers that tell the principal how much is left.

        Raises:
            TooManyRequests: nothing is; when to come again is among the answer's headers.
        """
        if self._requests is None:
            return {}
        wait = self._requests.take(principal)
        window = max(1, math.ceil(self._requests.burst / self._requests.per_second))
        left = self._requests.left(principal)
        headers = {
            "RateLimit-Policy": f'"principal";q={self._requests.burst:g};w={window}',
            "RateLimit": f'"principal";r={left};t={math.ceil((self._requests.burst - left) / self._requests.per_second)}',
        }
        if wait:
            current().answer_headers |= headers | {"Retry-After": str(math.ceil(wait))}
            raise TooManyRequests(
                f"{principal} may ask {self._requests.per_second:g} times a second.", hint="Ask less often, or for larger pages."
            )
        return headers

    def knock(self, address: str, token: str | None) -> float:
        """Before a request is authenticated: 0, or the seconds for which this address must wait, as it failed too often.

        A token that was good a while ago is let through all the same: others may share the address, as behind a proxy.
        """
        if token is not None and _digest(token) in self._good:
            return 0.0
        return 0.0 if self._failures.left(address) else 1.0

    def knocked(self, address: str, token: str | None, *, good: bool) -> None:
        """After it was authenticated, or not."""
        if not good:
            self._failures.take(address)
            if token is not None:
                self._good.pop(_digest(token), None)
        elif token is not None:
            self._good[_digest(token)] = None
            self._good.move_to_end(_digest(token))
            if len(self._good) > _REMEMBERED:
                self._good.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


# Without waiting for anything, so that it needs no thread, and the limits no lock.
async def admitted(principal: Caller) -> None:
    """A dependency of everything that needs a token: note who asks, and count."""
    exchange = current()
    exchange.principal = principal.name
    note(principal=principal.name)
    exchange.answer_headers |= exchange.limits.admit(principal.name)
