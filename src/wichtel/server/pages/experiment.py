"""One experiment: how it stands and why, its steps, its verdict, what it would change, and how it was configured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import Experiment, ExperimentState, ExperimentStatus, NotFound, Run
from wichtel.experiments import On, Rerun, Seed
from wichtel.server.pages.analysis import with_others
from wichtel.server.pages.reader import PageReader, Reader, page_router
from wichtel.server.pages.verdicts import draw
from wichtel.workflows import StepStatus

router = page_router("/experiments")

_MOST_RUNS = 50
_TAIL_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Compared:
    """A metric of baseline and candidate."""

    name: str
    baseline: float | None
    candidate: float | None
    primary: bool
    constrained: bool

    @property
    def delta(self) -> float | None:
        """Candidate minus baseline."""
        return None if self.baseline is None or self.candidate is None else self.candidate - self.baseline

    @property
    def relative(self) -> float | None:
        """The same, divided by the baseline."""
        return self.delta / abs(self.baseline) if self.delta is not None and self.baseline else None


@router.get("/{experiment}")
def experiment(reader: Reader, experiment: str) -> Response:
    """The page, or for htmx all of it but what stands around."""
    app = reader.app
    latest = reader.latest_event()
    e = app.experiments.get(experiment)
    steps = app.experiments.steps(experiment)
    unfinished = e.state is not ExperimentState.FINISHED
    runs = _runs(reader, e, steps)
    verdict = e.result.verdict if e.result else None
    return reader.show(
        "parts/experiment.html" if reader.partial else "experiment.html",
        title=f"{_sign(e)} {e.id} · {e.protocol} on {e.model}",
        e=e,
        unfinished=unfinished,
        sentence=_sentence(e),
        waiting=app.waits.why(experiment) if unfinished else None,
        steps={step.name: step for step in steps},
        findings=[draw(finding) for finding in verdict.findings] if verdict else [],
        metrics=_metrics(e),
        diff=app.experiments.diff(experiment),
        runs=runs,
        curves=_curves(reader, steps),
        settings=_settings(e),
        cancel_not=reader.why_not("cancel_experiment", team=e.quota_group, owner=e.owner) if unfinished else "it has finished.",
        rerun_not=reader.why_not("register_models", team=app.models.get(e.model).team),
        compare=with_others(e),
        latest=latest,
    )


@router.get("/{experiment}/log")
def log(reader: Reader, experiment: str, run: Annotated[str, Query(max_length=500)]) -> Response:
    """The end of what a run printed."""
    app = reader.app
    e = app.experiments.get(experiment)
    if run not in {r.spec.id for r in _runs(reader, e, app.experiments.steps(experiment))}:
        raise NotFound(f"there is no run {run!r} of it.", where=f"experiment {experiment}")
    missing = ""
    text = ""
    try:
        text = app.runs.log(run)
    except NotFound as error:
        missing = str(error)
    shown = text[-_TAIL_CHARACTERS:]
    template = "parts/log.html" if reader.partial else "log.html"
    return reader.show(template, title=f"Log of {run}", e=e, run=run, text=shown, cut=len(text) > len(shown), missing=missing)


@router.post("/{experiment}/cancel")
def cancel(reader: Reader, experiment: str) -> Response:
    """End it now."""
    reader.app.experiments.cancel(experiment, reader.principal)
    return reader.go(f"/experiments/{quote(experiment, safe='')}")


@router.post("/{experiment}/rerun")
def rerun(reader: Reader, experiment: str) -> Response:
    """Register it once more; lead to the new one."""
    how = Rerun(
        on=On.HEAD if reader.form.one("on") == "head" else On.TARGET, seed=Seed.FRESH if reader.form.one("seed") == "fresh" else Seed.SAME
    )
    made = reader.app.experiments.rerun(experiment, how, reader.principal)
    return reader.go(f"/experiments/{made.id}")


@router.get("/{experiment}/export")
def export(reader: Reader, experiment: str, form: str = "patch") -> Response:
    """The candidate, to be taken along: a patch, or a folder as an archive."""
    if form == "folder":
        data, kind, name = reader.app.handover.folder(experiment, ""), "application/zip", f"{experiment}.zip"
    else:
        data, kind, name = reader.app.handover.patch(experiment, "").encode(), "text/x-patch", f"{experiment}.patch"
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return Response(data, media_type=kind, headers={"Content-Disposition": disposition, "Cache-Control": "no-store"})


def _sign(e: Experiment) -> str:
    return {"ENQUEUED": "◌", "IN_PROGRESS": "▶", "SATISFIED": "✓", "UNSATISFIED": "✗"}.get(str(e.status or e.state), "!")


def _sentence(e: Experiment) -> str:
    """State and status in a sentence."""
    if e.state is ExperimentState.ENQUEUED:
        return "It waits for its turn."
    if e.state is ExperimentState.IN_PROGRESS:
        return "It is under way."
    said = {
        ExperimentStatus.SATISFIED: "Every constraint holds: this candidate can be merged.",
        ExperimentStatus.UNSATISFIED: "The candidate was not shown to meet every constraint.",
        ExperimentStatus.USER_ERROR: "It failed, and whoever owns the model or the configuration can put that right.",
        ExperimentStatus.SYSTEM_ERROR: "It failed through no fault of yours.",
        ExperimentStatus.DEADLINE_EXCEEDED: "It was not finished in time.",
        ExperimentStatus.CANCELED: "It was canceled.",
    }
    return said[e.status] if e.status is not None else "It has finished."


def _metrics(e: Experiment) -> list[Compared]:
    """Those that are constrained first."""
    if e.result is None:
        return []
    before, after, intent = e.result.baseline_metrics, e.result.candidate_metrics, e.config.intent
    constrained = [c.metric for c in intent.constraints]
    names = sorted(before.keys() | after.keys(), key=lambda n: (n != intent.primary, n not in constrained, n))
    return [Compared(n, before.get(n), after.get(n), n == intent.primary, n in constrained) for n in names]


def _settings(e: Experiment) -> list[tuple[str, Any, str]]:
    """Each value of the configuration: its name, itself, and where it comes from."""
    c = e.config
    origin = c.origin.get
    rows: list[tuple[str, Any, str]] = [("intent", c.intent.name, origin("intent", "default"))]
    rows += [(name, value, origin(f"parameters.{name}", origin("parameters", "default"))) for name, value in sorted(c.parameters.items())]
    plain = ("replicates", "seed", "priority", "baseline_max_age_days")
    return rows + [(name, getattr(c, name), origin(name, "default")) for name in plain]


def _named_runs(steps: Sequence[StepStatus]) -> dict[str, str]:
    """Run → the step that has waited for it."""
    found: dict[str, str] = {}
    for step in steps:
        output = step.output
        if isinstance(output, dict) and isinstance(output.get("results"), list):
            output = output["results"]
        for part in output if isinstance(output, list) else [output]:
            if isinstance(part, dict) and isinstance(part.get("run"), str):
                found[part["run"]] = step.name
    return found


def _runs(reader: PageReader, e: Experiment, steps: Sequence[StepStatus]) -> list[Run]:
    """Its own runs of the last generation, and the baseline's, which another experiment may have asked for."""
    runs = reader.app.runs
    own = runs.list(owner=f"experiment/{e.id}/run/{e.generation}", limit=_MOST_RUNS) if e.generation else []
    known = {run.spec.id for run in own}
    for name in _named_runs(steps):
        if name not in known:
            try:
                own.append(runs.get(name))
            except NotFound:
                continue
    return sorted(own, key=lambda run: (run.created, run.spec.id))


def _curves(reader: PageReader, steps: Sequence[StepStatus]) -> list[tuple[str, str]]:
    """The addresses of the learning curves of one training on each side, if they reported any."""
    found: dict[str, str] = {}
    for run, step in _named_runs(steps).items():
        side = {"baseline": "baseline", "train_candidate": "candidate"}.get(step)
        if side is not None and side not in found and reader.app.runs.measurements(run, limit=2).cursor:
            found[side] = f"/v1/measurements?run={quote(run, safe='')}"
    return sorted(found.items())
