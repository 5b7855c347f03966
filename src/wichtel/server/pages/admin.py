"""Administration: teams and people, their tokens and sessions, and the log of who did what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import InvalidInput, WichtelError
from wichtel.experiments import NewPrincipal, NewToken, Role, Scope
from wichtel.experiments.accounts import KINDS
from wichtel.server import sessions
from wichtel.server.pages.reader import PageReader, Reader, page_router
from wichtel.server.pages.sent import NOTHING, Sent

router = page_router("/admin")

_ON_A_PAGE = 50
_TABS = (("Teams", "/admin/teams"), ("People", "/admin/people"), ("Tokens", "/admin/tokens"), ("Audit log", "/admin/audit"))
ROLES = tuple(role.name.lower() for role in Role)
#: Those that go with a team.
_TEAM_ROLES = tuple((role, role) for role in ROLES if role != "admin")
#: For how many days a token may be made; 0 stands for ever.
EXPIRIES = (("7", "in 7 days"), ("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year"), ("0", "never"))

Text = Annotated[str, Query(max_length=300)]


@router.get("")
def admin(reader: Reader) -> Response:
    """The first of them."""
    return reader.go("/admin/teams")


# Teams


@router.get("/teams")
def teams(reader: Reader, team: Text = "") -> Response:
    """The teams, and the people of one."""
    return _teams(reader, team)


@router.post("/teams")
def put_team(reader: Reader) -> Response:
    """Make a team, or describe it anew."""
    name = reader.form.one("name").strip()
    try:
        reader.app.teams.put(name, reader.form.one("description").strip(), reader.principal)
    except WichtelError as error:
        return _teams(reader, reader.form.one("team"), Sent.of(reader, "team", error, "name"))
    return reader.go(_of_team(name))


@router.post("/members")
def put_member(reader: Reader) -> Response:
    """Give somebody a role in a team."""
    team = reader.form.one("team")
    try:
        reader.app.teams.put_member(team, reader.form.one("name").strip(), reader.form.one("role"), reader.principal)
    except WichtelError as error:
        return _teams(reader, team, Sent.of(reader, "member", error, "name"))
    return reader.go(_of_team(team))


@router.post("/members/remove")
def remove_member(reader: Reader) -> Response:
    """Take it away."""
    team = reader.form.one("team")
    reader.app.teams.remove_member(team, reader.form.one("name"), reader.principal)
    return reader.go(_of_team(team))


def _of_team(name: str) -> str:
    return f"/admin/teams?{urlencode({'team': name})}"


def _teams(reader: PageReader, name: str, sent: Sent = NOTHING) -> Response:
    people = reader.app.principals.list(reader.principal)
    sizes: dict[str, int] = {}
    for account in people:
        for team in {account.team, *account.teams}:
            sizes[team] = sizes.get(team, 0) + 1
    return _page(
        reader,
        "teams",
        sent,
        teams=reader.app.teams.list(),
        sizes=sizes,
        of_team=_of_team,
        one=reader.app.teams.get(name) if name else None,
        members=reader.app.teams.members(name) if name else [],
        disabled={account.name for account in people if account.disabled is not None},
        roles=_TEAM_ROLES,
        change_not=reader.why_not("manage_teams"),
    )


# People


@router.get("/people")
def people(reader: Reader, query: Text = "", after: Text = "") -> Response:
    """Users and service accounts."""
    return _people(reader, query, after)


@router.post("/people")
def add_person(reader: Reader) -> Response:
    """Make one."""
    one = reader.form.one
    name = one("name").strip()
    try:
        new = NewPrincipal(name=name, kind=one("kind"), team=one("team").strip() or "default", role=one("role"), email=one("email") or None)
        reader.app.principals.add(new, reader.principal)
    except WichtelError as error:
        return _people(reader, "", "", Sent.of(reader, "person", error, "name"))
    return reader.go(_of_person(name))


@router.get("/people/{name}")
def person(reader: Reader, name: str) -> Response:
    """One of them."""
    return _person(reader, name)


@router.post("/people/{name}")
def change_person(reader: Reader, name: str) -> Response:
    """Set home, role, or e-mail address."""
    one = reader.form.one
    known = reader.app.principals.get(name, reader.principal)
    # Only what is otherwise: all of it is noted in the audit log.
    given = {"team": one("team").strip(), "role": one("role"), "email": one("email").strip()}
    now = {"team": known.team, "role": known.role, "email": known.email or ""}
    changed = {key: value for key, value in given.items() if value != now[key]}
    try:
        if changed:
            reader.app.principals.change(name, reader.principal, **changed)
    except WichtelError as error:
        return _person(reader, name, Sent.of(reader, "change", error, "team"))
    return reader.go(_of_person(name))


@router.post("/people/{name}/disable")
def disable(reader: Reader, name: str) -> Response:
    """Let it come in no more."""
    reader.app.principals.disable(name, reader.principal)
    return reader.go(_of_person(name))


@router.post("/people/{name}/enable")
def enable(reader: Reader, name: str) -> Response:
    """Let it come in again."""
    reader.app.principals.enable(name, reader.principal)
    return reader.go(_of_person(name))


@router.post("/people/{name}/sessions/{session}/end")
def end_session(reader: Reader, name: str, session: str) -> Response:
    """End one of its sessions."""
    reader.app.sessions.end(session, name, reader.principal)
    return reader.go(_of_person(name))


def _of_person(name: str) -> str:
    return f"/admin/people/{quote(name, safe='')}"


def _people(reader: PageReader, query: str, after: str, sent: Sent = NOTHING) -> Response:
    wanted = query.strip().lower()
    everyone = reader.app.principals.list(reader.principal)
    found = [a for a in everyone if wanted in " ".join((a.name, a.kind, a.team, a.role, *a.teams)).lower()]
    following = [a for a in found if a.name > after]
    shown = following[:_ON_A_PAGE]
    return _page(
        reader,
        "people",
        sent,
        people=shown,
        total=len(found),
        query=query,
        after=after,
        following=f"/admin/people?{urlencode({'query': query, 'after': shown[-1].name})}" if len(following) > len(shown) else "",
        kinds=[(kind, kind) for kind in KINDS],
        roles=[(role, role) for role in ROLES],
        teams=reader.app.teams.list(),
        change_not=reader.why_not("manage_principals"),
    )


def _person(reader: PageReader, name: str, sent: Sent = NOTHING) -> Response:
    account = reader.app.principals.get(name, reader.principal)
    may_see = reader.principal.may("see_tokens", owner=name)
    return _page(
        reader,
        "person",
        sent,
        title=name,
        account=account,
        roles=[(role, role) for role in ROLES],
        teams=reader.app.teams.list(),
        tokens=reader.app.access.tokens(reader.principal, name) if may_see else None,
        sessions=reader.app.sessions.of(name, reader.principal, cookie=cookie(reader)) if may_see else None,
        change_not=reader.why_not("manage_principals"),
        revoke_not=reader.why_not("revoke_token", owner=name),
        back=_of_person(name),
    )


# Tokens


@router.get("/tokens")
def tokens(reader: Reader, page: Annotated[int, Query(ge=1, le=10**6)] = 1, name: Text = "") -> Response:
    """Of everybody for admins, of oneself for others; with a name, one is about to be made for them."""
    return _tokens(reader, page, wanted=name)


@router.post("/tokens")
def create_token(reader: Reader) -> Response:
    """Make one, and show it this once."""
    one = reader.form.one
    try:
        made = new_token(reader, one("name").strip() or None, role=one("role") or None, team=one("team").strip() or None)
    except WichtelError as error:
        return _tokens(reader, 1, Sent.of(reader, "token", error, "name"))
    return _tokens(reader, 1, made=made)


@router.post("/tokens/{token}/revoke")
def revoke(reader: Reader, token: str) -> Response:
    """End it."""
    reader.app.access.revoke_token(token, reader.principal)
    return reader.go(reader.form.one("next") or "/admin/tokens")


def new_token(reader: PageReader, name: str | None, *, role: str | None = None, team: str | None = None) -> NewToken:
    """Make the token that was asked for with a form.

    Raises:
        WichtelError: it may not be made so.
    """
    days = reader.form.one("expires")
    if days not in dict(EXPIRIES):
        raise InvalidInput("this is no time.", where="expires", hint="Choose one of the list.")
    expires = datetime.now(UTC) + timedelta(days=int(days)) if int(days) else None
    scopes = reader.form.all("scopes")
    label = reader.form.one("label").strip()
    return reader.app.access.make_token(reader.principal, name, role=role, team=team, scopes=scopes, label=label, expires=expires)


def scopes_to_give(reader: PageReader) -> list[tuple[str, str]]:
    """The scopes that the reader may give on, and what they are for."""
    told = {
        Scope.READ: "read",
        Scope.EXPERIMENTS: "launch and cancel experiments",
        Scope.MODELS: "change models",
        Scope.ADMIN: "everything",
    }
    return [(str(scope), what) for scope, what in told.items() if reader.principal.has_scope(scope)]


def cookie(reader: PageReader) -> str:
    """Of the session that asks."""
    return reader.request.cookies.get(sessions.COOKIE, "")


def _tokens(reader: PageReader, page: int, sent: Sent = NOTHING, made: NewToken | None = None, wanted: str = "") -> Response:
    all_of_them = reader.principal.may("see_tokens")
    found = reader.app.access.tokens(reader.principal, everyone=all_of_them)
    latest_first = sorted(found, key=lambda token: token.created, reverse=True)
    begin = (page - 1) * _ON_A_PAGE
    return _page(
        reader,
        "tokens",
        sent,
        tokens=latest_first[begin : begin + _ON_A_PAGE],
        total=len(found),
        page=page,
        following=f"/admin/tokens?page={page + 1}" if begin + _ON_A_PAGE < len(found) else "",
        made=made,
        wanted=wanted,
        everyone=all_of_them,
        roles=[("", "is known already"), *((role, role) for role in ROLES)],
        expiries=EXPIRIES,
        scopes=scopes_to_give(reader),
        create_not=reader.why_not("create_token"),
        others_not=reader.why_not("create_token_for"),
        may_revoke={
            token.id: reader.why_not("revoke_token", owner=token.principal.name) for token in latest_first[begin : begin + _ON_A_PAGE]
        },
    )


# The audit log


@router.get("/audit")
def audit(
    reader: Reader,
    principal: Text = "",
    action: Text = "",
    subject: Annotated[str, Query(max_length=1000)] = "",
    outcome: Text = "",
    since: Text = "",
    until: Text = "",
    cursor: Text = "",
) -> Response:
    """Who did what, and who was not let."""
    given = {"principal": principal.strip(), "action": action.strip().replace(" ", "_"), "subject": subject.strip(), "outcome": outcome}
    given |= {"since": since, "until": until}
    given = {name: value for name, value in given.items() if value}
    wrong: InvalidInput | None = None
    items: Sequence[object] = ()
    following = None
    try:
        last = _day(until, "until")
        found = reader.app.audit.list(
            reader.principal,
            principal=given.get("principal"),
            action=given.get("action"),
            subject=given.get("subject"),
            outcome=outcome if outcome in ("done", "denied") else None,
            since=_day(since, "since"),
            until=None if last is None else last + timedelta(days=1),
            limit=_ON_A_PAGE,
            cursor=cursor or None,
        )
        items, following = found.items, found.cursor
    except InvalidInput as error:
        wrong = error
    return _page(
        reader,
        "audit",
        NOTHING,
        status=422 if wrong else 200,
        items=items,
        given=given,
        wrong=wrong,
        cursor=cursor,
        first=f"/admin/audit?{urlencode(given)}",
        following=f"/admin/audit?{urlencode(given | {'cursor': following})}" if following else "",
        everything=reader.principal.may("see_audit"),
    )


def _day(given: str, where: str) -> datetime | None:
    """The beginning of a day, by UTC."""
    if not given:
        return None
    try:
        return datetime.combine(date.fromisoformat(given), time(), tzinfo=UTC)
    except ValueError:
        raise InvalidInput(f"{given!r} is no day.", where=where, hint="Such as 2026-01-31.") from None


def _page(reader: PageReader, name: str, sent: Sent, *, title: str = "", status: int = 200, **values: object) -> Response:
    tab = "people" if name == "person" else name
    current = f"/admin/{tab}"
    return reader.show(
        f"admin/{name}.html",
        422 if sent.form else status,
        title=title or next(word for word, address in _TABS if address == current),
        tabs=_TABS,
        tab=current,
        sent=sent,
        **values,
    )
