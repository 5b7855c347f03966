"""Who may knock, and who did what."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from wichtel.domain import AlreadyExists, NotFound
from wichtel.store.repository import Repository, check_limit
from wichtel.store.tables import audit, memberships, principals, tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A user or a service account."""

    name: str
    #: ``user`` or ``service``.
    kind: str = "user"
    #: Its home.
    team: str = "default"
    #: In the home team: ``viewer``, ``editor``, ``approver``; or ``admin``, of the whole service.
    role: str = "viewer"
    created: datetime
    email: str | None = None
    #: Since when it may not come in any more.
    disabled: datetime | None = None
    #: Issuer and subject at the identity provider it comes from.
    identity: str | None = None
    #: Other team → role in it.
    teams: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a principal shows. Only its hash is stored."""

    #: Its public part.
    id: str
    principal: Principal
    #: What it is for, in words.
    label: str = ""
    #: What it may be used for; none for all that its principal may.
    scopes: tuple[str, ...]
    #: None for never.
    expires: datetime | None
    created: datetime
    #: Give or take a minute.
    last_used: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    """A token, without its secret."""

    #: Its public part, which stands between its first two underscores.
    id: str
    principal: str
    #: What it is for, in words.
    label: str
    #: None for all that its principal may do.
    scopes: tuple[str, ...]
    #: None for never.
    expires: datetime | None
    created: datetime
    #: Give or take a minute.
    last_used: datetime | None

    @classmethod
    def of(cls, token: Token) -> TokenInfo:
        """What may be told of `token`."""
        shared = ("id", "label", "scopes", "expires", "created", "last_used")
        return cls(principal=token.principal.name, **{name: getattr(token, name) for name in shared})


#: A principal with its memberships, one row for each.
PRINCIPAL_COLUMNS = (*principals.columns, memberships.c.team.label("other_team"), memberships.c.role.label("other_role"))
_WITH_TEAMS = principals.outerjoin(memberships, memberships.c.principal == principals.c.name)
_TOKEN_COLUMNS = (
    # Older code adds rows without an id.
    sa.func.coalesce(tokens.c.id, sa.func.substr(tokens.c.hash, 1, 10)).label("token_id"),
    *(tokens.c[name].label(f"token_{name}") for name in ("hash", "label", "scopes", "expires", "created", "last_used")),
)
# Made once: every request asks it.
_BY_HASH = (
    sa.select(*PRINCIPAL_COLUMNS, *_TOKEN_COLUMNS)
    .select_from(tokens.join(principals, tokens.c.principal == principals.c.name).outerjoin(memberships))
    .where(tokens.c.hash == sa.bindparam("hash"))
)


def gathered(rows: Sequence[sa.Row[Any]]) -> Principal:
    """The principal of `rows`, which are one for each of its memberships."""
    first = rows[0]._mapping
    teams = {row.other_team: row.other_role for row in rows if row.other_team is not None}
    return Principal(**{c.name: first[c.name] for c in principals.columns}, teams=teams)


class Principals(Repository):
    """Principals, by name."""

    def add(
        self,
        name: str,
        *,
        kind: str = "user",
        team: str = "default",
        role: str = "viewer",
        email: str | None = None,
        identity: str | None = None,
    ) -> Principal:
        """Add one, with its team if that is new.

        Raises:
            AlreadyExists: the name is taken.
        """
        principal = Principal(name=name, kind=kind, team=team, role=role, email=email, identity=identity, created=self.now)
        if not self.insert(principals, {c.name: getattr(principal, c.name) for c in principals.columns}):
            raise AlreadyExists(f"there is a principal {name!r} already.")
        self.tx.teams.ensure(team)
        return principal

    def find(self, name: str) -> Principal | None:
        """The principal of that name, if there is one."""
        return self._one(principals.c.name == name)

    def by_identity(self, identity: str) -> Principal | None:
        """The one who comes from an identity provider under `identity`."""
        return self._one(principals.c.identity == identity)

    def _one(self, which: sa.ColumnElement[bool]) -> Principal | None:
        rows = self.connection.execute(sa.select(*PRINCIPAL_COLUMNS).select_from(_WITH_TEAMS).where(which)).all()
        return gathered(rows) if rows else None

    def get(self, name: str) -> Principal:
        """The principal of that name.

        Raises:
            NotFound: there is none.
        """
        found = self.find(name)
        if found is None:
            raise self.not_found("principal", name, principals.c.name)
        return found

    def list(self) -> list[Principal]:
        """All, in the order of names."""
        query = sa.select(*PRINCIPAL_COLUMNS).select_from(_WITH_TEAMS).order_by(principals.c.name, memberships.c.team)
        rows: dict[str, builtins.list[sa.Row[Any]]] = {}
        for row in self.connection.execute(query):
            rows.setdefault(row.name, []).append(row)
        return [gathered(group) for group in rows.values()]

    def change(self, name: str, **values: Any) -> Principal:
        """Set some of ``team``, ``role``, ``email`` and ``disabled``.

        Raises:
            NotFound: there is no such principal.
        """
        if values and not self.connection.execute(sa.update(principals).where(principals.c.name == name).values(**values)).rowcount:
            raise self.not_found("principal", name, principals.c.name)
        if "team" in values:
            self.tx.teams.ensure(values["team"])
            self.connection.execute(sa.delete(memberships).where(memberships.c.principal == name, memberships.c.team == values["team"]))
        return self.get(name)

    def set_teams(self, name: str, teams: dict[str, str]) -> None:
        """Let `teams`, team → role, be all its roles besides that in its home team."""
        self.connection.execute(sa.delete(memberships).where(memberships.c.principal == name))
        for team, role in sorted(teams.items()):
            self.tx.teams.ensure(team)
            self.tx.teams.put_member(team, name, role)

    def disabled(self, names: Collection[str]) -> set[str]:
        """Those of `names` who may not come in any more."""
        query = sa.select(principals.c.name).where(principals.c.name.in_(list(names)), principals.c.disabled.is_not(None))
        return set(self.connection.execute(query).scalars())

    def admins(self) -> int:
        """How many admins may come in."""
        query = sa.select(sa.func.count()).where(principals.c.role == "admin", principals.c.disabled.is_(None))
        return self.connection.execute(query).scalar_one()


class Tokens(Repository):
    """Tokens, by their hash."""

    def add(
        self,
        principal: str,
        token_hash: str,
        scopes: Iterable[str] = (),
        expires: datetime | None = None,
        *,
        identity: str | None = None,
        label: str = "",
    ) -> None:
        """Let whoever shows the token with that hash be `principal`, until `expires`.

        Raises:
            NotFound: there is no such principal.
            AlreadyExists: the hash is there already.
        """
        self.tx.principals.get(principal)
        row = {
            "hash": token_hash,
            "principal": principal,
            "scopes": tuple(scopes),
            "expires": expires,
            "created": self.now,
            "id": identity or token_hash[:10],
            "label": label,
        }
        if not self.insert(tokens, row):
            raise AlreadyExists("there is such a token already.")

    def by_hash(self, token_hash: str) -> Token | None:
        """The token with that hash, unless it has expired or its principal is disabled. One query, by keys."""
        rows = self.connection.execute(_BY_HASH, {"hash": token_hash}).all()
        if not rows or rows[0].disabled is not None:
            return None
        expires = rows[0].token_expires
        return None if expires is not None and expires <= self.now else _token(rows)

    def list(self, principal: str | None = None) -> list[Token]:
        """All, or those of one principal, by principal and time."""
        query = sa.select(*principals.columns, *_TOKEN_COLUMNS).join(principals, tokens.c.principal == principals.c.name)
        if principal is not None:
            query = query.where(tokens.c.principal == principal)
        found = self.connection.execute(query.order_by(principals.c.name, tokens.c.created, tokens.c.hash))
        return [_token([row], teams=False) for row in found]

    def by_id(self, identity: str) -> tuple[str, Token]:
        """The token with that public part, and its hash.

        Raises:
            NotFound: there is none.
        """
        query = sa.select(*principals.columns, *_TOKEN_COLUMNS).join(principals, tokens.c.principal == principals.c.name)
        older = sa.and_(tokens.c.id.is_(None), sa.func.substr(tokens.c.hash, 1, 10) == identity)
        row = self.connection.execute(query.where(sa.or_(tokens.c.id == identity, older))).first()
        if row is None:
            raise NotFound(f"there is no token {identity!r}.", hint="An id stands between the first two '_' of a token.")
        return row.token_hash, _token([row], teams=False)

    def used(self, token_hash: str) -> None:
        """Note that it was used just now."""
        self.connection.execute(sa.update(tokens).where(tokens.c.hash == token_hash).values(last_used=self.now))

    def revoke(self, token_hash: str) -> None:
        """Forget it, and end the sessions that were made with it.

        Raises:
            NotFound: there is none.
        """
        if not self.connection.execute(sa.delete(tokens).where(tokens.c.hash == token_hash)).rowcount:
            raise NotFound("there is no such token.")
        self.tx.sessions.end_of(token_hash=token_hash)


def _token(rows: Sequence[sa.Row[Any]], *, teams: bool = True) -> Token:
    row = rows[0]
    principal = gathered(rows) if teams else Principal(**{c.name: row._mapping[c.name] for c in principals.columns})
    names = ("label", "scopes", "expires", "created", "last_used")
    return Token(id=row.token_id, principal=principal, **{name: row._mapping[f"token_{name}"] for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the audit log."""

    number: int
    principal: str
    action: str
    subject: str
    detail: Any
    created: datetime
    #: Whose thing it was done to.
    team: str | None = None
    #: ``done`` or ``denied``.
    outcome: str = "done"


