"""The queue: the shares of the groups, and what waits, why, and until when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import ALL, GroupStatus, Limit, LimitKind, QuotaGroup, Waiting, WaitKind, WichtelError
from wichtel.server.pages.reader import PageReader, Reader, page_router
from wichtel.server.pages.sent import NOTHING, Sent, amount, whole

router = page_router("/queue")

_ON_A_PAGE = 50
_GB = 10**9


@dataclass(frozen=True, slots=True)
class Share:
    """What a group has of something, and how much it may have."""

    name: str
    used: float
    #: None for no limit.
    most: float | None
    #: Of memory.
    is_bytes: bool = False

    @property
    def is_full(self) -> bool:
        """Whether nothing is left."""
        return self.most is not None and self.used >= self.most


@router.get("")
def queue(
    reader: Reader, group: Annotated[str, Query(max_length=300)] = "", cursor: Annotated[str, Query(max_length=1000)] = ""
) -> Response:
    """The page, or for htmx what changes on it."""
    return _show(reader, group, cursor)


@router.post("/share")
def share(reader: Reader) -> Response:
    """Set the share of a group."""
    name = reader.form.one("group").strip()
    try:
        memory = amount(reader, "max_memory_gb")
        given = QuotaGroup(
            name=name,
            max_in_progress=whole(reader, "max_in_progress") or 0,
            max_runs=whole(reader, "max_runs"),
            max_cpus=amount(reader, "max_cpus"),
            max_gpus=amount(reader, "max_gpus"),
            max_memory_bytes=None if memory is None or not math.isfinite(memory) else round(memory * _GB),
        )
        reader.app.quotas.put(given, reader.principal)
    except WichtelError as error:
        known = name in {g.group.name for g in reader.app.waits.queue(limit=1).groups}
        return _show(reader, name if known else "", "", Sent.of(reader, "share", error, "max_in_progress" if known else "group"))
    return reader.go(address(name))


@router.post("/forget")
def forget(reader: Reader) -> Response:
    """Let a group have the default share."""
    reader.app.quotas.delete(reader.form.one("group"), reader.principal)
    return reader.go("/queue")


@router.post("/pause")
def pause(reader: Reader) -> Response:
    """Have nothing of a group start."""
    name = reader.form.one("group")
    reader.app.quotas.pause(name, reader.form.one("reason").strip()[:1000], reader.principal)
    return reader.go(address(name))


@router.post("/resume")
def resume(reader: Reader) -> Response:
    """Let it start again."""
    name = reader.form.one("group")
    reader.app.quotas.resume(name, reader.principal)
    return reader.go(address(name))


@router.post("/limits")
def put_limit(reader: Reader) -> Response:
    """Set a limit of a user or protocol."""
    one = reader.form.one
    try:
        limit = Limit(
            kind=LimitKind.PROTOCOL if one("kind") == "protocol" else LimitKind.USER,
            name=one("name").strip() or ALL,
            quota_group=one("group").strip() or ALL,
            max_in_progress=whole(reader, "max_in_progress"),
            max_starts_per_hour=whole(reader, "max_starts_per_hour"),
        )
        reader.app.quotas.put_limit(limit, reader.principal)
    except WichtelError as error:
        return _show(reader, "", "", Sent.of(reader, "limit", error, "max_in_progress"))
    return reader.go("/queue#limits")


@router.post("/limits/lift")
def lift(reader: Reader) -> Response:
    """Lift a limit."""
    one = reader.form.one
    kind = LimitKind.PROTOCOL if one("kind") == "protocol" else LimitKind.USER
    reader.app.quotas.delete_limit(one("group"), kind, one("name"), reader.principal)
    return reader.go("/queue#limits")


def address(group: str = "", cursor: str = "") -> str:
    """Of the page, of one group or all."""
    given = {name: value for name, value in (("group", group), ("cursor", cursor)) if value}
    return f"/queue?{urlencode(given)}" if given else "/queue"


def _show(reader: PageReader, group: str, cursor: str, sent: Sent = NOTHING) -> Response:
    # Before anything is asked for: what happens meanwhile is then told twice rather than never.
    latest = reader.latest_event()
    waits = reader.app.waits
    found = waits.queue(group=group or None, limit=_ON_A_PAGE, cursor=cursor or None)
    pace = waits.pace()
    one = found.groups[0] if group and found.groups else None
    return reader.show(
        "parts/queue.html" if reader.partial else "queue.html",
        422 if sent.form else 200,
        title=f"{group} · queue" if group else "Queue",
        groups=[(status, _shares(status)) for status in found.groups],
        items=[(waiting, _begins(waiting, pace)) for waiting in found.items],
        one=one,
        is_set=one is not None and any(g.name == group for g in reader.app.quotas.list()),
        group=group,
        cursor=cursor,
        here=address(group, cursor),
        following=address(group, found.cursor) if found.cursor else "",
        limits=[limit for limit in reader.app.quotas.limits() if not group or limit.quota_group in (group, ALL)],
        change_not=reader.why_not("put_quota_group"),
        address=address,
        sent=sent,
        gigabyte=_GB,
        latest=latest,
    )


def _shares(status: GroupStatus) -> list[Share]:
    """What is shared first, then what has a limit or is used."""
    group = status.group
    fleet = [
        Share("Workers", status.runs, group.max_runs),
        Share("CPUs", status.cpus, group.max_cpus),
        Share("GPUs", status.gpus, group.max_gpus),
        Share("Memory", status.memory_bytes, group.max_memory_bytes, is_bytes=True),
    ]
    return [Share("Experiments", status.in_progress, group.max_in_progress), *(s for s in fleet if s.most is not None or s.used)]


def _begins(waiting: Waiting, pace: dict[str, float]) -> datetime | None:
    """When it may begin, as the group has gone on lately; None if nobody can tell."""
    now = datetime.now(UTC)
    kinds = {reason.kind for reason in waiting.reasons}
    if kinds == {WaitKind.STARTING}:
        return now
    if WaitKind.PAUSED in kinds or waiting.quota_group not in pace or waiting.position is None:
        return None
    begins = now + timedelta(seconds=waiting.position * pace[waiting.quota_group])
    held = [reason.next for reason in waiting.reasons if reason.kind is WaitKind.LIMIT]
    return None if None in held else max([begins, *(time for time in held if time is not None)])
