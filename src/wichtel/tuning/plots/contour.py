"""Two parameters at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wichtel.domain import InvalidInput, NotFound, Trial
from wichtel.tuning.plots.base import SCALE, Axis, escaped, finish, foremost, hovers, numbers, objective_of, plotly, scored, searched
from wichtel.tuning.results.importance import importance

if TYPE_CHECKING:
    import numpy as np

    from wichtel.tuning.results.result import StudyResult

#: Points along a numeric axis, of the surface and of the cells that are used where an axis has no order.
_FINE = 60
_COARSE = 10
#: Trials beyond which the surface is laid through some of them only.
_POINTS = 3000


def contour(result: StudyResult, x: str | None = None, y: str | None = None, metric: str | None = None) -> Any:
    """See `Plots.contour`."""
    go, _ = plotly()
    objective = objective_of(result, metric)
    across, up = _pair(result, x, y, metric)
    trials = [t for t in scored(result) if across in t.config and up in t.config]
    if not trials:
        raise NotFound(f"no trial has both {across!r} and {up!r}.", where=f"study {result.spec.name!r}")
    horizontal, vertical = Axis.of(result.spec.space, across), Axis.of(result.spec.space, up)
    reverse = objective.loss(1.0) > 0
    look = {"colorscale": SCALE, "reversescale": reverse, "colorbar": {"title": {"text": escaped(objective.metric)}}, "hoverinfo": "skip"}
    figure = go.Figure()
    if horizontal.options is None and vertical.options is None and len(trials) >= 4:
        grid = _surface(horizontal, vertical, foremost(result, trials, _POINTS), objective.metric)
        if grid is not None:
            figure.add_trace(go.Contour(x=grid[0], y=grid[1], z=grid[2], contours_coloring="heatmap", line_width=0.5, **look))
    else:
        cells = _cells(horizontal, vertical, trials, objective.metric, min if reverse else max)
        figure.add_trace(go.Heatmap(x=cells[0], y=cells[1], z=cells[2], **look))
    figure.add_trace(
        go.Scattergl(
            x=numbers([horizontal.place(t.config[across]) for t in trials]),
            y=numbers([vertical.place(t.config[up]) for t in trials]),
            mode="markers",
            marker={"color": "black", "size": 5, "line": {"color": "white", "width": 1}},
            showlegend=False,
            **hovers(trials, len(trials)),
        )
    )
    figure.update_xaxes(**horizontal.of_axis())
    figure.update_yaxes(**vertical.of_axis())
    return finish(figure, f"{objective.metric} of {result.spec.name}", height=550)


def _pair(result: StudyResult, x: str | None, y: str | None, metric: str | None) -> tuple[str, str]:
    given = searched(result, [name for name in (x, y) if name is not None]) if x or y else []
    if len(given) == 2:
        return given[0], given[1]
    others = [name for name in importance(result, metric) if name not in given]
    if len(given) + len(others) < 2:
        raise InvalidInput("it takes two parameters.", where=f"study {result.spec.name!r}", hint="See plot.slice().")
    other = others[0]
    if x is not None:
        return x, other
    return (other, y) if y is not None else (other, others[1])


def _surface(across: Axis, up: Axis, trials: list[Trial], metric: str) -> tuple[Any, Any, np.ndarray[Any, Any]] | None:
    """Between the trials, linearly on each axis's own scale; None if they lie on a line."""
    import numpy as np
    from scipy.interpolate import griddata
    from scipy.spatial import QhullError

    points = np.array([(across.place(t.config[across.name]), up.place(t.config[up.name])) for t in trials])
    low, extent = np.array([across.low, up.low]), np.array([across.high - across.low, up.high - up.low])
    values = np.array([t.metrics[metric] for t in trials])
    xs, ys = np.linspace(across.low, across.high, _FINE), np.linspace(up.low, up.high, _FINE)
    grid = (np.stack(np.meshgrid(xs, ys), axis=-1) - low) / extent
    try:
        return xs, ys, griddata((points - low) / extent, values, grid, method="linear")
    except QhullError:
        return None


def _cells(
    across: Axis, up: Axis, trials: list[Trial], metric: str, better: Any
) -> tuple[list[float], list[float], list[list[float | None]]]:
    """The best of the trials in each cell."""
    centres = [[float(i) for i in range(len(a.options))] if a.options is not None else _centres(a) for a in (across, up)]
    found: dict[tuple[int, int], float] = {}
    for trial in trials:
        at = (_nearest(up, trial, len(centres[1])), _nearest(across, trial, len(centres[0])))
        value = trial.metrics[metric]
        found[at] = better(found.get(at, value), value)
    return centres[0], centres[1], [[found.get((i, j)) for j in range(len(centres[0]))] for i in range(len(centres[1]))]


def _centres(axis: Axis) -> list[float]:
    width = (axis.high - axis.low) / _COARSE
    return [axis.low + (k + 0.5) * width for k in range(_COARSE)]


def _nearest(axis: Axis, trial: Trial, cells: int) -> int:
    place = axis.place(trial.config[axis.name])
    if axis.options is not None:
        return int(place)
    return min(cells - 1, int((place - axis.low) / (axis.high - axis.low) * cells))
