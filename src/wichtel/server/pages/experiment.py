"""One experiment: how it stands and why, its steps, its verdict, what it would change, and how it was configured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import Experiment, ExperimentState, ExperimentStatus, ModelVersion, NotFound, Run
from wichtel.experiments import On, Rerun, Seed
from wichtel.server.pages.analysis import with_others
from wichtel.server.pages.reader import PageReader, Reader, page_router
from wichtel.server.pages.verdicts import draw
from wichtel.server.wire import reply
from wichtel.workflows import StepStatus

router = page_router("/experiments")

_MOST_RUNS = 50
_TAIL_CHARACTERS = 20_000
_MOST_WRITTEN = 6_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step took of workers."""

    step: str
    runs: int
    seconds: float


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
    model = app.models.get(e.model)
    steps = app.experiments.steps(experiment)
    unfinished = e.state is not ExperimentState.FINISHED
    runs = _runs(reader, e, steps)
    repeats, builds = app.experiments.descendants(e)
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
        cost=cost(app.experiments.run_times(e), _named_runs(steps)),
        versions=_versions(reader, e),
        head=model.head,
        repeats=repeats,
        builds=builds,
        settings=_settings(e),
        cancel_not=reader.why_not("cancel_experiment", team=e.quota_group, owner=e.owner) if unfinished else "it has finished.",
        rerun_not=reader.why_not("register_models", team=model.team),
        compare=with_others(e),
        latest=latest,
    )


@router.get("/{experiment}/steps/{step}")
def step(reader: Reader, experiment: str, step: str) -> Response:
    """What a step got, gave, ran and printed."""
    app = reader.app
    e = app.experiments.get(experiment)
    steps = {one.name: one for one in app.experiments.steps(experiment)}
    if step not in steps:
        raise NotFound(f"it has no step {step!r}.", where=f"experiment {experiment}")
    s = steps[step]
    named = _named_runs(list(steps.values()))
    runs = [run for run in _runs(reader, e, list(steps.values())) if named.get(run.spec.id) == step]
    # The steps before it in the graph; what these got is theirs to show.
    given = [(name, _written(steps[name].output)) for name in s.after if name in steps]
    template = "parts/step.html" if reader.partial else "step.html"
    return reader.show(
        template,
        title=f"Step {step} of {e.id}",
        e=e,
        s=s,
        given=given,
        made=_written(s.output),
        runs=runs,
        told=_told(reader, e.protocol).get(step, ""),
    )


@router.get("/{experiment}/curves")
def curves(reader: Reader, experiment: str) -> Response:
    """The learning curves of one training on each side, thinned: JSON."""
    e = reader.app.experiments.get(experiment)
    sides = _curves(reader, reader.app.experiments.steps(e.id))
    return reply({side: reader.app.runs.curve(run) for side, run in sides.items()})


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


def cost(times: Sequence[tuple[str, datetime, datetime | None]], steps: Mapping[str, str]) -> list[Cost]:
    """What the steps of an experiment took of workers, the dearest first; runs of no step are the trials of its study."""
    now = datetime.now(UTC)
    found: dict[str, Cost] = {}
    for run, began, ended in times:
        name = steps.get(run) or ("trials" if "/study/" in run else "analysis" if run.startswith("analysis/") else "other")
        before = found.get(name, Cost(name, 0, 0.0))
        found[name] = Cost(name, before.runs + 1, before.seconds + ((ended or now) - began).total_seconds())
    return sorted(found.values(), key=lambda one: -one.seconds)


def _versions(reader: PageReader, e: Experiment) -> dict[str, ModelVersion]:
    """The versions that it has to do with, by id; one that is gone is left out."""
    wanted = {e.target, *((e.result.baseline, e.result.candidate) if e.result else ())}
    found = {}
    for identity in wanted - {""}:
        with suppress(NotFound):
            found[identity] = reader.app.models.version(identity)
    return found


def _written(value: Any) -> str:
    """JSON as people read it, cut where it becomes long."""
    text = "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= _MOST_WRITTEN else f"{text[:_MOST_WRITTEN]}\n… {len(text) - _MOST_WRITTEN:,} characters more"


def _told(reader: PageReader, protocol: str) -> dict[str, str]:
    """Step → what it does, as its protocol says; nothing if that is no longer installed."""
    try:
        return {one.name: one.help for one in reader.app.protocols.get(protocol).steps}
    except NotFound:
        return {}


def _curves(reader: PageReader, steps: Sequence[StepStatus]) -> dict[str, str]:
    """Side → one training on it that reported a curve."""
    found: dict[str, str] = {}
    for run, step in _named_runs(steps).items():
        side = {"baseline": "baseline", "train_candidate": "candidate"}.get(step)
        if side is not None and side not in found and reader.app.runs.measurements(run, limit=2).cursor:
            found[side] = run
    return dict(sorted(found.items()))
