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
    query: Annotated[
        list[str] | None,
        typer.Argument(help="Such as 'owner:ana model:ads* NOT status:SATISFIED delta.auc>0.002 created>-7d'; see the guide."),
    ] = None,
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
    saved: Annotated[str | None, typer.Option(help="What a saved search asks for as well, in its order; see `wichtel searches`.")] = None,
    sort: Annotated[
        str | None, typer.Option(help="A field of the query language; a minus before it for the largest first. By default -created.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most that are shown; 0 for all.")] = 50,
    fields: Annotated[str | None, typer.Option(help="Only these, such as id,status,result.verdict.reason.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, for spreadsheets.")] = False,
    count: Annotated[bool, typer.Option("--count", help="Only how many there are; 10000 stands for so many or more.")] = False,
) -> None:
    """Experiments that fit a query, and every option, the newest first."""
    from wichtel.cli.choices import one_of
    from wichtel.cli.follow import SUMMARY, summary
    from wichtel.cli.tables import CSV_FIELDS, csv_text, value_at
    from wichtel.domain import ExperimentState, ExperimentStatus, parse_query
    from wichtel.domain.query import Pattern, Word, all_of, compares, contains, equals

    names = {
        "owner": owner,
        "protocol": protocol,
        "intent": intent,
        "registration": registration,
        "status": one_of(ExperimentStatus, status, "--status"),
        "state": one_of(ExperimentState, state, "--state"),
    }
    terms = [
        parse_query(" ".join(query or ())),
        *(equals(name, value) for name, value in names.items() if value is not None),
        contains("model", model) if model else None,
        compares("created", ">=", since.replace(tzinfo=UTC)) if since else None,
        compares("created", "<", before.replace(tzinfo=UTC)) if before else None,
        Word(Pattern((text,))) if text else None,
    ]
    chosen = [name.strip() for name in fields.split(",")] if fields else list(CSV_FIELDS) if csv else []
    with here.client() as client:
        if saved:
            kept = client.saved_searches.find(saved)
            terms.append(parse_query(kept.query))
            sort = sort or kept.sort
        wanted, sort = str(all_of(*terms)), sort or "-created"
        if count:
            total = client.experiments.count(wanted)
            here.out.fields({"count": total}, [("experiments", total)])
        elif not chosen:
            found = client.experiments.search(wanted, sort=sort, limit=limit or None)
            here.out.table(found, SUMMARY, map(summary, found))
        else:
            rows = client.experiments.rows(wanted, chosen, sort=sort, limit=limit or None)
            if csv:
                here.out.text(csv_text(rows, chosen), experiments=rows)
            else:
                here.out.table(rows, chosen, ([value_at(row, name) for name in chosen] for row in rows))


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
            ("kind of failure", e.failure.category if e.failure else None),
            ("step", e.failure.step if e.failure else None),
            ("run", e.failure.run if e.failure else None),
            ("what to do", e.failure.hint if e.failure else None),
            ("log", e.failure.log_tail if e.failure else None),
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


@command(app, "why")
def why(here: Here, experiment: str) -> None:
    """Why an experiment waits: for its start, or for workers."""
    with here.client() as client:
        w = client.queue.why(experiment)
    here.out.fields(
        w,
        [
            ("experiment", w.experiment),
            ("state", w.state),
            ("because", w.text),
            ("place", f"{w.position} in the line of {w.quota_group}" if w.position else None),
            ("priority", w.priority or None),
            ("for", duration(w.since, None)),
        ],
    )


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


@command(app, "finish")
def finish(
    here: Here,
    experiment: str,
    status: Annotated[str, typer.Argument(help="SATISFIED, UNSATISFIED, USER_ERROR, SYSTEM_ERROR, DEADLINE_EXCEEDED, CANCELED.")],
    cause: Annotated[str, typer.Option(help="Why, in words.")],
) -> None:
    """End an experiment with a status of your choice, in the place of its workflow; for admins."""
    from wichtel.cli.choices import one_of
    from wichtel.domain import ExperimentStatus

    wanted = one_of(ExperimentStatus, status, "STATUS")
    assert wanted is not None
    with here.client() as client:
        e = client.experiments.finish(experiment, wanted, cause)
    here.out.fields(e, [("experiment", e.id), ("status", e.status), ("cause", e.cause)])
