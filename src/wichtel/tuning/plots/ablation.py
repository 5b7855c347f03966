"""What components contribute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wichtel.tuning.ablation.contributions import CONFIDENCE
from wichtel.tuning.plots.base import BEST, COLOURS, escaped, finish, plotly

if TYPE_CHECKING:
    from wichtel.tuning.ablation.contributions import AblationResult, Contribution
    from wichtel.tuning.results.result import StudyResult


def ablation(result: StudyResult) -> Any:
    """See `Plots.ablation`."""
    from wichtel.tuning.ablation.ablate import read_ablation

    return draw(read_ablation(result))


def draw(result: AblationResult) -> Any:
    """Bars with intervals, that which matters most on top; with pairs, beside it a map of them, on its diagonal each component alone."""
    go, subplots = plotly()
    known = [row for row in result.rows if row.contribution is not None]
    pairs = [row for row in known if len(row.without) == 2]
    singles = [row for row in known if len(row.without) == 1]
    figure = subplots.make_subplots(rows=1, cols=2 if pairs else 1, horizontal_spacing=0.25)
    ours = f"contribution to {result.metric}"
    reach = [(row.interval[1] - row.interval[0]) / 2 if row.interval else 0.0 for row in singles]
    bars = go.Bar(
        x=[row.contribution for row in singles],
        y=[escaped(row.component) for row in singles],
        error_x={"type": "data", "array": reach} if any(reach) else None,
        marker={"color": [_colour(row) for row in singles]},
        orientation="h",
        text=[_said(row) for row in singles],
        textposition="none",
        hoverinfo="text",
        showlegend=False,
    )
    figure.add_trace(bars, row=1, col=1)
    figure.update_xaxes(title_text=escaped(ours), zeroline=True, zerolinecolor="#444", row=1, col=1)
    figure.update_yaxes(autorange="reversed", row=1, col=1)
    if pairs:
        names = [row.component for row in singles]
        found = {frozenset(row.without): row for row in known}
        cells = [[found.get(frozenset((a, b))) for b in names] for a in names]
        most = max(abs(row.contribution or 0.0) for row in known)
        heat = go.Heatmap(
            x=[escaped(name) for name in names],
            y=[escaped(name) for name in names],
            z=[[None if cell is None else cell.contribution for cell in line] for line in cells],
            text=[["" if cell is None else _said(cell) for cell in line] for line in cells],
            hoverinfo="text",
            colorscale="RdBu",
            zmin=-most,
            zmax=most,
            colorbar={"title": {"text": escaped(ours)}},
        )
        figure.add_trace(heat, row=1, col=2)
        figure.update_yaxes(autorange="reversed", row=1, col=2)
    title = f"Ablation study {result.study.spec.name}: {result.metric} {result.rows[0].mean:.4g} with all"
    return finish(figure, title, height=max(350, 120 + 28 * len(singles) + (150 if pairs else 0)))


def _colour(row: Contribution) -> str:
    if row.interval is None or row.certain:
        return BEST if (row.contribution or 0.0) > 0 else COLOURS["failed"]
    return COLOURS["canceled"]


def _said(row: Contribution) -> str:
    lines = [f"without {row.component}: {row.mean:.6g}" + (f" ± {row.std:.2g}" if row.std is not None else "")]
    lines.append(f"contribution {row.contribution:+.4g}")
    if row.interval is not None:
        lines.append(f"{CONFIDENCE:.0%} interval {row.interval[0]:+.3g} to {row.interval[1]:+.3g}")
    if row.interaction is not None:
        lines.append(f"interaction {row.interaction:+.3g}")
    return "<br>".join(map(escaped, lines))
