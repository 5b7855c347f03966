"""`wichtel quotas`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from wichtel.cli.command import Here, command, group

if TYPE_CHECKING:
    from wichtel.domain import Limit, LimitKind, QuotaGroup

app = group("The teams' shares, and limits of users and protocols: how much there may be at once.")

_GROUP = typer.Option(help="In this team's share; by default over all together.")


@command(app, "set")
def set_(
    here: Here,
    team: str,
    most: Annotated[int | None, typer.Argument(min=0, help="Experiments in progress at once.")] = None,
    runs: Annotated[int | None, typer.Option(min=0, help="Workers that its runs may have at once.")] = None,
    cpus: Annotated[float | None, typer.Option(min=0, help="CPUs that its runs may occupy at once.")] = None,
    gpus: Annotated[float | None, typer.Option(min=0, help="GPUs that its runs may occupy at once.")] = None,
    memory_gib: Annotated[float | None, typer.Option(min=0, help="GiB of memory that its runs may occupy at once.")] = None,
    whole_fleet: Annotated[bool, typer.Option(help="Its runs may occupy all of the fleet; lifts what was set of it.")] = False,
) -> None:
    """Set a team's share; what is not said stays as it is."""
    from dataclasses import replace

    from wichtel.domain import InvalidInput, QuotaGroup

    said: dict[str, Any] = {
        "max_in_progress": most,
        "max_runs": runs,
        "max_cpus": cpus,
        "max_gpus": gpus,
        "max_memory_bytes": None if memory_gib is None else int(memory_gib * 2**30),
    }
    said = {name: value for name, value in said.items() if value is not None}
    if whole_fleet:
        if said.keys() - {"max_in_progress"}:
            raise InvalidInput("--whole-fleet stands alone, without a share of the fleet.")
        said |= dict.fromkeys(("max_runs", "max_cpus", "max_gpus", "max_memory_bytes"))
    if not said:
        raise InvalidInput("nothing is to be set.", hint="Say how many may be in progress, or --runs, --cpus, --gpus, --memory-gib.")
    with here.client() as client:
        known = next((g for g in client.quota_groups.list() if g.name == team), None)
        if known is None and most is None:
            raise InvalidInput(f"team {team!r} has no share of its own yet.", hint="Say how many experiments may be in progress, too.")
        q = client.quota_groups.put(replace(known or QuotaGroup(name=team), **said))
    _show(here, q)


@command(app, "list")
def list_(here: Here) -> None:
    """The shares that somebody set."""
    with here.client() as client:
        found = client.quota_groups.list()
    here.out.table(
        found,
        ["team", "in progress at most", "of the fleet at most", "paused"],
        ((q.name, q.max_in_progress, _fleet(q), _paused(q)) for q in found),
        empty="Every team has the default share.",
    )


@command(app, "show")
def show(here: Here, team: str) -> None:
    """A team's share, if somebody set it."""
    with here.client() as client:
        q = client.quota_groups.get(team)
    _show(here, q)


@command(app, "delete")
def delete(here: Here, team: str) -> None:
    """Forget a team's share, which is the default one then."""
    with here.client() as client:
        client.quota_groups.delete(team)
    here.out.fields({"deleted": team}, [("deleted", team)])


@command(app, "pause")
def pause(here: Here, team: str, reason: Annotated[str, typer.Option(help="Shown to those who wait.")] = "") -> None:
    """Have nothing of a team start from now on; what was started goes on."""
    with here.client() as client:
        q = client.quota_groups.pause(team, reason)
    _show(here, q)


@command(app, "resume")
def resume(here: Here, team: str) -> None:
    """Let a paused team start again."""
    with here.client() as client:
        q = client.quota_groups.resume(team)
    _show(here, q)


@command(app, "limit")
def limit(
    here: Here,
    kind: Annotated[str, typer.Argument(help="user or protocol.")],
    name: Annotated[str, typer.Argument(help="Whose; '*' for each one that has no limit of their own.")],
    in_progress: Annotated[int | None, typer.Option(min=0, help="Experiments in progress at once.")] = None,
    starts_per_hour: Annotated[int | None, typer.Option(min=0, help="Experiments started within any hour.")] = None,
    team: Annotated[str | None, _GROUP] = None,
) -> None:
    """Limit a user or protocol, in the place of an earlier limit."""
    from wichtel.domain import ALL, Limit

    made = Limit(kind=_kind(kind), name=name, quota_group=team or ALL, max_in_progress=in_progress, max_starts_per_hour=starts_per_hour)
    with here.client() as client:
        made = client.limits.put(made)
    here.out.fields(made, zip(_LIMIT, _row(made), strict=True))


@command(app, "limits")
def limits(here: Here) -> None:
    """The limits of users and protocols."""
    with here.client() as client:
        found = client.limits.list()
    here.out.table(found, _LIMIT, map(_row, found))


@command(app, "unlimit")
def unlimit(
    here: Here,
    kind: Annotated[str, typer.Argument(help="user or protocol.")],
    name: Annotated[str, typer.Argument(help="Whose.")],
    team: Annotated[str | None, _GROUP] = None,
) -> None:
    """Lift a limit."""
    from wichtel.domain import ALL

    with here.client() as client:
        client.limits.delete(_kind(kind), name, team or ALL)
    here.out.fields({"lifted": name}, [("lifted", f"{kind} {name}")])


_LIMIT = ["of", "in progress at most", "starts an hour at most"]


def _row(made: Limit) -> tuple[str, int | None, int | None]:
    return made.of, made.max_in_progress, made.max_starts_per_hour


def _kind(text: str) -> LimitKind:
    from wichtel.domain import InvalidInput, LimitKind, did_you_mean

    try:
        return LimitKind(text.lower())
    except ValueError:
        raise InvalidInput(f"there is no kind {text!r}.", where="KIND", hint=did_you_mean(text, map(str, LimitKind))) from None


def _show(here: Here, q: QuotaGroup) -> None:
    here.out.fields(q, [("team", q.name), ("in progress at most", q.max_in_progress), ("of the fleet", _fleet(q)), ("paused", _paused(q))])


def _fleet(q: QuotaGroup) -> str:
    parts = [
        "" if q.max_runs is None else f"{q.max_runs} workers",
        "" if q.max_cpus is None else f"{q.max_cpus:g} CPUs",
        "" if q.max_gpus is None else f"{q.max_gpus:g} GPUs",
        "" if q.max_memory_bytes is None else f"{q.max_memory_bytes / 2**30:g} GiB",
    ]
    return ", ".join(filter(None, parts))


def _paused(q: QuotaGroup) -> str:
    if q.paused is None:
        return ""
    return f"by {q.paused.by}{f': {q.paused.reason}' if q.paused.reason else ''}"
