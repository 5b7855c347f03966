"""Several objectives against each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wichtel.domain import InvalidInput, Trial
from wichtel.tuning.plots.base import BEST, COLOURS, escaped, finish, hovers, numbers, objective_of, plotly, scored
from wichtel.tuning.results.ranking import violation_of

if TYPE_CHECKING:
    from wichtel.tuning.results.result import StudyResult


def pareto(result: StudyResult, objectives: Sequence[str] = ()) -> Any:
    """See `Plots.pareto`."""
    go, _ = plotly()
    chosen = [objective_of(result, name) for name in objectives] or list(result.spec.objectives[:3])
    if len(chosen) not in (2, 3):
        hint = "See plot.history()." if len(result.spec.objectives) == 1 else None
        raise InvalidInput(f"it shows two or three objectives, not {len(chosen)}.", where=f"study {result.spec.name!r}", hint=hint)
    metrics = [o.metric for o in chosen]
    trials = scored(result)
    best = result.front
    on_front = {t.number for t in best}
    broken = [t for t in trials if violation_of(result.spec, t)]
    others = [t for t in trials if t.number not in on_front and not violation_of(result.spec, t)]
    kind = go.Scattergl if len(metrics) == 2 else go.Scatter3d
    figure = go.Figure()
    for members, name, colour, symbol in (
        (others, "dominated", COLOURS["succeeded"], "circle"),
        (broken, "breaks a constraint", COLOURS["canceled"], "x"),
        (sorted(best, key=lambda t: t.metrics[metrics[0]]), "front", BEST, "circle"),
    ):
        if members:
            marker = {"color": colour, "symbol": symbol, "size": (8 if name == "front" else 5) // (len(metrics) - 1)}
            more = hovers(members, len(trials))
            figure.add_trace(kind(**_places(members, metrics), mode="markers", name=name, marker=marker, **more))
    titles = [f"{o.metric} ({o.better} is better)" for o in chosen]
    if len(metrics) == 2:
        figure.update_xaxes(title_text=escaped(titles[0]))
        figure.update_yaxes(title_text=escaped(titles[1]))
    else:
        axes = ("xaxis", "yaxis", "zaxis")
        figure.update_layout(scene={a: {"title": {"text": escaped(t)}} for a, t in zip(axes, titles, strict=True)})
    return finish(figure, f"Front of {result.spec.name}: {len(best)} of {len(trials)} trials", height=550)


def _places(trials: list[Trial], metrics: list[str]) -> dict[str, Any]:
    return {axis: numbers([t.metrics[m] for t in trials]) for axis, m in zip("xyz", metrics, strict=False)}
