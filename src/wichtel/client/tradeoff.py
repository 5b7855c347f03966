"""Candidates of several experiments in a picture: what one metric costs in another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from wichtel.domain import ComparedExperiment, ComparedMetric, Comparison, ExperimentStatus, MetricColumn, NotFound
from wichtel.tuning.plots.base import BEST, COLOURS, escaped, finish, plotly, text


def tradeoff(comparison: Comparison) -> Any:
    """See `ComparisonTable.plot`."""
    go, _ = plotly()
    axes = [column for column in comparison.metrics if column.name in comparison.objectives][:2]
    shown = [e for e in comparison.experiments if axes and all(a.name in e.metrics for a in axes)]
    if not shown:
        raise NotFound("no experiment has a result to show.", where="comparison")
    figure = go.Figure()
    for name, colour, members in (
        ("satisfied", COLOURS["succeeded"], [e for e in shown if e.status is ExperimentStatus.SATISFIED]),
        ("not satisfied", COLOURS["stopped"], [e for e in shown if e.status is not ExperimentStatus.SATISFIED]),
    ):
        if not members:
            continue
        figure.add_trace(
            go.Scatter(
                **(_plane(members, axes) if len(axes) == 2 else _line(members, axes[0])),
                mode="markers",
                name=name,
                # A ring around those that are efficient.
                marker={"color": colour, "size": 11, "line": {"color": BEST, "width": [3 if e.efficient else 0 for e in members]}},
                text=[_hover(comparison, e) for e in members],
                hoverinfo="text",
            )
        )
    titles = [escaped(f"{a.name}{f' ({a.unit})' if a.unit else ''}, {a.better} is better") for a in axes]
    if len(axes) == 2:
        places = sorted({tuple(e.metrics[a.name].baseline for a in axes) for e in shown})
        marker = {"color": COLOURS["canceled"], "symbol": "x", "size": 10}
        xs, ys = zip(*places, strict=True)
        figure.add_trace(go.Scatter(x=xs, y=ys, mode="markers", name="baseline", marker=marker))
        figure.update_xaxes(title_text=titles[0])
        figure.update_yaxes(title_text=titles[1])
    else:
        figure.add_vline(x=0, line_dash="dot")
        figure.update_xaxes(title_text=f"difference from the baseline: {titles[0]}")
    ringed = sum(bool(e.efficient) for e in shown)
    return finish(
        figure, f"{len(shown)} candidates, {ringed} efficient (ringed)", height=max(450, 22 * len(shown) if len(axes) == 1 else 550)
    )


def _plane(members: Sequence[ComparedExperiment], axes: Sequence[MetricColumn]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for letter, axis in zip("xy", axes, strict=True):
        metrics = [e.metrics[axis.name] for e in members]
        found |= {letter: [m.candidate for m in metrics], f"error_{letter}": _bars(metrics)}
    return found


def _line(members: Sequence[ComparedExperiment], axis: MetricColumn) -> dict[str, Any]:
    metrics = [e.metrics[axis.name] for e in members]
    return {"x": [m.delta for m in metrics], "y": [escaped(e.id) for e in members], "error_x": _bars(metrics)}


def _bars(metrics: Sequence[ComparedMetric]) -> dict[str, Any]:
    """How far the interval reaches to both sides; nowhere if there is none."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [_reach(m.high, m.delta) for m in metrics],
        "arrayminus": [_reach(m.low, m.delta) for m in metrics],
        "thickness": 1,
    }


def _reach(bound: float | None, delta: float) -> float:
    return abs(bound - delta) if bound is not None and math.isfinite(bound) else 0.0


def _hover(comparison: Comparison, e: ComparedExperiment) -> str:
    lines = [f"{e.id}, {e.status or e.state}"]
    lines += [f"{name}: {text(value)}" for name, value in e.parameters.items()]
    for name in comparison.objectives:
        if name in e.metrics:
            m = e.metrics[name]
            lines.append(f"{name} = {text(m.candidate)} ({m.delta:+.4g}{f', {m.outcome}' if m.outcome is not None else ''})")
    return "<br>".join(map(escaped, lines))