class Audit(Repository):
    """The audit log: only ever added to."""

    def add(self, principal: str, action: str, subject: str, detail: Any = None, *, team: str | None = None, outcome: str = "done") -> None:
        """Note that `principal` did `action` to `subject`, in the transaction in which it was done.

        Args:
            team: Whose thing it is; its members see the entry.
            outcome: ``denied`` for what was not permitted.
        """
        row = {"principal": principal, "action": action, "subject": subject, "detail": detail or {}, "created": self.now}
        self.connection.execute(sa.insert(audit), {**row, "team": team, "outcome": outcome})

    def list(
        self,
        *,
        principal: str | None = None,
        subject: str | None = None,
        action: str | None = None,
        outcome: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: int | None = None,
        reader: str | None = None,
        teams: Collection[str] = (),
    ) -> builtins.list[Entry]:
        """Newest first, from the one before number `before`.

        Args:
            since: Not before this time.
            until: Before this time.
            reader: Only what this principal did, what was done to a thing of `teams`, and what their people did to no team's thing;
                None for everything.
        """
        query = sa.select(audit).order_by(audit.c.number.desc()).limit(check_limit(limit))
        exact = ((audit.c.principal, principal), (audit.c.subject, subject), (audit.c.action, action), (audit.c.outcome, outcome))
        for column, value in exact:
            if value is not None:
                query = query.where(column == value)
        if since is not None:
            query = query.where(audit.c.created >= since)
        if until is not None:
            query = query.where(audit.c.created < until)
        if before is not None:
            query = query.where(audit.c.number < before)
        if reader is not None:
            people = sa.select(principals.c.name).where(principals.c.team.in_(teams))
            nobodys = sa.and_(audit.c.team.is_(None), audit.c.principal.in_(people))
            query = query.where(sa.or_(audit.c.principal == reader, audit.c.team.in_(teams), nobodys))
        return [Entry(**row._mapping) for row in self.connection.execute(query)]
