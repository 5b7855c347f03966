"""Who asks, and what they may do. Tokens are stored hashed; the first one is shown once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from wichtel.domain import AlreadyExists, InvalidInput, NotPermitted, check_name, did_you_mean
from wichtel.store import Database


class Role(IntEnum):
    """What a principal may do; each role may do all that those before it may."""

    VIEWER = 1
    EDITOR = 2
    APPROVER = 3
    ADMIN = 4


def role_of(name: str) -> Role:
    """The role called `name`, in lower case.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return Role[name.upper()]
    except KeyError:
        names = [r.name.lower() for r in Role]
        raise InvalidInput(f"there is no role {name!r}.", hint=did_you_mean(name, names)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A user or service account."""

    name: str
    team: str
    role: Role

    def need(self, role: Role, *, to: str) -> None:
        """Refuse unless the principal has at least `role`.

        Raises:
            NotPermitted: it has not.
        """
        if self.role < role:
            raise NotPermitted(
                f"{self.name} is a {self.role.name.lower()}; to {to} takes the role {role.name.lower()}.",
                hint="Ask an admin for a token with that role.",
            )

    def need_share(self, owner: str, team: str, *, to: str) -> None:
        """Refuse unless the principal owns the thing, edits for its team, or is an admin.

        Raises:
            NotPermitted: none of these.
        """
        self.need(Role.EDITOR, to=to)
        if self.name != owner and self.team != team and self.role is not Role.ADMIN:
            raise NotPermitted(f"{self.name} may not {to}: it belongs to {owner} of team {team}.")


class Access:
    """Principals and their tokens."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def initialise(self) -> str | None:
        """Make the first admin. Return its token, which nobody can read again, or None if there is a principal already."""
        token = _new_token()
        try:
            with self._db.transaction() as tx:
                if tx.principals.list():
                    return None
                tx.principals.add("admin", team="default", role="admin")
                tx.tokens.add("admin", _hash(token), scopes=(), expires=None)
                tx.audit.add("admin", "initialise", "server", {})
        except AlreadyExists:
            # Another replica, which started in the same moment, was first.
            return None
        return token

    def authenticate(self, token: str) -> Principal:
        """Whose token this is.

        Raises:
            NotPermitted: nobody's, or it has expired.
        """
        with self._db.read() as tx:
            found = tx.tokens.by_hash(_hash(token))
        if found is None:
            raise NotPermitted("the token is not valid, or no longer.", hint="Set WICHTEL_TOKEN, or ask an admin for a new one.")
        return Principal(name=found.principal.name, team=found.principal.team, role=role_of(found.principal.role))

    def create_token(self, principal: Principal, name: str, *, role: str, team: str, expires: datetime | None = None) -> str:
        """Make a token for `name`, who becomes a principal if not one yet. Return it; nobody can read it again.

        Raises:
            NotPermitted: `principal` is not an admin.
            InvalidInput: `name` is known with another role or team, or `expires` has no time zone.
        """
        principal.need(Role.ADMIN, to="create tokens")
        check_name(name, what="principal")
        wanted = role_of(role).name.lower()
        if expires is not None and expires.tzinfo is None:
            raise InvalidInput(f"{expires.isoformat()} needs a time zone.", where="expires", hint=f"For example {expires.isoformat()}Z.")
        token = _new_token()
        with self._db.transaction() as tx:
            known = tx.principals.find(name)
            if known is None:
                tx.principals.add(name, team=team, role=wanted)
            elif (known.role, known.team) != (wanted, team):
                raise InvalidInput(f"{name} is {known.role} of team {known.team}, not {wanted} of {team}.")
            tx.tokens.add(name, _hash(token), scopes=(), expires=expires)
            tx.audit.add(principal.name, "create_token", name, {"role": wanted, "team": team})
        return token


def _new_token() -> str:
    return "wt_" + secrets.token_urlsafe(32)


def _hash(token: str) -> str:
    # A token has 256 bits of entropy, so a plain digest cannot be guessed back and needs no salt.
    return hashlib.sha256(token.encode()).hexdigest()
