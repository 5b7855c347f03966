"""Who may knock, and who did what."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from wichtel.domain import AlreadyExists, NotFound
from wichtel.store.repository import Repository
from wichtel.store.tables import audit, principals, tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A user or a service account."""

    name: str
    #: ``user`` or ``service``.
    kind: str = "user"
    team: str = "default"
    #: ``viewer``, ``editor``, ``approver`` or ``admin``.
    role: str = "viewer"
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a principal shows. Only its hash is stored."""

    principal: Principal
    scopes: tuple[str, ...]
    #: None for never.
    expires: datetime | None
    created: datetime


class Principals(Repository):
    """Principals, by name."""

    def add(self, name: str, *, kind: str = "user", team: str = "default", role: str = "viewer") -> Principal:
        """Add one.

        Raises:
            AlreadyExists: the name is taken.
        """
        principal = Principal(name=name, kind=kind, team=team, role=role, created=self.now)
        if not self.insert(principals, {c.name: getattr(principal, c.name) for c in principals.columns}):
            raise AlreadyExists(f"there is a principal {name!r} already.")
        return principal

    def find(self, name: str) -> Principal | None:
        """The principal of that name, if there is one."""
        row = self.connection.execute(sa.select(principals).where(principals.c.name == name)).one_or_none()
        return None if row is None else Principal(**row._mapping)

    def list(self) -> list[Principal]:
        """All, in the order of names."""
        return [Principal(**row._mapping) for row in self.connection.execute(sa.select(principals).order_by(principals.c.name))]


class Tokens(Repository):
    """Tokens, by their hash."""

    def add(self, principal: str, token_hash: str, scopes: Iterable[str] = (), expires: datetime | None = None) -> None:
        """Let whoever shows the token with that hash be `principal`, until `expires`.

        Raises:
            NotFound: there is no such principal.
            AlreadyExists: the hash is there already.
        """
        if self.tx.principals.find(principal) is None:
            raise self.not_found("principal", principal, principals.c.name)
        row = {"hash": token_hash, "principal": principal, "scopes": tuple(scopes), "expires": expires, "created": self.now}
        if not self.insert(tokens, row):
            raise AlreadyExists("there is such a token already.")

    def by_hash(self, token_hash: str) -> Token | None:
        """The token with that hash, unless it has expired."""
        query = (
            sa.select(principals, tokens.c.scopes, tokens.c.expires, tokens.c.created.label("token_created"))
            .join(tokens, tokens.c.principal == principals.c.name)
            .where(tokens.c.hash == token_hash)
        )
        row = self.connection.execute(query).one_or_none()
        if row is None or (row.expires is not None and row.expires <= self.now):
            return None
        principal = Principal(**{c.name: row._mapping[c.name] for c in principals.columns})
        return Token(principal=principal, scopes=row.scopes, expires=row.expires, created=row.token_created)

    def revoke(self, token_hash: str) -> None:
        """Forget it.

        Raises:
            NotFound: there is none.
        """
        if not self.connection.execute(sa.delete(tokens).where(tokens.c.hash == token_hash)).rowcount:
            raise NotFound("there is no such token.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the audit log."""

    number: int
    principal: str
    action: str
    subject: str
    detail: Any
    created: datetime


class Audit(Repository):
    """The audit log: only ever added to."""

    def add(self, principal: str, action: str, subject: str, detail: Any = None) -> None:
        """Note that `principal` did `action` to `subject`, in the transaction in which it was done."""
        row = {"principal": principal, "action": action, "subject": subject, "detail": detail or {}, "created": self.now}
        self.connection.execute(sa.insert(audit), row)

    def list(
        self, *, principal: str | None = None, subject: str | None = None, limit: int = 100, before: int | None = None
    ) -> builtins.list[Entry]:
        """Newest first, from the one before number `before`."""
        query = sa.select(audit).order_by(audit.c.number.desc()).limit(limit)
        for column, value in ((audit.c.principal, principal), (audit.c.subject, subject)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(audit.c.number < before)
        return [Entry(**row._mapping) for row in self.connection.execute(query)]
