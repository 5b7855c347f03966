"""Sessions: who is logged in with a browser.

The cookie is a random secret; its hash is stored. A session ends when it was not used for a while, some time after its beginning in any
case, at the logout, when the token it was made with is revoked, and when its principal is disabled. It can do no more than that token.
Against requests that other sites make a browser send, every change must also tell the session's CSRF token, which is made from the cookie
and which only our own pages are told.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from wichtel.domain import NotFound, NotPermitted
from wichtel.experiments.access import USE_IS_NOTED_AFTER, Uses, digest
from wichtel.experiments.principal import Principal
from wichtel.store import Database, Transaction
from wichtel.store import Principal as Account

#: Characters of a session's hash that name it.
_ID = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A session, as its browser may know it."""

    principal: Principal
    #: To be sent with every change.
    csrf: str
    #: At the latest.
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A browser in which somebody is logged in, as they and admins may know it."""

    #: A part of its hash, which does not tell its cookie.
    id: str
    created: datetime
    #: Give or take a minute.
    seen: datetime
    expires: datetime
    #: What it may be used for; none for all that its principal may do.
    scopes: tuple[str, ...]
    #: Whether it is the one that asks.
    current: bool = False


class Sessions:
    """The sessions.

    Args:
        db: Where they live.
        idle: Without a request for this long, a session is over.
        lifetime: A session is over after this in any case.
    """

    def __init__(self, db: Database, *, idle: timedelta, lifetime: timedelta) -> None:
        self._db = db
        self._idle = idle
        self._lifetime = lifetime
        self._uses = Uses()

    @property
    def lifetime(self) -> timedelta:
        """After this a session is over in any case."""
        return self._lifetime

    def log_in(self, token: str, *, instead_of: str | None = None) -> str:
        """Begin a session of the token's principal; return its cookie, which is always a new one.

        Args:
            token: An access token.
            instead_of: The cookie that the browser had until now; its session is over.

        Raises:
            NotPermitted: the token is not valid.
        """
        hashed = digest(token)
        with self._db.transaction() as tx:
            found = tx.tokens.by_hash(hashed)
            if found is None:
                raise NotPermitted("the token is not valid, or no longer.", hint="Ask an admin for a new one.")
            return self._begin(tx, found.principal, instead_of, scopes=found.scopes, token_hash=hashed, until=found.expires)

    def begin(self, account: Account, *, instead_of: str | None = None) -> str:
        """Begin a session of somebody whom an identity provider vouches for; return its cookie.

        Raises:
            NotPermitted: they are disabled.
        """
        if account.disabled is not None:
            raise NotPermitted(f"{account.name} is disabled.", hint="Ask an admin.")
        with self._db.transaction() as tx:
            return self._begin(tx, account, instead_of)

    def _begin(
        self,
        tx: Transaction,
        account: Account,
        instead_of: str | None,
        *,
        scopes: tuple[str, ...] = (),
        token_hash: str | None = None,
        until: datetime | None = None,
    ) -> str:
        cookie = secrets.token_urlsafe(32)
        expires = tx.now + self._lifetime
        if instead_of:
            tx.sessions.end(digest(instead_of))
        tx.sessions.forget_expired()
        tx.sessions.add(
            digest(cookie), account.name, expires=min(expires, until) if until else expires, scopes=scopes, token_hash=token_hash
        )
        tx.audit.add(account.name, "log_in", account.name, {"with": "token" if token_hash else "identity provider"}, team=account.team)
        return cookie

    def find(self, cookie: str) -> Visit | None:
        """The session of a cookie, unless it is over."""
        hashed = digest(cookie)
        with self._db.read() as tx:
            found, now = tx.sessions.find(hashed), tx.now
        if found is None or found.expires <= now or found.seen + self._idle <= now:
            return None
        if now - found.seen > min(USE_IS_NOTED_AFTER, self._idle / 4):
            self._uses.note(hashed, lambda: self._note_use(hashed))
        return Visit(principal=Principal.of(found.principal, found.scopes), csrf=csrf_token(cookie), expires=found.expires)

    def _note_use(self, hashed: str) -> None:
        with self._db.transaction() as tx:
            tx.sessions.touch(hashed)

    def log_out(self, cookie: str) -> None:
        """End the session of a cookie, if there is one."""
        with self._db.transaction() as tx:
            found = tx.sessions.find(digest(cookie))
            if found is not None:
                tx.sessions.end(digest(cookie))
                tx.audit.add(found.principal.name, "log_out", found.principal.name, {}, team=found.principal.team)

    def of(self, name: str, principal: Principal, *, cookie: str = "") -> list[OpenSession]:
        """The sessions of somebody, the latest used first.

        Args:
            name: Whose.
            principal: Who asks.
            cookie: Of the session that asks.

        Raises:
            NotPermitted: they are somebody else's, and `principal` is no admin.
        """
        principal.permit("see_tokens", owner=name)
        current = digest(cookie)
        with self._db.read() as tx:
            found, now = tx.sessions.of(name), tx.now
        return [
            OpenSession(id=h[:_ID], created=s.created, seen=s.seen, expires=s.expires, scopes=s.scopes, current=h == current)
            for h, s in found
            if s.seen + self._idle > now
        ]

    def end(self, identity: str, name: str, principal: Principal) -> None:
        """End a session of somebody at once.

        Raises:
            NotFound: they have none of that id.
            NotPermitted: it is somebody else's, and `principal` is no admin.
        """
        principal.permit("revoke_token", owner=name)
        with self._db.transaction() as tx:
            hashes = [h for h, _ in tx.sessions.of(name) if h[:_ID] == identity]
            if not hashes:
                raise NotFound(f"{name} has no session {identity!r}.", hint="It may be over already.")
            for hashed in hashes:
                tx.sessions.end(hashed)
            tx.audit.add(principal.name, "end_session", name, {"id": identity}, team=tx.principals.get(name).team)

    def close(self) -> None:
        """Finish what is being noted."""
        self._uses.close()


def csrf_token(cookie: str) -> str:
    """The CSRF token of the session with that cookie. It does not tell the cookie."""
    return hmac.new(cookie.encode(errors="replace"), b"wichtel csrf", hashlib.sha256).hexdigest()
