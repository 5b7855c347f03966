"""Who asks: a user or service account, with its roles and what its token is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wichtel.domain import NotPermitted
from wichtel.experiments.permissions import RULES, Role, Scope, Where, role_of, scopes_of
from wichtel.store import Principal as Account

_EVERYTHING = frozenset({Scope.ADMIN})
_HINT = "Ask an admin for that role."


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A user or service account, as it came in."""

    name: str
    #: Its home.
    team: str
    #: In its home team; `Role.ADMIN` everywhere.
    role: Role
    #: ``user`` or ``service``.
    kind: str = "user"
    #: What its token may be used for.
    scopes: frozenset[Scope] = _EVERYTHING
    #: Other team → role in it.
    memberships: Mapping[str, Role] = field(default_factory=dict)
    email: str | None = None

    @classmethod
    def of(cls, account: Account, scopes: tuple[str, ...] = ()) -> Principal:
        """The principal that the store tells of, with what its token is for; no scopes stand for everything."""
        return cls(
            name=account.name,
            team=account.team,
            role=role_of(account.role),
            kind=account.kind,
            scopes=scopes_of(scopes) if scopes else _EVERYTHING,
            memberships={team: role_of(role) for team, role in account.teams.items()},
            email=account.email,
        )

    @property
    def teams(self) -> dict[str, Role]:
        """Team → role in it, the home among them."""
        return {**self.memberships, self.team: self.role}

    @property
    def best(self) -> Role:
        """Its highest role in any team."""
        return max(self.role, *self.memberships.values()) if self.memberships else self.role

    def role_in(self, team: str) -> Role | None:
        """Its role in a team; None if it has none."""
        if self.role is Role.ADMIN:
            return Role.ADMIN
        return self.role if team == self.team else self.memberships.get(team)

    def has_scope(self, scope: Scope) -> bool:
        """Whether its token may be used for that."""
        return scope in self.scopes or scope is Scope.READ or Scope.ADMIN in self.scopes

    def may(self, action: str, *, team: str | None = None, owner: str | None = None) -> bool:
        """Whether `permit` would let it pass."""
        try:
            self.permit(action, team=team, owner=owner)
        except NotPermitted:
            return False
        return True

    def permit(self, action: str, *, team: str | None = None, owner: str | None = None) -> None:
        """Refuse unless the table lets it do `action`.

        Args:
            action: One of `wichtel.experiments.permissions.RULES`.
            team: The team whose thing it is done to.
            owner: The principal whose thing it is.

        Raises:
            NotPermitted: the table does not.
        """
        rule = RULES[action]
        if rule.owner is not None and owner == self.name and self.best >= rule.owner:
            self.need_scope(rule.scope, to=rule.to)
        elif rule.where is Where.TEAM:
            self._need_in(rule.role, team or "", to=rule.to, owner=owner)
            self.need_scope(rule.scope, to=rule.to)
        else:
            held = self.role if rule.where is Where.SERVICE else self.best
            self._need(held, rule.role, to=rule.to)
            self.need_scope(rule.scope, to=rule.to)

    def permit_somewhere(self, action: str) -> None:
        """Refuse unless there is a team in which the table lets it do `action`: before the thing, and so its team, is known.

        Raises:
            NotPermitted: there is none.
        """
        rule = RULES[action]
        self._need(self.best, rule.role, to=rule.to)
        self.need_scope(rule.scope, to=rule.to)

    def need_scope(self, scope: Scope, *, to: str = "do that") -> None:
        """Refuse unless its token may be used for `scope`.

        Raises:
            NotPermitted: it may not.
        """
        if not self.has_scope(scope):
            raise NotPermitted(
                f"this token of {self.name} is not for that; to {to} takes the scope {scope}.", hint="Make another token, or log in."
            )

    def _need(self, held: Role, role: Role, *, to: str) -> None:
        if held < role:
            raise NotPermitted(f"{self.name} is {_a(held)}; to {to} takes the role {role.name.lower()}.", hint=_HINT)

    def _need_in(self, role: Role, team: str, *, to: str, owner: str | None = None) -> None:
        held = self.role_in(team)
        if held is None or held < role:
            whose = f" It belongs to {owner}." if owner else ""
            is_a = _a(held) if held is not None else "nobody"
            needed = f"that takes the role {role.name.lower()} there, and {self.name} is {is_a}"
            raise NotPermitted(f"{self.name} may not {to} of team {team!r}: {needed}.{whose}", hint=_HINT)


def _a(role: Role) -> str:
    return f"{'a' if role is Role.VIEWER else 'an'} {role.name.lower()}"
