"""Parallel coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wichtel.tuning.plots.base import SCALE, Axis, escaped, finish, foremost, objective_of, plotly, scored, searched

if TYPE_CHECKING:
    from wichtel.tuning.results.result import StudyResult

#: Lines beyond which they are thinned.
_LINES = 5000


def parallel(result: StudyResult, parameters: Sequence[str] = (), metric: str | None = None) -> Any:
    """See `Plots.parallel`."""
    go, _ = plotly()
    objective = objective_of(result, metric)
    every = scored(result)
    trials = foremost(result, every, _LINES)
    values = [t.metrics[objective.metric] for t in trials]
    dimensions = [
        _dimension(Axis.of(result.spec.space, name), [t.config.get(name) for t in trials], [name in t.config for t in trials])
        for name in searched(result, parameters)
    ]
    dimensions.append({"label": escaped(objective.metric), "values": values})
    # The best in the bright end, whichever way is better.
    line = {"color": values, "colorscale": SCALE, "showscale": True, "reversescale": objective.loss(1.0) > 0}
    note = f" ({len(trials)} of {len(every)} trials)" if len(trials) < len(every) else ""
    return finish(go.Figure(go.Parcoords(line=line, dimensions=dimensions)), f"Parameters of {result.spec.name}{note}", height=500)


def _dimension(axis: Axis, values: list[Any], active: list[bool]) -> dict[str, Any]:
    ticks = axis.ticks()
    if all(active):
        low, places = axis.low, [axis.place(v) for v in values]
    else:
        # A place of its own below all others for trials that do not have the parameter.
        low = axis.low - 0.15 * (axis.high - axis.low) if axis.options is None else axis.low - 1
        places = [axis.place(v) if there else low for v, there in zip(values, active, strict=True)]
        if ticks is None:
            numbers = [axis.low + k * (axis.high - axis.low) / 4 for k in range(5)]
            ticks = numbers, [f"{n:.4g}" for n in numbers]
        ticks = [low, *ticks[0]], ["–", *ticks[1]]
    given: dict[str, Any] = {"label": escaped(axis.name), "values": places, "range": [low, axis.high]}
    if ticks is not None:
        given |= {"tickvals": ticks[0], "ticktext": ticks[1]}
    return given
