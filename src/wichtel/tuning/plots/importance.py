"""Which parameters matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wichtel.tuning.plots.base import COLOURS, escaped, finish, plotly
from wichtel.tuning.results.importance import importance

if TYPE_CHECKING:
    from wichtel.tuning.results.result import StudyResult


def importance_plot(result: StudyResult, metric: str | None = None) -> Any:
    """See `Plots.importance`."""
    go, _ = plotly()
    found = importance(result, metric)
    names = list(found)[::-1]
    bars = go.Bar(
        x=[found[name] for name in names],
        y=[escaped(name) for name in names],
        text=[f"{found[name]:.0%}" for name in names],
        orientation="h",
        marker={"color": COLOURS["succeeded"]},
        hoverinfo="skip",
    )
    figure = go.Figure(bars)
    figure.update_xaxes(title_text="share of the importance", tickformat=".0%", rangemode="tozero")
    return finish(figure, f"Importance of parameters in {result.spec.name}", height=max(300, 120 + 28 * len(names)))
