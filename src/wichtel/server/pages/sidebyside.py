"""Experiments side by side, as the page of the analysis draws them: cells with their bars, what the charts show, the order of rows."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wichtel.domain import ComparedExperiment, ComparedMetric, Comparison, Expectation, MetricColumn, Outcome
from wichtel.server.pages.columns import cell

#: Width of a bar, in its own units.
WIDTH = 100
_MARGIN = 4
#: A parameter with more words than this is no axis.
_MOST_WORDS = 24
_TONES = {Outcome.HOLDS: "good", Outcome.BROKEN: "bad", Outcome.UNPROVEN: "warn"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A difference from the baseline with its interval, among those of other experiments; from the left."""

    zero: float
    delta: float
    low: float | None
    high: float | None
    #: Where the constraint begins to hold, if all have one.
    threshold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What an experiment found about a metric."""

    metric: ComparedMetric
    #: How the constraint on it stands: good, bad, warn; empty without one.
    tone: str
    bar: Bar | None


def cells(comparison: Comparison, name: str) -> dict[str, Cell]:
    """Experiment → its cell of a metric; bars of one column share their scale."""
    column = next(c for c in comparison.metrics if c.name == name)
    found = {e.id: e.metrics[name] for e in comparison.experiments if name in e.metrics}
    relative = _in_percent(column, found.values())
    threshold = _threshold(column, relative)
    spans = {identity: _span(m, relative) for identity, m in found.items()}
    known = [v for span in spans.values() for v in span if v is not None and math.isfinite(v)]
    known += [0.0] if threshold is None else [0.0, threshold]
    least, most = min(known), max(known)
    room = most - least

    def at(value: float) -> float:
        share = (min(max(value, least), most) - least) / room if room else 0.5
        return round(_MARGIN + share * (WIDTH - 2 * _MARGIN), 1)

    def bar(span: tuple[float, float | None, float | None]) -> Bar | None:
        delta, low, high = span
        if not math.isfinite(delta):
            return None
        bounded = low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
        return Bar(
            zero=at(0.0),
            delta=at(delta),
            low=at(low) if bounded and low is not None else None,
            high=at(high) if bounded and high is not None else None,
            threshold=None if threshold is None else at(threshold),
        )

    return {
        identity: Cell(metric=m, tone=_TONES.get(m.outcome, "") if m.outcome is not None else "", bar=bar(spans[identity]))
        for identity, m in found.items()
    }


def _in_percent(column: MetricColumn, metrics: Iterable[ComparedMetric]) -> bool:
    """Whether differences are best drawn as parts of the baseline."""
    if column.bound is not None:
        return column.bound.relative
    return all(m.baseline and math.isfinite(m.relative) for m in metrics)


def _threshold(column: MetricColumn, relative: bool) -> float | None:
    c = column.bound
    return None if c is None or c.relative != relative else c.expectation.sign * c.threshold


def _span(m: ComparedMetric, relative: bool) -> tuple[float, float | None, float | None]:
    return (m.relative, m.relative_low, m.relative_high) if relative else (m.delta, m.low, m.high)


# Charts


def drawing(comparison: Comparison, *, x: str, y: str, metric: str, settings: Sequence[str], as_difference: bool | None) -> dict[str, Any]:
    """What the charts show, as plain values.

    Args:
        comparison: Of what.
        x: Metric of the trade-off's horizontal axis.
        y: And of its vertical one.
        metric: What is drawn against the settings.
        settings: Names of settings.
        as_difference: Whether differences from the baseline are drawn rather than values; None to choose, by whether the baselines are one.
    """
    columns = {c.name: c for c in comparison.metrics}
    shown = {name: columns[name] for name in dict.fromkeys((x, y, metric)) if name in columns}
    judged = [e for e in comparison.experiments if any(name in e.metrics for name in shown)]
    if as_difference is None:
        as_difference = any(len({e.metrics[name].baseline for e in judged if name in e.metrics}) > 1 for name in shown)
    both = [e for e in judged if x in e.metrics and y in e.metrics]
    axes = {name: _axis(column, judged, as_difference) for name, column in shown.items()}
    return {
        "x": x,
        "y": y,
        "metric": metric,
        "differences": as_difference,
        "metrics": axes,
        "against": list(settings),
        "candidate": comparison.reference,
        "front": front(both, columns[x], columns[y]) if x in columns and y in columns and _comparable(comparison) else [],
        "points": [_point(e, axes, settings, as_difference) for e in judged],
    }


def _axis(column: MetricColumn, judged: Sequence[ComparedExperiment], as_difference: bool) -> dict[str, Any]:
    """A metric: whether it is in percent, where the baseline and the threshold are."""
    metrics = [e.metrics[column.name] for e in judged if column.name in e.metrics]
    percent = as_difference and _in_percent(column, metrics)
    baselines = sorted({m.baseline for m in metrics if math.isfinite(m.baseline)})
    baseline = 0.0 if as_difference else baselines[0] if len(baselines) == 1 else None
    threshold = _threshold(column, percent) if as_difference else None
    c = column.bound
    if c is not None and not as_difference and baseline is not None:
        threshold = baseline + c.expectation.sign * c.threshold * (abs(baseline) if c.relative else 1.0)
    return {
        "name": column.name,
        "unit": column.unit,
        "better": column.better,
        "percent": percent,
        "baseline": baseline,
        "threshold": threshold,
        "holds": None if c is None else c.expectation,
        "constraint": column.constraint,
    }


def _point(e: ComparedExperiment, axes: Mapping[str, Any], settings: Sequence[str], as_difference: bool) -> dict[str, Any]:
    def numbers(percent: bool, m: ComparedMetric) -> list[float | None]:
        if not as_difference:
            return [m.candidate, *(None if bound is None else m.baseline + bound for bound in (m.low, m.high)), m.delta, m.relative]
        return [*_span(m, percent), m.delta, m.relative]

    return {
        "id": e.id,
        "status": str(e.status or e.state),
        "settings": {name: _plain(e.parameters[name]) for name in settings if name in e.parameters},
        "metrics": {name: [*map(_finite, numbers(axis["percent"], e.metrics[name]))] for name, axis in axes.items() if name in e.metrics},
        "outcomes": {name: str(o) for name in axes if name in e.metrics and (o := e.metrics[name].outcome) is not None},
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text(value)
    return value if math.isfinite(value) else text(value)


def text(value: Any) -> str:
    """A setting in words."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={text(inner)}" for name, inner in value.items())
    return f"{value:.6g}" if isinstance(value, float) else "–" if value is None else str(value)


