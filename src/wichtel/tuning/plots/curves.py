"""Learning curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wichtel.domain import Measurement, NotFound, RunState, Trial
from wichtel.tuning.plots.base import COLOURS, escaped, finish, foremost, hover, plotly, thin, word_of

if TYPE_CHECKING:
    from wichtel.tuning.results.result import StudyResult

#: Curves, and points of one, beyond which they are thinned.
_CURVES = 400
_POINTS = 250


def curves(result: StudyResult, metric: str | None = None) -> Any:
    """See `Plots.curves`."""
    go, _ = plotly()
    metric = result.spec.objectives[0].metric if metric is None else metric
    measured = result.measurements
    with_curve = [t for t in result.trials if any(metric in m.metrics for m in measured.get(t.number, ()))]
    if not with_curve:
        raise NotFound(
            f"no trial reported {metric!r}.", where=f"study {result.spec.name!r}", hint="Call report(step=…, …) in your function."
        )
    shown = foremost(result, with_curve, _CURVES)
    figure = go.Figure()
    ends: dict[str, list[tuple[Trial, int, float]]] = {}
    lines: dict[str, tuple[list[int | None], list[float | None], list[str | None]]] = {}
    for trial in shown:
        word = word_of(trial)
        x, y, said = lines.setdefault(word, ([], [], []))
        for curve in _by_run(measured[trial.number], metric):
            about = hover(trial)
            for step, value in thin(curve, _POINTS):
                x.append(step)
                y.append(value)
                said.append(about)
            # One trace for all of a kind, with gaps, is drawn at once; one for each curve is not.
            x.append(None)
            y.append(None)
            said.append(None)
            if trial.state in (RunState.STOPPED, RunState.FAILED):
                ends.setdefault(word, []).append((trial, *curve[-1]))
    for word, (x, y, said) in lines.items():
        line = {"color": COLOURS[word], "width": 1}
        figure.add_trace(go.Scattergl(x=x, y=y, text=said, hoverinfo="text", mode="lines", name=word, opacity=0.6, line=line))
    for word, stopped in ends.items():
        figure.add_trace(
            go.Scattergl(
                x=[step for _, step, _ in stopped],
                y=[value for _, _, value in stopped],
                text=[hover(trial) for trial, _, _ in stopped],
                hoverinfo="text",
                mode="markers",
                name=f"{word} here",
                marker={"color": COLOURS[word], "symbol": "x", "size": 8},
            )
        )
    note = f" ({len(shown)} of {len(with_curve)} trials)" if len(shown) < len(with_curve) else ""
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text=escaped(metric))
    return finish(figure, f"Learning curves of {result.spec.name}{note}")


def _by_run(measurements: list[Measurement], metric: str) -> list[list[tuple[int, float]]]:
    """One curve for each evaluation."""
    found: dict[str, list[tuple[int, float]]] = {}
    for m in measurements:
        if metric in m.metrics:
            found.setdefault(m.run, []).append((m.step, m.metrics[metric]))
    return list(found.values())
