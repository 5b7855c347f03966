"""`wichtel run`: one protocol on one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from wichtel.cli.command import Here, command
from wichtel.cli.files import assignments
from wichtel.domain import InvalidInput

if TYPE_CHECKING:
    from wichtel.domain import Experiment
    from wichtel.experiments.preview import Extent

INTENT = typer.Option(help="What is to be reached; with none, the protocol decides.")
PARAMETER = typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A parameter of the protocol; JSON, else a string.")
SET = typer.Option("--set", metavar="FIELD=VALUE", help="A field of the experiment's configuration, such as replicates=3.")
FOLLOW = typer.Option("--follow", "-f", help="Show progress until it has finished.")
PREVIEW = typer.Option("--preview", help="Only show what would be made, with every setting and where it comes from.")

FORECAST = typer.Option(metavar="each|together", help="As --preview, and what each would take and need, or what they would take together.")


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
    forecast: Annotated[str | None, FORECAST] = None,
) -> None:
    """One protocol on one model. With --local it is followed to its end, since nothing else would carry it out."""
    wanted = {
        "protocol": protocol,
        "intent": intent,
        "parameters": assignments(parameter or [], "-p"),
        "overrides": assignments(field or [], "--set"),
    }
    register(here, [model], [wanted], follow=follow, preview=preview, forecast=forecast)


def register(
    here: Here,
    models: list[str],
    protocols: list[dict[str, Any]],
    *,
    follow: bool,
    preview: bool,
    forecast: str | None = None,
    skip_unfit: bool = False,
) -> None:
    """Register, and do with the experiments what the options say."""
    if forecast not in (None, "each", "together"):
        raise InvalidInput(f"there is no forecast of {forecast!r}.", where="--forecast", hint="It is 'each' or 'together'.")
    preview = preview or forecast is not None
    follow = (follow or here.local) and not preview
    with here.client(works=follow) as client:
        if preview:
            from wichtel.cli.preview import show

            request = {"models": models, "protocols": protocols, "skip_unfit": skip_unfit}
            show(here, client.registrations.preview(request, forecast=cast("Extent | None", forecast)))
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
