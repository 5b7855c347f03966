"""`wichtel experiments`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from wichtel.cli.command import Here, command, group
from wichtel.cli.output import duration
from wichtel.cli.run import FOLLOW, show_results

app = group("Experiments: what became of a protocol on a model.")


@command(app, "list")
def list_(
    here: Here,
    owner: Annotated[str | None, typer.Option(help="Who registered it.")] = None,
    model: Annotated[str | None, typer.Option(help="Part of the model's name.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Its name.")] = None,
    status: Annotated[
        str | None, typer.Option(help="SATISFIED, UNSATISFIED, USER_ERROR, SYSTEM_ERROR, DEADLINE_EXCEEDED, CANCELED.")
    ] = None,
    state: Annotated[str | None, typer.Option(help="ENQUEUED, IN_PROGRESS, FINISHED.")] = None,
    intent: Annotated[str | None, typer.Option(help="Its name.")] = None,
    registration: Annotated[str | None, typer.Option(help="Its id.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Registered then or later; UTC.")] = None,
    before: Annotated[datetime | None, typer.Option(help="Registered before; UTC.")] = None,
    text: Annotated[str | None, typer.Option(help="Part of the id, model, protocol, owner, intent or cause.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most that are shown.")] = 50,
) -> None:
    """Experiments that fit, the newest first."""
    from wichtel.cli.choices import one_of
    from wichtel.cli.follow import SUMMARY, summary
    from wichtel.domain import ExperimentState, ExperimentStatus

    with here.client() as client:
        found = client.experiments.search(
            owner=owner,
            model=model,
            protocol=protocol,
            status=one_of(ExperimentStatus, status, "--status"),
            state=one_of(ExperimentState, state, "--state"),
            intent=intent,
            registration=registration,
            created_from=since and since.replace(tzinfo=UTC),
            created_before=before and before.replace(tzinfo=UTC),
            text=text,
            limit=limit,
        )
    here.out.table(found, SUMMARY, map(summary, found))


@command(app, "show")
def show(here: Here, experiment: str, follow: Annotated[bool, FOLLOW] = False) -> None:
    """One experiment with its verdict; with --follow, once it has one."""
    from wichtel.cli.follow import exit_code
    from wichtel.cli.follow import follow as follow_

    with here.client(works=follow) as client:
        if follow:
            found = follow_(here, client, [experiment])
            show_results(here, found)
            raise typer.Exit(exit_code(found))
        e = client.experiments.get(experiment)
    findings = "\n".join(f"{f.outcome:<8} {f.reason} {f.estimate.method}." for f in e.result.verdict.findings) if e.result else ""
    r = e.result
    here.out.fields(
        e,
        [
            ("experiment", e.id),
            ("what", f"{e.protocol} on {e.model} ({e.target})"),
            ("intent", e.config.intent.name),
            ("parameters", e.config.parameters),
            ("state", e.state),
            ("status", e.status),
            ("cause", e.cause),
            ("findings", findings),
            ("candidate", r.candidate if r else None),
            ("baseline metrics", r.baseline_metrics if r else None),
            ("candidate metrics", r.candidate_metrics if r else None),
            ("not touched", "\n".join(r.untouched) if r else None),
            ("models trained", r.models_trained if r else None),
            ("study", r.study if r else None),
            ("registration", e.registration),
            ("owner", f"{e.owner}, share of {e.quota_group}"),
            ("created", e.created),
            ("took", duration(e.started, e.finished)),
        ],
    )
    if r is not None and r.diff:
        here.out.say(f"What it changes: wichtel experiments diff {e.id}{' --local' if here.local else ''}")


@command(app, "steps")
def steps(here: Here, experiment: str) -> None:
    """The steps of an experiment and how far each is."""
    with here.client() as client:
        found = client.experiments.steps(experiment)
    here.out.table(
        found,
        ["step", "state", "started", "took", "error"],
        ((s.name, s.state, s.started, duration(s.started, s.ended), (s.error or {}).get("message")) for s in found),
        empty="It has not started.",
    )


@command(app, "diff")
def diff(here: Here, experiment: str) -> None:
    """What the candidate changes, as a unified diff that `git apply` takes."""
    with here.client() as client:
        text = client.experiments.diff(experiment)
    if not text:
        here.out.say("There is no candidate, or its source is the model's.")
    here.out.text(text, experiment=experiment, diff=text)


@command(app, "cancel")
def cancel(here: Here, experiment: str) -> None:
    """End an experiment now."""
    with here.client() as client:
        e = client.experiments.cancel(experiment)
    here.out.fields(e, [("experiment", e.id), ("status", e.status), ("cause", e.cause)])
