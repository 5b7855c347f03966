"""Teams, and the principals who have roles in them."""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass, replace
from typing import Any

from wichtel.domain import AlreadyExists, IllegalTransition, InvalidInput, check_name
from wichtel.experiments.access import check_principal
from wichtel.experiments.permissions import Role, role_of
from wichtel.experiments.principal import Principal
from wichtel.store import Database, Member, Team, Transaction
from wichtel.store import Principal as Account

KINDS = ("user", "service")
_EMAIL = re.compile(r"[^@\s<>\"]{1,64}@[^@\s<>\"]{1,250}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrincipal:
    """A principal to be made."""

    name: str
    #: ``user`` or ``service``.
    kind: str = "user"
    #: Its home.
    team: str = "default"
    #: viewer, editor, approver; or admin, of the whole service.
    role: str = "viewer"
    email: str | None = None


class Teams:
    """The teams."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, name: str, description: str, principal: Principal) -> Team:
        """Make a team, or describe a known one anew.

        Raises:
            NotPermitted: the principal is no admin.
        """
        principal.permit("manage_teams")
        check_name(name, what="team")
        if len(description) > 1000:
            raise InvalidInput("this is longer than 1000 characters.", where="description")
        with self._db.transaction() as tx:
            team = tx.teams.put(name, description)
            tx.audit.add(principal.name, "put_team", name, {"description": description}, team=name)
            return team

    def get(self, name: str) -> Team:
        """One team.

        Raises:
            NotFound: there is none.
        """
        with self._db.read() as tx:
            return tx.teams.get(name)

    def list(self) -> list[Team]:
        """All of them, by name."""
        with self._db.read() as tx:
            return tx.teams.list()

    def members(self, name: str) -> builtins.list[Member]:
        """Who has a role in a team.

        Raises:
            NotFound: there is no such team.
        """
        with self._db.read() as tx:
            tx.teams.get(name)
            return tx.teams.members(name)

    def put_member(self, team: str, name: str, role: str, principal: Principal) -> Member:
        """Give somebody a role in a team that is not their home.

        Raises:
            NotPermitted: the principal is no admin.
            InvalidInput: it is their home, or the role is admin, which goes with no team.
            NotFound: there is no such team or principal.
        """
        principal.permit("manage_teams")
        wanted = role_of(role)
        if wanted is Role.ADMIN:
            raise InvalidInput("an admin is one of the whole service.", where="role", hint="`wichtel principals set NAME --role admin`.")
        with self._db.transaction() as tx:
            if tx.principals.get(name).team == team:
                raise InvalidInput(f"{team} is the home of {name}.", hint="Change the role of the principal instead.")
            tx.teams.put_member(team, name, wanted.name.lower())
            tx.audit.add(principal.name, "put_member", name, {"role": wanted.name.lower()}, team=team)
        return Member(principal=name, team=team, role=wanted.name.lower())

    def remove_member(self, team: str, name: str, principal: Principal) -> None:
        """Take away somebody's role in a team that is not their home.

        Raises:
            NotPermitted: the principal is no admin.
            NotFound: they have none.
        """
        principal.permit("manage_teams")
        with self._db.transaction() as tx:
            tx.teams.remove_member(team, name)
            tx.audit.add(principal.name, "remove_member", name, {}, team=team)


class Principals:
    """The users and service accounts."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, new: NewPrincipal, principal: Principal) -> Account:
        """Make one.

        Raises:
            NotPermitted: the principal is no admin.
            AlreadyExists: the name is taken.
            InvalidInput: a value does not fit.
        """
        principal.permit("manage_principals")
        check_principal(new.name)
        check_name(new.team, what="team")
        _check_kind(new.kind)
        _check_email(new.email)
        role = role_of(new.role).name.lower()
        with self._db.transaction() as tx:
            made = tx.principals.add(new.name, kind=new.kind, team=new.team, role=role, email=new.email)
            detail = {"kind": new.kind, "role": role, "team": new.team}
            tx.audit.add(principal.name, "add_principal", new.name, detail, team=new.team)
        return made

    def get(self, name: str, principal: Principal) -> Account:
        """One of them. Only admins and they themselves see the e-mail address.

        Raises:
            NotFound: there is none.
        """
        with self._db.read() as tx:
            return _shown(tx.principals.get(name), principal)

    def list(self, principal: Principal) -> list[Account]:
        """All of them, by name."""
        with self._db.read() as tx:
            return [_shown(account, principal) for account in tx.principals.list()]

    def change(
        self,
        name: str,
        principal: Principal,
        *,
        team: str | None = None,
        role: str | None = None,
        email: str | None = None,
    ) -> Account:
        """Set what is given; an empty e-mail address is none.

        Raises:
            NotPermitted: the principal is no admin.
            NotFound: there is no such principal.
            IllegalTransition: there would be no admin left.
            InvalidInput: a value does not fit.
        """
        principal.permit("manage_principals")
        values: dict[str, Any] = {}
        if team is not None:
            values["team"] = check_name(team, what="team")
        if role is not None:
            values["role"] = role_of(role).name.lower()
        if email is not None:
            values["email"] = _check_email(email or None)
        with self._db.transaction() as tx:
            _alone(tx)
            changed = tx.principals.change(name, **values)
            _check_admins(tx)
            tx.audit.add(principal.name, "change_principal", name, values, team=changed.team)
            return changed

    def disable(self, name: str, principal: Principal) -> Account:
        """Let it come in no more, at once: its tokens are refused, its sessions are over.

        Raises:
            NotPermitted: the principal is no admin.
            NotFound: there is no such principal.
            IllegalTransition: it is disabled already, or the last admin.
        """
        return self._switch(name, principal, on=False)

    def enable(self, name: str, principal: Principal) -> Account:
        """Let it come in again, with the tokens it had.

        Raises:
            NotPermitted: the principal is no admin.
            NotFound: there is no such principal.
            IllegalTransition: it is not disabled.
        """
        return self._switch(name, principal, on=True)

    def _switch(self, name: str, principal: Principal, *, on: bool) -> Account:
        principal.permit("manage_principals")
        with self._db.transaction() as tx:
            _alone(tx)
            known = tx.principals.get(name)
            if (known.disabled is None) == on:
                raise IllegalTransition(f"it is {'not disabled' if on else 'disabled already'}.", where=f"principal {name}")
            changed = tx.principals.change(name, disabled=None if on else tx.now)
            tx.sessions.end_of(principal=name)
            _check_admins(tx)
            tx.audit.add(principal.name, "enable_principal" if on else "disable_principal", name, {}, team=changed.team)
            return changed

    def identified(self, identity: str, name: str, *, home: tuple[str, str], teams: dict[str, str], email: str | None) -> Account:
        """The principal of an identity that a provider vouches for; made at the first time, and given the roles that it says each time.

        Args:
            identity: Issuer and subject.
            name: What it is to be called, at the first time.
            home: Team and role.
            teams: Other team → role.
            email: If the provider knows one.

        Raises:
            AlreadyExists: somebody else has the name.
            InvalidInput: the name cannot name a principal.
        """
        team, role = home
        teams = {other: r for other, r in teams.items() if other != team}
        with self._db.transaction() as tx:
            # Logins of the same person at the same time follow each other.
            tx.exclusive(f"identity/{identity}")
            known = tx.principals.by_identity(identity)
            email = email or (known.email if known is not None else None)
            if known is None:
                try:
                    tx.principals.add(check_principal(name), team=team, role=role, email=email, identity=identity)
                except AlreadyExists:
                    # Never handed over by its name alone: whoever chooses a name over there must not become somebody here.
                    raise AlreadyExists(
                        f"there is another principal {name!r}.", hint="Ask an admin to rename one of you at the identity provider."
                    ) from None
                tx.principals.set_teams(name, teams)
                tx.audit.add(name, "add_principal", name, {"identity": identity, "role": role, "team": team}, team=team)
            elif (known.team, known.role, known.teams, known.email) != (team, role, teams, email):
                tx.principals.change(known.name, team=team, role=role, email=email)
                tx.principals.set_teams(known.name, teams)
                tx.audit.add(known.name, "change_principal", known.name, {"role": role, "team": team, "teams": teams}, team=team)
            found = tx.principals.by_identity(identity)
            assert found is not None
            return found


def _shown(account: Account, principal: Principal) -> Account:
    return account if principal.may("see_principal", owner=account.name) else replace(account, email=None, identity=None)


def _check_kind(kind: str) -> str:
    if kind not in KINDS:
        raise InvalidInput(f"{kind!r} is none of {', '.join(KINDS)}.", where="kind")
    return kind


def _check_email(email: str | None) -> str | None:
    if email is not None and not (_EMAIL.fullmatch(email) and email.isprintable()):
        raise InvalidInput(f"{email!r} is no e-mail address.", where="email")
    return email


def _alone(tx: Transaction) -> None:
    # Of two admins who put each other out at the same time, each would still see the other.
    tx.exclusive("admins")


def _check_admins(tx: Transaction) -> None:
    if not tx.principals.admins():
        raise IllegalTransition("there would be no admin left.", hint="Make somebody else an admin first.")