def _comparable(comparison: Comparison) -> bool:
    """Whether the service calls some of them efficient."""
    return any(e.efficient is not None for e in comparison.experiments)


def front(experiments: Sequence[ComparedExperiment], x: MetricColumn, y: MetricColumn) -> list[str]:
    """Of two metrics those that no other beats in one without losing in the other, from the best in `x` on."""

    def loss(e: ComparedExperiment, c: MetricColumn) -> float:
        return -e.metrics[c.name].candidate if c.better is Expectation.LARGER else e.metrics[c.name].candidate

    losses = [(loss(e, x), loss(e, y), e.id) for e in experiments]
    best, found = math.inf, []
    for _, second, identity in sorted(pair for pair in losses if not any(map(math.isnan, pair[:2]))):
        if second < best:
            best = second
            found.append(identity)
    return found


# Settings


def settings_of(comparison: Comparison) -> dict[str, bool]:
    """Settings in which the experiments differ → whether a chart can have one as an axis; those that can come first."""
    found: dict[str, bool] = {}
    for name in dict.fromkeys(name for e in comparison.experiments for name in e.parameters):
        values = [e.parameters[name] for e in comparison.experiments if name in e.parameters and e.metrics]
        words = {text(v) for v in values if isinstance(v, bool) or not isinstance(v, int | float)}
        different = {text(v) for v in values}
        found[name] = len(different) > 1 and len(words) <= _MOST_WORDS
    return dict(sorted(found.items(), key=lambda pair: (not pair[1], pair[0].startswith(("config.", "job.")))))


# Rows


def ordered(comparison: Comparison, sort: str) -> list[ComparedExperiment]:
    """The rows by ``id``, ``status``, ``created``, ``value.METRIC``, ``delta.METRIC``, ``setting.NAME``; largest first with a minus.

    Those that have no value come last. What is no order leaves them as they are.
    """
    field, _, name = sort.removeprefix("-").partition(".")

    def key(e: ComparedExperiment) -> Any:
        if field in ("value", "delta"):
            m = e.metrics.get(name)
            value = None if m is None else m.candidate if field == "value" else m.delta
            return None if value is None or math.isnan(value) else value
        if field == "setting":
            return e.parameters.get(name)
        return {"id": e.id, "status": str(e.status or e.state), "created": e.created}.get(field)

    known = [(key(e), e) for e in comparison.experiments]
    have = [pair for pair in known if pair[0] is not None]
    plain = all(isinstance(value, int | float) for value, _ in have) or field == "created"
    have.sort(key=lambda pair: pair[0] if plain else text(pair[0]), reverse=sort.startswith("-"))
    return [e for _, e in have] + [e for value, e in known if value is None]


def as_csv(comparison: Comparison) -> str:
    """All metrics of all experiments, for spreadsheets; text in it is never taken for a formula."""
    rows = comparison.rows()
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(map(cell, names))
    for row in rows:
        writer.writerow(cell(row.get(name) if not isinstance(row.get(name), list | tuple | dict) else text(row[name])) for name in names)
    return out.getvalue()
