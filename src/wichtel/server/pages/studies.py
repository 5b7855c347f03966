"""Studies: the list of them, and one with its trials as pictures and as a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import Bool, Choice, Experiment, Fixed, NotFound, Parameter, RunState, Study, StudyState
from wichtel.experiments import StudyView
from wichtel.server.pages.columns import cell
from wichtel.server.pages.reader import PageReader, Reader, page_router
from wichtel.store import TrialPoint, codec
from wichtel.tuning.results.reading import explain
from wichtel.tuning.study.log import run_id

router = page_router("/studies")

_ON_A_PAGE = 25
_TRIALS_ON_A_PAGE = 50
#: Trials in the pictures.
_MOST_DRAWN = 1000
#: Small pictures of one parameter each.
_MOST_SLICES = 12
_SORTS = ("best", "-number", "number")
_STATES = tuple(str(state) for state in RunState)

Text = Annotated[str, Query(max_length=300)]


@router.get("")
def studies(reader: Reader, name: Text = "", state: StudyState | None = None, cursor: Text = "") -> Response:
    """The list."""
    latest = reader.latest_event()
    page = reader.app.studies.list(state, name.strip() or None, _ON_A_PAGE, cursor or None)
    given = {"name": name.strip(), "state": str(state or "")}
    tallies = reader.app.studies.tallies([s.spec.id for s in page.items])
    of = {s.spec.id: e for s in page.items if (e := _experiment_id(s))}
    known = reader.app.experiments.many(sorted(set(of.values())))
    return reader.show(
        "parts/studies.html" if reader.partial else "studies.html",
        title="Studies",
        page=page,
        tallies=tallies,
        ended={identity: sum(n for state, n in counts.items() if state.ended) for identity, counts in tallies.items()},
        experiments={identity: known[e] for identity, e in of.items() if e in known},
        name=name.strip(),
        state=state,
        cursor=cursor,
        views=[("All", _list(given | {"state": ""})), *((s.lower(), _list(given | {"state": str(s)})) for s in StudyState)],
        here=_list(given),
        address=_list(given | {"cursor": cursor}),
        following=_list(given | {"cursor": page.cursor}) if page.cursor else "",
        latest=latest,
    )


@router.post("/{study:path}/cancel")
def cancel(reader: Reader, study: str) -> Response:
    """End it now."""
    return reader.go(_of(reader.app.studies.cancel(study, reader.principal).spec.id))


@router.get("/{study:path}/trials.{form}")
def export(reader: Reader, study: str, form: str) -> Response:
    """All trials, as CSV or as JSON."""
    view = reader.app.studies.view(study)
    rows = [_row(view, p) for p in view.points]
    if form == "json":
        body, kind = codec.encode(rows).decode(), "application/json"
    elif form == "csv":
        out = io.StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
        body, kind = out.getvalue(), "text/csv"
    else:
        raise NotFound(f"there is no form {form!r}.", hint="There are csv and json.")
    headers = {"Content-Disposition": f'attachment; filename="trials.{form}"', "Cache-Control": "no-store"}
    return Response(body, media_type=kind, headers=headers)


@router.get("/{study:path}")
def study(
    reader: Reader,
    study: str,
    sort: Text = "best",
    state: Text = "",
    ranges: Annotated[str, Query(max_length=2000)] = "",
    only: Annotated[list[Text] | None, Query(max_length=200)] = None,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    trial: Annotated[int | None, Query(ge=0)] = None,
    part: Text = "",
) -> Response:
    """The page, or for htmx all of it but what stands around, or its table."""
    latest = reader.latest_event()
    view = reader.app.studies.view(study)
    s = view.study
    sort = sort if sort in _SORTS else "best"
    state = state if state in _STATES else ""
    chosen = _ranges(view, ranges)
    options = _options(view, only or [])
    found = view.listed(sort=sort, states=(state,) if state else (), ranges=chosen, only=options)
    pages = max(1, -(-len(found) // _TRIALS_ON_A_PAGE))
    page = min(page, pages)
    given = {"sort": sort if sort != "best" else "", "state": state, "ranges": ranges if chosen else "", "only": only if options else None}

    def address(**changes: Any) -> str:
        values = {name: value for name, value in (given | changes).items() if value}
        return f"{_of(s.spec.id)}?{urlencode(values, doseq=True)}" if values else _of(s.spec.id)

    experiment = _experiment(reader, s)
    unfinished = not s.state.ended
    template = "parts/trials.html" if reader.partial and part == "trials" else "parts/study.html" if reader.partial else "study.html"
    return reader.show(
        template,
        title=f"{s.spec.name} · Study",
        s=s,
        view=view,
        unfinished=unfinished,
        sentence=_sentence(view),
        objectives=[(o.metric, str(o.better)) for o in s.spec.objectives],
        parameters=[name for name in s.spec.space if not isinstance(s.spec.space[name], Fixed)],
        slices=[name for name in s.spec.space if not isinstance(s.spec.space[name], Fixed)][:_MOST_SLICES],
        columns_address=f"/v1/trials:columns?{urlencode({'study': s.spec.id, 'most': _MOST_DRAWN})}",
        importance_address=f"/v1/trials:importance?{urlencode({'study': s.spec.id})}",
        curves_address=f"/v1/trials:curves?{urlencode({'study': s.spec.id, 'metric': s.spec.objectives[0].metric})}",
        experiment=experiment,
        warnings=reader.app.studies.warnings(s.spec.id),
        facts=_facts(s),
        why=explain(s.spec),
        space=[(name, _extent(s.spec.space[name])) for name in s.spec.space],
        trials=found[(page - 1) * _TRIALS_ON_A_PAGE : page * _TRIALS_ON_A_PAGE],
        found=len(found),
        sort=sort,
        state=state,
        states=[name for name in _STATES if view.counts.get(name)],
        brushed=bool(chosen or options),
        page=page,
        pages=pages,
        address=address,
        here=address(page=page if page > 1 else ""),
        shown=reader.app.studies.trial(s.spec.id, trial) if trial is not None else None,
        runs=[run_id(s.spec, trial, n) for n in range(s.spec.evaluations)] if trial is not None else [],
        launch=_launch(experiment, view),
        cancel_not=reader.why_not("cancel_study", team=s.spec.quota_group) if unfinished else "it has ended.",
        latest=latest,
    )


def _of(study: str) -> str:
    return f"/studies/{quote(study)}"


def _list(given: Mapping[str, str | None]) -> str:
    values = {name: value for name, value in given.items() if value}
    return f"/studies?{urlencode(values)}" if values else "/studies"


def _ranges(view: StudyView, text: str) -> dict[str, tuple[float, float]]:
    """What was brushed: ``rate:0.1:0.5,layers:2:4``; names that are no parameters or objectives count for nothing."""
    found: dict[str, tuple[float, float]] = {}
    known = {*view.spec.space, *(o.metric for o in view.spec.objectives)}
    for name, low, high in re.findall(r"([^,:]+):([-+.\deE]+):([-+.\deE]+)", text):
        try:
            if name in known:
                found[name] = (float(low), float(high))
        except ValueError:
            continue
    return found


def _options(view: StudyView, texts: Sequence[str]) -> dict[str, set[str]]:
    """What was brushed of parameters with options: ``kind:deep``, for each of them."""
    found: dict[str, set[str]] = {}
    for text in texts:
        name, _, option = text.partition(":")
        if name in view.spec.space:
            found.setdefault(name, set()).add(option)
    return found


def _experiment(reader: PageReader, s: Study) -> Experiment | None:
    """The experiment that searches by it."""
    identity = _experiment_id(s)
    return reader.app.experiments.many([identity]).get(identity) if identity else None


def _experiment_id(s: Study) -> str:
    """Of the experiment that searches by it; empty if somebody submitted it."""
    identity, _, rest = s.spec.id.partition("/")
    return identity if rest and identity.startswith("e-") else ""


def _launch(experiment: Experiment | None, view: StudyView) -> str:
    """Where the best configuration can be launched by itself."""
    if experiment is None or view.best is None:
        return ""
    protocol = "SetHyperparameters"
    values = {f"t.{protocol}.{name}": cell(value) for name, value in view.best.config.items()}
    return f"/launch?{urlencode({'model': experiment.model, 'protocol': protocol, 'intent': experiment.config.intent.name} | values)}"


def _sentence(view: StudyView) -> str:
    s = view.study
    stopped = view.counts.get("STOPPED", 0)
    early = f", {stopped:,} of them stopped early" if stopped else ""
    trials = f"{view.ended:,} of {s.spec.trials:,} trials have ended{early}"
    if s.state is StudyState.RUNNING and s.started is not None and 0 < view.ended < s.spec.trials:
        minutes = (datetime.now(UTC) - s.started).total_seconds() / 60 / view.ended * (s.spec.trials - view.ended)
        return f"{trials}; at this pace it takes {minutes:,.0f} more minutes." if minutes >= 1 else f"{trials}; it is nearly done."
    return f"{trials}. It ended because {s.reason.rstrip('.')}." if s.state.ended and s.reason else f"{trials}."


def _facts(s: Study) -> list[tuple[str, Any]]:
    """How it searches."""
    spec = s.spec
    rows: list[tuple[str, Any]] = [
        ("Searcher", _algorithm(spec.searcher)),
        ("Pruner", _algorithm(spec.pruner) if spec.pruner else "none: every trial runs to its end"),
        ("Workers", spec.workers),
        ("Seed", spec.seed),
        ("Team", spec.quota_group),
    ]
    rows += [("Ends early", ", ".join(_algorithm(t) for t in spec.terminators))] if spec.terminators else []
    rows += [("Constraints", "; ".join(map(str, spec.constraints)))] if spec.constraints else []
    if spec.folds * spec.repeats > 1:
        rows.append(("Each trial", f"{spec.folds} folds × {spec.repeats} repeats"))
    return rows


def _extent(parameter: Parameter) -> str:
    """What values a parameter may have, in words."""
    match parameter:
        case Fixed():
            return f"always {parameter.value}"
        case Choice():
            return ", ".join(map(str, parameter.options))
        case Bool():
            return "yes or no"
        case _:
            return f"{parameter.low:g} to {parameter.high:g}{', by orders of magnitude' if parameter.log else ''}"


def _algorithm(one: Any) -> str:
    options = ", ".join(f"{name} {value}" for name, value in one.options.items())
    return f"{one.name} ({options})" if options else str(one.name)


def _row(view: StudyView, p: TrialPoint) -> dict[str, Any]:
    row = {"number": p.number, "state": str(p.state), "reason": p.reason, "started": p.started, "ended": p.ended}
    return row | {f"config.{name}": value for name, value in p.config.items()} | {f"metrics.{name}": v for name, v in p.metrics.items()}
