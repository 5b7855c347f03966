"""`wichtel studies`."""

from __future__ import annotations

from wichtel.cli.command import Here, command, group
from wichtel.cli.output import duration

app = group("Studies: searches and their trials.")


@command(app, "list")
def list_(here: Here) -> None:
    """All studies, the newest first."""
    with here.client() as client:
        found = client.studies.list()
    here.out.table(
        found,
        ["study", "name", "state", "objectives", "trials", "searcher", "took", "reason"],
        (
            (
                s.spec.id,
                s.spec.name,
                s.state,
                [o.metric for o in s.spec.objectives],
                s.spec.trials,
                s.spec.searcher.name,
                duration(s.started, s.ended),
                s.reason,
            )
            for s in found
        ),
    )


@command(app, "show")
def show(here: Here, study: str) -> None:
    """A study with its trials."""
    with here.client() as client:
        s = client.studies.get(study)
        trials = client.studies.trials(s.spec.id)
    if not here.json:
        here.out.say(f"{s.spec.name} ({s.spec.id}): {s.state}. {s.reason}".rstrip())
    here.out.table(
        {"study": s, "trials": trials},
        ["trial", "state", "configuration", "metrics", "reason"],
        ((t.number, t.state, t.config, t.metrics, t.reason) for t in trials),
    )


@command(app, "cancel")
def cancel(here: Here, study: str) -> None:
    """End a study now, with its runs."""
    with here.client() as client:
        s = client.studies.cancel(study)
    here.out.fields(s, [("study", s.spec.id), ("state", s.state), ("reason", s.reason)])
