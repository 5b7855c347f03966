"""`wichtel channels` and `wichtel notifications`."""

from __future__ import annotations

from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group

app = group("Ways to be told when experiments finish: e-mail, webhooks, Slack.")
notifications = group("What was told, and is to be told.")


@command(app, "add")
def add(
    here: Here,
    kind: Annotated[str, typer.Argument(help="email, webhook, slack, or the kind of a plug-in.")],
    address: Annotated[str, typer.Argument(help="An e-mail address or a URL; by default your own e-mail address.")] = "",
    team: Annotated[str | None, typer.Option(help="Make it a team's: it hears of all that takes the team's share.")] = None,
    on: Annotated[list[str] | None, typer.Option(help="An ending that it hears of, such as SATISFIED; may be repeated.")] = None,
) -> None:
    """Add a channel. The secret that a webhook's messages are signed with is printed this once."""
    from wichtel.cli.choices import one_of
    from wichtel.domain import ExperimentStatus

    events = [status for word in on or () if (status := one_of(ExperimentStatus, word.upper(), "--on")) is not None]
    with here.client() as client:
        made = client.channels.add(kind, address, team=team, events=events)
    c = made.channel
    here.out.fields(made, [("channel", c.id), ("of", c.owner), ("kind", c.kind), ("address", c.address), ("secret", made.secret)])


@command(app, "list")
def list_(here: Here, everyone: Annotated[bool, typer.Option("--all", help="All of the service; for admins.")] = False) -> None:
    """Your channels and those of your teams."""
    with here.client() as client:
        found = client.channels.list(everyone=everyone)
    here.out.table(
        found,
        ["channel", "kind", "address", "of", "hears of"],
        ((c.id, c.kind, c.address, f"{c.owner_kind} {c.owner}", c.events or "all") for c in found),
    )


@command(app, "show")
def show(here: Here, channel: str) -> None:
    """One channel."""
    with here.client() as client:
        c = client.channels.get(channel)
    events = c.events or "all"
    fields = [("channel", c.id), ("kind", c.kind), ("address", c.address), ("of", f"{c.owner_kind} {c.owner}"), ("hears of", events)]
    here.out.fields(c, [*fields, ("created", c.created)])


@command(app, "delete")
def delete(here: Here, channel: str) -> None:
    """Delete a channel; what waits for it is dropped."""
    with here.client() as client:
        client.channels.delete(channel)
    here.out.fields({"deleted": channel}, [("deleted", channel)])


@command(app, "test")
def test(here: Here, channel: str) -> None:
    """Send a test message now."""
    from wichtel.domain import InvalidInput, NotificationState

    with here.client() as client:
        tried = client.channels.test(channel)
    if tried.state is NotificationState.FAILED:
        raise InvalidInput(f"the test was not taken: {tried.error}", where=f"channel {channel}")
    here.out.fields(tried, [("channel", channel), ("test", tried.state), ("doubt", tried.error)])


@command(notifications, "list")
def list_notifications(
    here: Here,
    experiment: Annotated[str | None, typer.Option(help="Of this one.")] = None,
    state: Annotated[str | None, typer.Option(help="waiting, sending, sent, unknown, failed or dropped.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="On all channels; for admins.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most that are shown.")] = 100,
) -> None:
    """What was told on your channels and those of your teams, the latest first."""
    from wichtel.domain import NotificationState
    from wichtel.domain.errors import one_of

    with here.client() as client:
        found = client.notifications.list(
            experiment=experiment,
            state=None if state is None else one_of(NotificationState, state.lower(), where="--state"),
            everyone=everyone,
            limit=limit,
        )
    here.out.table(
        found,
        ["created", "event", "kind", "channel", "state", "attempts", "next", "error"],
        ((n.created, n.event, n.kind, n.channel, n.state, n.attempts, n.due if n.state == "waiting" else "", n.error) for n in found),
    )
