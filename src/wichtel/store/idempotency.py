"""Answers to requests that must be carried out once, each stored in the transaction that carried the request out.

So there is no moment in which the change is there and its answer is not: whoever lost the answer, because the process was killed between
commit and reply, asks again with the same key and is told the same. Of two that ask at the same time, on whatever replica, one inserts
the row; the other waits at that row for the end of the first one's transaction, and then reads its answer, or is the first itself if that
was rolled back. Refusals are not kept, as nothing was done.

An answer may hold a secret, such as a new token, of which nothing but a digest may be in the database. Therefore bodies are sealed: the
table has a digest of the key only, and the body is masked with as many bytes of SHAKE-256 over salt and key, which only the caller has.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from wichtel.domain import InvalidInput
from wichtel.store.repository import Repository
from wichtel.store.tables import idempotency

#: How long an answer is kept.
KEPT = timedelta(hours=24)
_SALT_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What a request was answered."""

    status: int
    headers: dict[str, str]
    body: bytes


class Idempotency(Repository):
    """Answers by principal and key."""

    def claim(self, principal: str, key: str, route: str, request: str) -> StoredAnswer | None:
        """Take the key for this transaction; or the answer that another one gave, which is waited for.

        Args:
            principal: Who asks.
            key: Theirs, made for this one request.
            route: What is called: method and path. The same key means something else for another.
            request: A digest of all that is asked.

        Raises:
            InvalidInput: the key was used for another request.
        """
        row = {
            "principal": principal,
            "key": _name(principal, key, route),
            "route": route,
            "request": request,
            "status": 0,
            "headers": {},
            "body": b"",
            "created": self.now,
        }
        return None if self.insert(idempotency, row) else self.find(principal, key, route, request)

    def find(self, principal: str, key: str, route: str, request: str) -> StoredAnswer | None:
        """The answer that was given, if one was.

        Raises:
            InvalidInput: the key was used for another request.
        """
        query = sa.select(idempotency).where(idempotency.c.principal == principal, idempotency.c.key == _name(principal, key, route))
        row = self.connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.request != request:
            raise InvalidInput(
                "this key was used for another request.", where="header Idempotency-Key", hint="Make a new key for each request."
            )
        return StoredAnswer(status=row.status, headers=row.headers, body=_mask(row.body[_SALT_BYTES:], row.body[:_SALT_BYTES], key))

    def keep(self, principal: str, key: str, route: str, answer: StoredAnswer) -> None:
        """Keep the answer under a key that was claimed."""
        salt = secrets.token_bytes(_SALT_BYTES)
        change = (
            sa.update(idempotency)
            .where(idempotency.c.principal == principal, idempotency.c.key == _name(principal, key, route))
            .values(status=answer.status, headers=answer.headers, body=salt + _mask(answer.body, salt, key))
        )
        self.connection.execute(change)

    def forget_old(self) -> int:
        """Delete answers that were kept for long enough; return how many."""
        return self.connection.execute(sa.delete(idempotency).where(idempotency.c.created < self.now - KEPT)).rowcount


def _name(principal: str, key: str, route: str) -> str:
    return hashlib.sha256(f"{principal}\0{route}\0{key}".encode()).hexdigest()


def _mask(data: bytes, salt: bytes, key: str) -> bytes:
    stream = hashlib.shake_256(salt + key.encode()).digest(len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")
