"""One parameter at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wichtel.domain import NotFound
from wichtel.tuning.plots.base import SCALE, Axis, escaped, finish, hovers, numbers, objective_of, plotly, scored, searched

if TYPE_CHECKING:
    from wichtel.tuning.results.result import StudyResult

_COLUMNS = 3


def slice_plot(result: StudyResult, parameters: Sequence[str] = (), metric: str | None = None) -> Any:
    """See `Plots.slice`."""
    go, subplots = plotly()
    objective = objective_of(result, metric)
    trials = scored(result)
    names = [name for name in searched(result, parameters) if any(name in t.config for t in trials)]
    if not names:
        raise NotFound("no trial has these parameters.", where=f"study {result.spec.name!r}")
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    gap = min(0.12, 0.6 / rows)
    figure = subplots.make_subplots(rows=rows, cols=columns, shared_yaxes=True, horizontal_spacing=0.03, vertical_spacing=gap)
    for i, name in enumerate(names):
        axis = Axis.of(result.spec.space, name)
        members = [t for t in trials if name in t.config]
        place = {"row": i // columns + 1, "col": i % columns + 1}
        marker = {
            "color": numbers([t.number for t in members]),
            "colorscale": SCALE,
            "size": 6,
            "opacity": 0.75,
            "cmin": trials[0].number,
            "cmax": trials[-1].number,
            "showscale": i == 0,
            "colorbar": {"title": {"text": "trial"}},
        }
        figure.add_trace(
            go.Scattergl(
                x=numbers([axis.place(t.config[name]) for t in members]),
                y=numbers([t.metrics[objective.metric] for t in members]),
                mode="markers",
                marker=marker,
                showlegend=False,
                **hovers(members, len(trials)),
            ),
            **place,
        )
        figure.update_xaxes(**axis.of_axis(), **place)
        if place["col"] == 1:
            figure.update_yaxes(title_text=escaped(objective.metric), **place)
    return finish(figure, f"Slices of {result.spec.name}", height=max(400, 320 * rows))
