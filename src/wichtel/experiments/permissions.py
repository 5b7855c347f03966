"""Who may do what: one table, which every service asks and which ``docs/service/permissions.md`` shows.

A principal has a role in each of its teams; an admin has it in the whole service. What a thing's team decides, such as canceling an
experiment, takes a role *in that team*. A token with scopes can do no more than both its principal and its scopes allow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum

from wichtel.domain import InvalidInput, did_you_mean


class Role(IntEnum):
    """What a principal may do; each role may do all that those before it may."""

    VIEWER = 1
    EDITOR = 2
    APPROVER = 3
    ADMIN = 4


class Scope(StrEnum):
    """What a token may be used for. Every token reads."""

    READ = "read"
    #: Registrations, experiments, studies, runs.
    EXPERIMENTS = "experiments:write"
    #: Models, datasets, intents.
    MODELS = "models:write"
    #: Everything, the making of tokens included, as far as the principal may.
    ADMIN = "admin"


class Where(Enum):
    """Where the role is needed."""

    #: In whichever team.
    ANYWHERE = "in some team"
    #: In the team that owns the thing.
    TEAM = "in the team whose it is"
    #: Only the role admin is over the whole service.
    SERVICE = "of the service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may do one thing."""

    #: As in "may not …".
    to: str
    role: Role
    where: Where
    scope: Scope
    #: The owner of the thing may too, with this role in some team; None if owning it does not suffice.
    owner: Role | None = None


def _team(to: str, scope: Scope, role: Role = Role.EDITOR, owner: Role | None = None) -> Rule:
    return Rule(to=to, role=role, where=Where.TEAM, scope=scope, owner=owner)


def _anywhere(to: str, scope: Scope, role: Role = Role.EDITOR) -> Rule:
    return Rule(to=to, role=role, where=Where.ANYWHERE, scope=scope)


def _service(to: str, scope: Scope = Scope.ADMIN, owner: Role | None = None) -> Rule:
    return Rule(to=to, role=Role.ADMIN, where=Where.SERVICE, scope=scope, owner=owner)


#: Action → who may do it.
RULES: dict[str, Rule] = {
    "read": _anywhere("see it", Scope.READ, Role.VIEWER),
    # Models and what they refer to.
    "add_model": _team("add a model", Scope.MODELS),
    "add_version": _team("add a version of the model", Scope.MODELS),
    "launch": _team("launch a candidate", Scope.MODELS, Role.APPROVER),
    "archive_model": _team("archive the model", Scope.MODELS, Role.APPROVER, owner=Role.EDITOR),
    "add_dataset": _anywhere("add datasets", Scope.MODELS),
    "put_intent": _anywhere("change intents", Scope.MODELS),
    "change_intent": _service("change the intent of somebody else", Scope.MODELS, owner=Role.EDITOR),
    # Work.
    "register_models": _team("register the model", Scope.EXPERIMENTS),
    "cancel_experiment": _team("cancel the experiment", Scope.EXPERIMENTS, owner=Role.EDITOR),
    "finish_experiment": _service("finish experiments", Scope.EXPERIMENTS),
    "add_study": _team("spend the share", Scope.EXPERIMENTS),
    "cancel_study": _team("cancel the study", Scope.EXPERIMENTS),
    "cancel_run": _team("cancel the run", Scope.EXPERIMENTS),
    # Who is told.
    "change_channel": _team("change the channels", Scope.EXPERIMENTS, owner=Role.VIEWER),
    "save_search": _team("save searches", Scope.EXPERIMENTS, owner=Role.VIEWER),
    "watch": _anywhere("watch it", Scope.EXPERIMENTS, Role.VIEWER),
    "see_notifications": _service("see the channels and notifications of others"),
    "resolve_case": _service("resolve cases"),
    # The service itself.
    "put_quota_group": _service("change quota groups"),
    "see_jobs": _service("see the jobs"),
    "run_job": _service("run jobs"),
    "manage_teams": _service("change teams"),
    "manage_principals": _service("change principals"),
    "see_principal": _service("see the e-mail address", owner=Role.VIEWER),
    "create_token": _anywhere("create tokens", Scope.ADMIN, Role.VIEWER),
    "create_token_for": _service("create tokens for others"),
    "see_tokens": _service("see the tokens of others", owner=Role.VIEWER),
    "revoke_token": _service("revoke the token", owner=Role.VIEWER),
    "see_audit": _service("see the whole audit log"),
}


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


def scopes_of(names: Iterable[str]) -> frozenset[Scope]:
    """The scopes of these names; none stand for everything.

    Raises:
        InvalidInput: there is no such scope.
    """
    found = set()
    for name in names:
        try:
            found.add(Scope(name))
        except ValueError:
            raise InvalidInput(f"there is no scope {name!r}.", where="scopes", hint=did_you_mean(name, list(Scope))) from None
    return frozenset(found) or frozenset({Scope.ADMIN})
