"""The columns of the list of experiments: what each shows, and by what it is sorted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wichtel.domain import Experiment, InvalidInput, Sort
from wichtel.domain.query import FIELDS

_METRIC_FIELDS = tuple(name for name, field in FIELDS.items() if field.of_metric)
_MOST = 20


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    title: str
    value: Callable[[Experiment], Any]
    #: How a cell is drawn: see `templates/parts/experiments.html`.
    kind: str = "text"
    #: The field of the query language that it is sorted by; empty for none.
    sort: str = ""
    #: Whether it is shown on small screens.
    narrow: bool = False


def _primary(experiment: Experiment) -> float | None:
    """The relative gain in the primary metric."""
    if experiment.result is None:
        return None
    name = experiment.config.intent.primary
    before, after = experiment.result.baseline_metrics.get(name), experiment.result.candidate_metrics.get(name)
    return (after - before) / abs(before) if before and after is not None else None


def _duration(experiment: Experiment) -> float | None:
    if experiment.started is None or experiment.finished is None:
        return None
    return (experiment.finished - experiment.started).total_seconds()


_FIXED = (
    Column("status", "Status", lambda e: e.status or e.state, "status", "status", narrow=True),
    Column("id", "Experiment", lambda e: e.id, "id", "id", narrow=True),
    Column("model", "Model", lambda e: e.model, sort="model", narrow=True),
    Column("protocol", "Protocol", lambda e: e.protocol, sort="protocol"),
    Column("gain", "Δ primary", _primary, "gain", narrow=True),
    Column("intent", "Intent", lambda e: e.config.intent.name, sort="intent"),
    Column("owner", "Owner", lambda e: e.owner, sort="owner"),
    Column("team", "Team", lambda e: e.quota_group, sort="team"),
    Column("created", "Created", lambda e: e.created, "time", "created"),
    Column("started", "Started", lambda e: e.started, "time", "started"),
    Column("finished", "Finished", lambda e: e.finished, "time", "finished"),
    Column("duration", "Took", _duration, "duration", "duration"),
    Column("cause", "Cause", lambda e: e.cause, "long"),
    Column("priority", "Priority", lambda e: e.config.priority, "number", "priority"),
    Column("models_trained", "Trainings", lambda e: e.result.models_trained if e.result else None, "number", "models_trained"),
    Column("target", "Target", lambda e: e.target, sort="target"),
    Column("registration", "Registration", lambda e: e.registration, sort="registration"),
)
#: Those with names of their own, in their order.
COLUMNS = {column.name: column for column in _FIXED}
DEFAULT = ("status", "id", "model", "protocol", "gain", "owner", "created", "duration")


def _of_metric(name: str) -> Column:
    Sort.read(name)
    field, _, metric = name.partition(".")

    def value(experiment: Experiment) -> float | None:
        result = experiment.result
        if result is None:
            return None
        before, after = result.baseline_metrics.get(metric), result.candidate_metrics.get(metric)
        if field in ("baseline", "candidate"):
            return before if field == "baseline" else after
        if field in ("low", "high"):
            found = next((f.estimate for f in result.verdict.findings if f.constraint.metric == metric), None)
            return None if found is None else found.low if field == "low" else found.high
        if before is None or after is None:
            return None
        return after - before if field == "delta" else (after - before) / abs(before) if before else None

    kind = "percent" if field == "relative" else "signed" if field in ("delta", "low", "high") else "number"
    return Column(name, name, value, kind, name)


def read_columns(names: Iterable[str]) -> tuple[Column, ...]:
    """The columns of these names; metrics as in ``delta.auc``. None of them for the usual ones.

    Raises:
        InvalidInput: there is no such column, or there are too many.
    """
    wanted = list(dict.fromkeys(part.strip() for name in names for part in name.split(",") if part.strip()))
    if len(wanted) > _MOST:
        raise InvalidInput(f"at most {_MOST} columns can be shown.", where="columns")
    found = []
    for name in wanted or DEFAULT:
        if name.partition(".")[0] in _METRIC_FIELDS:
            found.append(_of_metric(name))
        elif name in COLUMNS:
            found.append(COLUMNS[name])
        else:
            raise InvalidInput(f"there is no column {name!r}.", where="columns", hint="Metrics are written as in delta.auc.")
    return tuple(found)


def as_csv(columns: Sequence[Column], experiments: Iterable[Experiment]) -> str:
    """A table for spreadsheets; text in it is never taken for a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    names = [column.name for column in columns]
    extra = [name for name in ("id",) if name not in names]
    writer.writerow([*extra, *names])
    for experiment in experiments:
        writer.writerow([*(getattr(experiment, name) for name in extra), *(cell(column.value(experiment)) for column in columns)])
    return out.getvalue()


def cell(value: Any) -> Any:
    """A value as a spreadsheet may have it: text is never taken for a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
