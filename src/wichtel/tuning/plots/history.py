"""How the search went."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from wichtel.domain import Objective, Trial
from wichtel.tuning.plots.base import BEST, COLOURS, escaped, finish, hovers, numbers, plotly, scored, word_of
from wichtel.tuning.results.ranking import tier_of, violation_of

if TYPE_CHECKING:
    from wichtel.tuning.results.result import StudyResult


def history(result: StudyResult) -> Any:
    """See `Plots.history`."""
    go, subplots = plotly()
    trials = scored(result)
    objectives = result.spec.objectives
    figure = subplots.make_subplots(rows=len(objectives), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    groups: dict[tuple[str, bool], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((word_of(trial), violation_of(result.spec, trial) > 0), []).append(trial)
    for row, objective in enumerate(objectives, start=1):
        for (word, broken), members in groups.items():
            figure.add_trace(
                go.Scattergl(
                    x=numbers([t.number for t in members]),
                    y=numbers([t.metrics[objective.metric] for t in members]),
                    mode="markers",
                    name=f"{word}, breaks a constraint" if broken else word,
                    legendgroup=f"{word} {broken}",
                    showlegend=row == 1,
                    marker={"color": COLOURS[word], "symbol": "x-open" if broken else "circle", "size": 6, "opacity": 0.75},
                    **hovers(members, len(trials)),
                ),
                row=row,
                col=1,
            )
        x, y = _best_so_far(result, trials, objective)
        line = {"color": BEST, "width": 2, "shape": "hv"}
        best = go.Scatter(x=x, y=y, mode="lines", name="best so far", legendgroup="best", showlegend=row == 1, line=line, hoverinfo="skip")
        figure.add_trace(best, row=row, col=1)
        figure.update_yaxes(title_text=escaped(objective.metric), row=row, col=1)
    figure.update_xaxes(title_text="trial", row=len(objectives), col=1)
    return finish(figure, f"History of {result.spec.name}", height=max(450, 300 * len(objectives)))


def _best_so_far(result: StudyResult, trials: list[Trial], objective: Objective) -> tuple[list[int], list[float]]:
    """Only where it changes, and at the end."""
    x: list[int] = []
    y: list[float] = []
    tier: tuple[float, float, bool] | None = None
    least = math.inf
    for trial in trials:
        value = trial.metrics[objective.metric]
        own = tier_of(result.spec, trial)
        loss = objective.loss(value)
        if tier is None or (own, loss) < (tier, least):
            tier, least = own, loss
            x.append(trial.number)
            y.append(value)
    x.append(trials[-1].number)
    y.append(y[-1])
    return x, y
