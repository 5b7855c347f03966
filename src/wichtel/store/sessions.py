"""Sessions of browsers. Only a session's hash is stored: whoever reads the table cannot take one over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from wichtel.store.access import PRINCIPAL_COLUMNS, Principal, gathered
from wichtel.store.repository import Repository
from wichtel.store.tables import memberships, principals, sessions, tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser in which somebody is logged in."""

    principal: Principal
    #: Those of the token it was made with; none for all.
    scopes: tuple[str, ...]
    created: datetime
    #: When a request was made in it, give or take a minute.
    seen: datetime
    expires: datetime


_OWN = [sessions.c[name].label(f"session_{name}") for name in ("scopes", "created", "seen", "expires")]
_BY_HASH = (
    sa.select(*PRINCIPAL_COLUMNS, *_OWN)
    .select_from(sessions.join(principals).outerjoin(memberships, memberships.c.principal == principals.c.name))
    .where(sessions.c.hash == sa.bindparam("hash"))
    # One that began while its token was revoked is still there.
    .where(sa.or_(sessions.c.token.is_(None), sa.exists().where(tokens.c.hash == sessions.c.token)))
)


class Sessions(Repository):
    """Sessions, by their hash."""

    def add(
        self, session_hash: str, principal: str, *, expires: datetime, scopes: Iterable[str] = (), token_hash: str | None = None
    ) -> None:
        """Let whoever shows the cookie with that hash be `principal`, until `expires` at the latest."""
        row = {
            "hash": session_hash,
            "principal": principal,
            "scopes": tuple(scopes),
            "token": token_hash,
            "created": self.now,
            "seen": self.now,
            "expires": expires,
        }
        self.insert(sessions, row)

    def find(self, session_hash: str) -> Session | None:
        """The session with that hash, also one that has expired; None if its principal is disabled, or its token gone."""
        rows = self.connection.execute(_BY_HASH, {"hash": session_hash}).all()
        if not rows or rows[0].disabled is not None:
            return None
        row = rows[0]
        return Session(
            principal=gathered(rows),
            scopes=row.session_scopes,
            created=row.session_created,
            seen=row.session_seen,
            expires=row.session_expires,
        )

    def of(self, principal: str) -> list[tuple[str, Session]]:
        """Hash and session of each of a principal's that has not expired, the latest used first."""
        query = sa.select(*principals.columns, sessions.c.hash.label("session_hash"), *_OWN).join(sessions)
        query = query.where(principals.c.name == principal, sessions.c.expires > self.now).order_by(sessions.c.seen.desc(), sessions.c.hash)
        found = []
        for row in self.connection.execute(query):
            account = Principal(**{c.name: row._mapping[c.name] for c in principals.columns})
            times = {name: row._mapping[f"session_{name}"] for name in ("scopes", "created", "seen", "expires")}
            found.append((row.session_hash, Session(principal=account, **times)))
        return found

    def touch(self, session_hash: str) -> None:
        """Note that it was used just now."""
        self.connection.execute(sa.update(sessions).where(sessions.c.hash == session_hash).values(seen=self.now))

    def end(self, session_hash: str) -> bool:
        """Forget it; False if there is none."""
        return bool(self.connection.execute(sa.delete(sessions).where(sessions.c.hash == session_hash)).rowcount)

    def end_of(self, *, principal: str | None = None, token_hash: str | None = None) -> int:
        """Forget those of a principal, or those that were made with a token; return how many."""
        which = sessions.c.principal == principal if principal is not None else sessions.c.token == token_hash
        return self.connection.execute(sa.delete(sessions).where(which)).rowcount

    def forget_expired(self) -> int:
        """Forget what is over; return how many."""
        return self.connection.execute(sa.delete(sessions).where(sessions.c.expires <= self.now)).rowcount
