"""One's own: who one is, tokens, sessions, the ways to be told, and what one watches."""

from __future__ import annotations

import functools

from anyio import to_thread
from starlette.responses import Response

from wichtel.domain import ExperimentStatus, InvalidInput, SubjectKind, WichtelError
from wichtel.experiments import NewToken
from wichtel.experiments.notifications import NewChannel
from wichtel.server.exchange import current
from wichtel.server.pages.admin import EXPIRIES, cookie, new_token, scopes_to_give
from wichtel.server.pages.reader import PageReader, Reader, page_router
from wichtel.server.pages.sent import NOTHING, Sent

router = page_router("/me")

_NOTIFICATIONS = 10


@router.get("")
def me(reader: Reader) -> Response:
    """The page."""
    return _show(reader)


@router.post("/tokens")
def create_token(reader: Reader) -> Response:
    """Make a token of one's own, and show it this once."""
    try:
        made = new_token(reader, None)
    except WichtelError as error:
        return _show(reader, Sent.of(reader, "token", error, "label"))
    return _show(reader, token=made)


@router.post("/sessions/{session}/end")
def end_session(reader: Reader, session: str) -> Response:
    """Log out elsewhere."""
    reader.app.sessions.end(session, reader.principal.name, reader.principal)
    return reader.go("/me#sessions")


@router.post("/channels")
def add_channel(reader: Reader) -> Response:
    """Add a way to be told."""
    one = reader.form.one
    try:
        events = tuple(_status(name) for name in reader.form.all("events"))
        made = reader.app.channels.add(reader.principal, one("kind"), one("address"), team=one("team") or None, events=events)
    except WichtelError as error:
        return _show(reader, Sent.of(reader, "channel", error, "address"))
    return _show(reader, channel=made) if made.secret else reader.go("/me#channels")


@router.post("/channels/{channel}/delete")
def delete_channel(reader: Reader, channel: str) -> Response:
    """Be told no more by it."""
    reader.app.channels.delete(channel, reader.principal)
    return reader.go("/me#channels")


@router.post("/channels/{channel}/test")
async def test_channel(reader: Reader, channel: str) -> Response:
    """Send a test, on one of the threads for what takes long, and say what came of it."""
    return await to_thread.run_sync(functools.partial(_test, reader, channel), limiter=current().limits.lengthy)


@router.post("/watches")
def watch(reader: Reader) -> Response:
    """Be told of something."""
    try:
        reader.app.channels.watch(_kind(reader), reader.form.one("subject").strip(), reader.principal)
    except WichtelError as error:
        return _show(reader, Sent.of(reader, "watch", error, "subject"))
    return reader.go("/me#watches")


@router.post("/watches/remove")
def unwatch(reader: Reader) -> Response:
    """Be told of it no more."""
    reader.app.channels.unwatch(_kind(reader), reader.form.one("subject"), reader.principal)
    return reader.go("/me#watches")


def _test(reader: PageReader, channel: str) -> Response:
    tried = reader.app.channels.test(channel, reader.principal)
    said = {"sent": "The test was sent.", "unknown": "The test may have arrived."}.get(str(tried.state), "The test was not taken.")
    return _show(reader, tested=(channel, str(tried.state), f"{said} {tried.error}".strip()))


def _kind(reader: PageReader) -> SubjectKind:
    try:
        return SubjectKind(reader.form.one("kind"))
    except ValueError:
        raise InvalidInput("this cannot be watched.", where="kind", hint="Choose one of the list.") from None


def _status(name: str) -> ExperimentStatus:
    try:
        return ExperimentStatus(name)
    except ValueError:
        raise InvalidInput(f"there is no ending {name!r}.", where="events") from None


def _show(
    reader: PageReader,
    sent: Sent = NOTHING,
    *,
    token: NewToken | None = None,
    channel: NewChannel | None = None,
    tested: tuple[str, str, str] | None = None,
) -> Response:
    who, app = reader.principal, reader.app
    channels = app.channels.list(who)
    return reader.show(
        "me.html",
        422 if sent.form else 200,
        title=who.name,
        sent=sent,
        made=token,
        made_channel=channel,
        tested=tested,
        tokens=sorted(app.access.tokens(who), key=lambda t: t.created, reverse=True),
        sessions=app.sessions.of(who.name, who, cookie=cookie(reader)),
        channels=[
            (c, reader.why_not("change_channel", **{str(c.owner_kind) if c.owner_kind == "team" else "owner": c.owner})) for c in channels
        ],
        kinds=[(kind, kind) for kind in app.channels.kinds],
        teams=[("", "me"), *((team, f"team {team}") for team in sorted(who.teams) if who.may("change_channel", team=team))],
        statuses=[str(status) for status in ExperimentStatus],
        watches=app.channels.watches(who),
        subjects=[(str(kind), str(kind)) for kind in SubjectKind],
        notifications=app.channels.notifications(who, limit=_NOTIFICATIONS).items,
        expiries=EXPIRIES,
        scopes=scopes_to_give(reader),
        create_not=reader.why_not("create_token"),
        revoke_not=reader.why_not("revoke_token", owner=who.name),
        channel_not=reader.why_not("change_channel", owner=who.name),
        watch_not=reader.why_not("watch"),
    )
