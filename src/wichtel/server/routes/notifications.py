"""Who is told of what, how, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from wichtel.domain import Channel, ExperimentStatus, Notification, NotificationState, SubjectKind, Watch
from wichtel.experiments.notifications import NewChannel, Tried
from wichtel.server.authentication import Caller, Services
from wichtel.server.idempotency import Route, harmless, lengthy
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import everything, json_body, nothing, reply, returns
from wichtel.store import Page

channels = NounRouter(prefix="/channels", tags=["channels"], route_class=Route)
watches = NounRouter(prefix="/watches", tags=["watches"], route_class=Route)
router = NounRouter(prefix="/notifications", tags=["notifications"], route_class=Route)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddChannel:
    """How somebody is to be told."""

    #: ``email``, ``webhook``, ``slack``, or the kind of a plug-in.
    kind: str
    #: An e-mail address or a URL; empty for the e-mail address of whoever asks.
    address: str = ""
    #: The team whose it is; by default it is the caller's own.
    team: str | None = None
    #: The endings that it hears of; none stand for all.
    events: tuple[ExperimentStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddWatch:
    """What somebody wants to be told of."""

    kind: SubjectKind
    #: Id of the experiment or registration, or name of the model.
    subject: str


@channels.post("", **returns(NewChannel, status=201, accepts=AddChannel))
def add(app: Services, caller: Caller, request: Annotated[AddChannel, Depends(json_body(AddChannel))]) -> Response:
    """Add a way to be told. The secret that webhooks are signed with is told this once."""
    return reply(app.channels.add(caller, request.kind, request.address, team=request.team, events=request.events), 201)


@channels.get("", name="list", **returns(Page[Channel]))
def list_channels(
    app: Services, caller: Caller, everyone: Annotated[bool, Query(description="All of the service; for admins.")] = False
) -> Response:
    """The channels of the caller and of the caller's teams. Of URLs only the host is shown."""
    return reply(everything(app.channels.list(caller, everyone=everyone)))


@channels.get("/{channel}", **returns(Channel))
def get(app: Services, caller: Caller, channel: str) -> Response:
    """One channel."""
    return reply(app.channels.get(channel, caller))


@channels.delete("/{channel}", status_code=204)
def delete(app: Services, caller: Caller, channel: str) -> Response:
    """Delete a channel; what waits for it is dropped."""
    app.channels.delete(channel, caller)
    return nothing()


@channels.post("/{channel}:test", **returns(Tried))
@harmless
@lengthy
def test(app: Services, caller: Caller, channel: str) -> Response:
    """Send a test, and wait for what comes of it."""
    return reply(app.channels.test(channel, caller))


@watches.post("", name="add", **returns(Watch, status=201, accepts=AddWatch))
def watch(app: Services, caller: Caller, request: Annotated[AddWatch, Depends(json_body(AddWatch))]) -> Response:
    """Be told of an experiment, of a registration's experiments, of a model's. Asking twice is asking once."""
    return reply(app.channels.watch(request.kind, request.subject, caller), 201)


@watches.get("", name="list", **returns(Page[Watch]))
def list_watches(app: Services, caller: Caller) -> Response:
    """What the caller watches, the latest first."""
    return reply(everything(app.channels.watches(caller)))


@watches.delete("", name="remove", status_code=204)
def unwatch(app: Services, caller: Caller, kind: SubjectKind, subject: str) -> Response:
    """Be told no more."""
    app.channels.unwatch(kind, subject, caller)
    return nothing()


@router.get("", **returns(Page[Notification]))
def list_(
    app: Services,
    caller: Caller,
    experiment: str | None = None,
    state: NotificationState | None = None,
    everyone: Annotated[bool, Query(description="On all channels; for admins.")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> Response:
    """What was told, or is to be told, on the channels of the caller and of the caller's teams, the latest first."""
    return reply(app.channels.notifications(caller, everyone=everyone, experiment=experiment, state=state, limit=limit, cursor=cursor))
