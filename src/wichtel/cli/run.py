"""`wichtel run`: one protocol on one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from wichtel.cli.command import Here, command
from wichtel.cli.files import assignments

if TYPE_CHECKING:
    from wichtel.domain import Experiment

INTENT = typer.Option(help="What is to be reached; with none, the protocol decides.")
PARAMETER = typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter of the protocol; JSON, else a string.")
SET = typer.Option("--set", metavar="FIELD=VALUE", help="A field of the experiment's configuration, such as replicates=3.")
FOLLOW = typer.Option("--follow", "-f", help="Show progress until it has finished.")
PREVIEW = typer.Option("--preview", help="Only show what would be made, with every setting and where it comes from.")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "run")(run)


def run(
    here: Here,
    protocol: Annotated[str, typer.Argument(help="Such as TuneHyperparameters; see `wichtel protocols list`.")],
    model: str,
    intent: Annotated[str | None, INTENT] = None,
    parameter: Annotated[list[str] | None, PARAMETER] = None,
    field: Annotated[list[str] | None, SET] = None,
    follow: Annotated[bool, FOLLOW] = False,
    preview: Annotated[bool, PREVIEW] = False,
) -> None:
    """One protocol on one model. With --local it is followed to its end, since nothing else would carry it out."""
    wanted = {
        "protocol": protocol,
        "intent": intent,
        "parameters": assignments(parameter or [], "-p"),
        "overrides": assignments(field or [], "--set"),
    }
    register(here, [model], [wanted], follow=follow, preview=preview)


def register(
    here: Here, models: list[str], protocols: list[dict[str, Any]], *, follow: bool, preview: bool, skip_unfit: bool = False
) -> None:
    """Register, and do with the experiments what the options say."""
    follow = (follow or here.local) and not preview
    with here.client(works=follow) as client:
        if preview:
            show_configurations(here, client.registrations.preview({"models": models, "protocols": protocols, "skip_unfit": skip_unfit}))
            return
        registration = client.register(models, protocols, skip_unfit=skip_unfit)
        if not follow:
            here.out.fields(registration, [("registration", registration.id), ("experiments", "\n".join(registration.experiments))])
            here.out.say(f"Follow with: wichtel registrations show {registration.id} --follow")
            return
        here.out.say(f"Registration {registration.id}, {len(registration.experiments)} experiment(s).")
        from wichtel.cli.follow import exit_code
        from wichtel.cli.follow import follow as follow_

        found = follow_(here, client, registration.experiments)
        show_results(here, found)
    raise typer.Exit(exit_code(found))


def show_configurations(here: Here, experiments: list[Experiment]) -> None:
    """What would be made."""
    if here.json:
        here.out.data(experiments)
        return
    for e in experiments:
        c = e.config
        origin = c.origin.get
        constraints = "\n".join(f"{k.text}{' (primary)' if k.metric == c.intent.primary else ''}" for k in c.intent.constraints)
        fields: list[tuple[str, Any]] = [
            ("experiment", f"{e.protocol} on {e.model} ({e.target}), share of {e.quota_group}"),
            ("intent", f"{c.intent.name} ({origin('intent', 'default')})\n{constraints}"),
        ]
        fields += [(name, f"{value} ({origin(f'parameters.{name}', 'default')})") for name, value in c.parameters.items()]
        for name in ("baseline_max_age_days", "replicates", "seed", "priority"):
            fields.append((name, f"{getattr(c, name)} ({origin(name, 'default')})"))
        here.out.fields(e, fields)
        here.out.text("\n")


def show_results(here: Here, experiments: list[Experiment]) -> None:
    """What came of it."""
    from wichtel.cli.follow import SUMMARY, summary

    here.out.table(experiments, SUMMARY, map(summary, experiments))
    if here.json:
        return
    for e in experiments:
        if e.cause:
            here.out.say(f"{e.id}: {e.cause}")
    for e in experiments:
        if e.result is not None and e.result.diff:
            here.out.say(f"What {e.id} changes: wichtel experiments diff {e.id}{' --local' if here.local else ''}")
