"""`wichtel models`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wichtel.cli.command import Here, command, group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wichtel.experiments import Onboarding

app = group("Models and their versions.")


@command(app, "add")
def add(
    here: Here,
    name: Annotated[str, typer.Argument(help="Such as flights/late.")],
    folder: Annotated[Path, typer.Argument(help="Folder with plan.py and job.toml.")],
    team: Annotated[str | None, typer.Option(help="The owning team of a new model; by default your own.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Refuse a name that is taken, rather than add a version.")] = False,
) -> None:
    """Register the plan in a folder, as a model or as the next version of one."""
    with here.client(analyses=True) as client:
        here.out.say("A worker loads the plan …")
        version = client.models.add(name, folder, team=team, new=new)
    a = version.analysis
    here.out.fields(
        version,
        [
            ("model", name),
            ("version", version.id),
            ("trainer", a.trainer),
            ("primary metric", f"{a.metadata.primary_metric} ({a.metadata.better} is better)"),
            ("features", len(a.features)),
            ("tunables", [t.name for t in a.tunables]),
            ("dataset", a.job.dataset),
        ],
    )
    for warning in a.warnings:
        here.out.say(f"Warning: {warning}")


@command(app, "check")
def check(
    here: Here,
    folder: Annotated[Path, typer.Argument(help="Folder with plan.py and job.toml.")],
    team: Annotated[str | None, typer.Option(help="The team that it would be of; by default your own.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only what this one needs.")] = None,
) -> None:
    """What a plan still needs for each protocol, without adding it."""
    with here.client(analyses=True) as client:
        here.out.say("A worker loads the plan …")
        checked = client.models.check(folder, team=team)
    _tell(here, checked, checked.onboarding, protocol)


@command(app, "status")
def status(
    here: Here,
    name: str,
    protocol: Annotated[str | None, typer.Option(help="Only what this one needs.")] = None,
) -> None:
    """What the head of a model still needs for each protocol, with the lines that would do."""
    with here.client() as client:
        found = client.models.onboarding(name)
    _tell(here, found, found, protocol)


def _tell(here: Here, value: Any, found: Sequence[Onboarding], protocol: str | None) -> None:
    from wichtel.domain import NotFound

    chosen = [one for one in found if protocol in (None, one.protocol)]
    if protocol is not None and not chosen:
        raise NotFound("there is no such protocol.", where=f"protocol {protocol}", hint="wichtel protocols list")
    lines: list[str] = []
    for one in chosen:
        lines.append(f"{one.protocol}: {'needs more' if one.lacks else 'ready'}")
        for lack in one.lacks:
            lines.extend(f"  {text}" for text in (lack.message, lack.hint, *lack.diff.splitlines()) if text)
    if here.out.json:
        here.out.data(value if protocol is None else chosen)
    else:
        here.out.text("\n".join(lines))


@command(app, "list")
def list_(
    here: Here,
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None,
    contains: Annotated[str | None, typer.Option(help="Only those with this in the name.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Also those that are archived.")] = False,
) -> None:
    """All models."""
    with here.client() as client:
        found = client.models.list(owner=owner, contains=contains, archived=archived)
    columns = ["name", "owner", "team", "head", "created", *(["archived"] if archived else [])]
    here.out.table(found, columns, ((m.name, m.owner, m.team, m.head, m.created, m.archived)[: len(columns)] for m in found))


@command(app, "show")
def show(here: Here, name: str) -> None:
    """One model with what the analysis of its plan found."""
    with here.client() as client:
        model = client.models.get(name)
        version = client.models.version(model.head)
    a = version.analysis
    tunables = "\n".join(
        f"{t.name}: {t.kind}, default {t.default}"
        + (f", one of {list(t.candidates)}" if t.candidates else f", {t.min} to {t.max}" if t.min is not None else "")
        for t in a.tunables
    )
    windows = "\n".join(
        f"{window} {w.start:%Y-%m-%d} to {w.end:%Y-%m-%d}"
        for window, w in (("train", a.job.train), ("evaluation", a.job.evaluation), ("holdout", a.job.holdout))
        if w is not None
    )
    here.out.fields(
        {"model": model, "version": version},
        [
            ("model", model.name),
            ("owner", f"{model.owner}, team {model.team}"),
            ("head", model.head),
            ("made by", version.recipe or model.owner),
            ("trainer", a.trainer),
            ("primary metric", f"{a.metadata.primary_metric} ({a.metadata.better} is better)"),
            ("dataset", f"{a.job.dataset}, label {a.job.label}"),
            ("windows", windows),
            ("features", [f.name for f in a.features]),
            ("tunables", tunables),
            ("parameters", f"{a.parameters:,}" if a.parameters is not None else None),
            ("warnings", "\n".join(a.warnings)),
            ("created", model.created),
            ("archived", model.archived),
        ],
    )


@command(app, "versions")
def versions(here: Here, name: str) -> None:
    """The versions of a model, candidates of experiments among them."""
    with here.client() as client:
        head = client.models.get(name).head
        found = client.models.versions(name)
    here.out.table(
        found,
        ["version", "head", "parent", "made by", "experiment", "created"],
        ((v.id, "*" if v.id == head else "", v.parent, v.recipe, v.experiment, v.created) for v in found),
    )


@command(app, "diff")
def diff(
    here: Here,
    version: str,
    base: Annotated[str | None, typer.Argument(help="Another version; by default the parent.")] = None,
) -> None:
    """What a version changes, as a unified diff that `git apply` takes."""
    from wichtel.domain import InvalidInput

    with here.client() as client:
        base = base or client.models.version(version).parent
        if base is None:
            raise InvalidInput("it has no parent.", where=f"version {version}", hint="Name the version to compare it with.")
        text = client.models.diff(base, version)
    here.out.text(text, base=base, version=version, diff=text)


@command(app, "launch")
def launch(here: Here, name: str, version: Annotated[str, typer.Argument(help="Such as the candidate of an experiment.")]) -> None:
    """Make a version the one that experiments start from."""
    with here.client() as client:
        model = client.models.launch(name, version)
    here.out.fields(model, [("model", model.name), ("head", model.head)])


@command(app, "source")
def source(
    here: Here,
    version: Annotated[str, typer.Argument(help="Such as the candidate of an experiment.")],
    folder: Annotated[Path, typer.Argument(help="Where the files are written; it must be empty or not there.")],
) -> None:
    """Write the source tree of a version to a folder: plan.py, job.toml and what else is there."""
    from wichtel.domain import InvalidInput
    from wichtel.plans import SourceTree

    with here.client() as client:
        tree = SourceTree.from_archive(client.models.source(version))
    try:
        if folder.exists() and any(folder.iterdir()):
            raise InvalidInput("it is not empty.", where=str(folder), hint="Name a folder that is not there.")
        tree.write_to(folder)
    except OSError as error:
        raise InvalidInput(f"it cannot be written: {error.strerror}.", where=str(folder)) from None
    here.out.fields({"version": version, "folder": str(folder)}, [("version", version), ("folder", folder)])


@command(app, "archive")
def archive(here: Here, name: str) -> None:
    """Put a model away: lists leave it out, and nothing new is made of it; its history stays, and `restore` fetches it back."""
    with here.client() as client:
        model = client.models.archive(name)
    here.out.fields(model, [("model", model.name), ("archived", model.archived)])


@command(app, "restore")
def restore(here: Here, name: str) -> None:
    """Take back that a model was archived."""
    with here.client() as client:
        model = client.models.restore(name)
    here.out.fields(model, [("model", model.name), ("head", model.head)])
