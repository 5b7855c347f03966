"""`wichtel searches`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wichtel.cli.command import Here, command, group

if TYPE_CHECKING:
    from wichtel.domain import SavedSearch

app = group("Searches that you keep under a name, for yourself or for a team.")

_TEAM = typer.Option(help="Share it with this team; takes the role editor there.")


@command(app, "save")
def save(
    here: Here,
    name: Annotated[str, typer.Argument(help="How you call it.")],
    query: Annotated[list[str] | None, typer.Argument(help="As for `wichtel experiments list`.")] = None,
    sort: Annotated[str, typer.Option(help="A field; a minus before it for the largest first.")] = "-created",
    columns: Annotated[str, typer.Option(help="What the page shows, with commas, such as id,status,delta.auc.")] = "",
    team: Annotated[str, _TEAM] = "",
) -> None:
    """Keep a search; `wichtel experiments list --saved NAME` asks it."""
    names = [column.strip() for column in columns.split(",") if column.strip()]
    with here.client() as client:
        _show(here, client.saved_searches.add(name, " ".join(query or ()), sort=sort, columns=names, team=team))


@command(app, "list")
def list_(here: Here) -> None:
    """Your own, and those that are shared with your teams."""
    with here.client() as client:
        found = client.saved_searches.list()
    here.out.table(found, ["name", "query", "sort", "of", "shared with"], ((s.name, s.query, s.sort, s.owner, s.team) for s in found))


@command(app, "show")
def show(here: Here, name: str) -> None:
    """One of them."""
    with here.client() as client:
        _show(here, client.saved_searches.find(name))


@command(app, "rename")
def rename(here: Here, name: str, to: str) -> None:
    """Call one of them something else."""
    with here.client() as client:
        _show(here, client.saved_searches.change(client.saved_searches.find(name), name=to))


@command(app, "share")
def share(here: Here, name: str, team: Annotated[str, typer.Argument(help="A team; by default nobody any more.")] = "") -> None:
    """Let a team see one of them, or nobody."""
    with here.client() as client:
        _show(here, client.saved_searches.change(client.saved_searches.find(name), team=team))


@command(app, "delete")
def delete(here: Here, name: str) -> None:
    """Forget one of them."""
    with here.client() as client:
        found = client.saved_searches.find(name)
        client.saved_searches.delete(found.id)
    here.out.fields({"deleted": found.id}, [("deleted", found.name)])


def _show(here: Here, s: SavedSearch) -> None:
    fields = [("search", s.id), ("name", s.name), ("query", s.query), ("sort", s.sort), ("columns", ", ".join(s.columns) or None)]
    here.out.fields(s, [*fields, ("of", s.owner), ("shared with", s.team or None)])
