"""Pictures of studies, as figures of Plotly: one family a file, each a function of a `StudyResult`. To add one copy `history.py`.

All of them stay usable with 50,000 trials: points are drawn by WebGL, and what would be a thicket is thinned, which the title then says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wichtel.tuning.results.result import StudyResult

__all__ = ["Plots"]


class Plots:
    """The pictures of one study; what ``study.plot`` is. Each returns a ``plotly.graph_objects.Figure``.

    All raise `UserError` if Plotly is not installed, `NotFound` if no trial has what they show, and `InvalidInput` for a name that the
    study does not know.
    """

    def __init__(self, result: StudyResult) -> None:
        self._result = result

    def history(self) -> Any:
        """Each trial's objective by its number, with the best so far; one row for each objective."""
        from wichtel.tuning.plots.history import history

        return history(self._result)

    def curves(self, metric: str | None = None) -> Any:
        """What trials reported by step, with the reasons of those that were stopped; of the first objective by default."""
        from wichtel.tuning.plots.curves import curves

        return curves(self._result, metric)

    def parallel(self, parameters: Sequence[str] = (), metric: str | None = None) -> Any:
        """A line for each trial through its parameters to the objective; a parameter that it does not have is drawn at "–"."""
        from wichtel.tuning.plots.parallel import parallel

        return parallel(self._result, parameters, metric)

    def importance(self, metric: str | None = None) -> Any:
        """How much each parameter decides whether a trial is among the best tenth; see `wichtel.tuning.results.importance`."""
        from wichtel.tuning.plots.importance import importance_plot

        return importance_plot(self._result, metric)

    def slice(self, parameters: Sequence[str] = (), metric: str | None = None) -> Any:
        """The objective against each parameter, coloured by the trial's number."""
        from wichtel.tuning.plots.slice import slice_plot

        return slice_plot(self._result, parameters, metric)

    def contour(self, x: str | None = None, y: str | None = None, metric: str | None = None) -> Any:
        """The objective over two parameters; by default the two that matter most."""
        from wichtel.tuning.plots.contour import contour

        return contour(self._result, x, y, metric)

    def pareto(self, objectives: Sequence[str] = ()) -> Any:
        """Trials by two or three objectives, with the front."""
        from wichtel.tuning.plots.pareto import pareto

        return pareto(self._result, objectives)

    def timeline(self) -> Any:
        """When trials ran, side by side as they did, coloured by how they ended."""
        from wichtel.tuning.plots.timeline import timeline

        return timeline(self._result)

    def ablation(self) -> Any:
        """What each component contributes, if the study is an ablation study; see `wichtel.ablate`."""
        from wichtel.tuning.plots.ablation import ablation

        return ablation(self._result)
