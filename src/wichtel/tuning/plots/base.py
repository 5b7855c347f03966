"""What all pictures share: Plotly if it is there, colours, axes for every kind of parameter, and thinning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from wichtel.domain import Bool, Choice, Fixed, Float, InvalidInput, NotFound, Objective, Space, Trial, UserError, Value, did_you_mean
from wichtel.domain.parameter import same
from wichtel.tuning.results.ranking import losses_of

if TYPE_CHECKING:
    import numpy as np

    from wichtel.tuning.results.result import StudyResult

T = TypeVar("T")

#: By how a trial ended.
COLOURS = {
    "succeeded": "#3b7dd8",
    "stopped": "#e0932b",
    "failed": "#cc3b3b",
    "canceled": "#8a8a8a",
    "copied": "#35a7a7",
    "running": "#8a8a8a",
}
BEST = "#2a9d4b"
SCALE = "Viridis"

#: Trials beyond which hovering shows numbers only: configurations as text would make the picture many megabytes.
WORDY = 5000

_LONGEST = 300


def plotly() -> tuple[Any, Any]:
    """``plotly.graph_objects`` and ``plotly.subplots``.

    Raises:
        UserError: Plotly is not installed.
    """
    try:
        import plotly.graph_objects
        import plotly.subplots
    except ModuleNotFoundError as error:
        raise UserError("pictures need Plotly.", hint="pip install 'wichtel[plot]'") from error
    return plotly.graph_objects, plotly.subplots


def finish(figure: Any, title: str, **layout: Any) -> Any:
    """The look that all have."""
    figure.update_layout(template="plotly_white", title={"text": escaped(title)}, hoverlabel={"align": "left"}, **layout)
    return figure


def escaped(text: str) -> str:
    """`text` where Plotly would read tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def word_of(trial: Trial) -> str:
    """How it ended, as a key of `COLOURS`."""
    if trial.copied_from is not None:
        return "copied"
    return trial.state.lower() if trial.state.ended else "running"


def hover(trial: Trial) -> str:
    """What is said of a trial when the mouse is on it."""
    lines = [f"trial {trial.number}, {word_of(trial)}"]
    lines += [f"{name} = {text(value)}" for name, value in trial.metrics.items()]
    lines += [f"{name}: {text(value)}" for name, value in trial.config.items()]
    if trial.budget is not None:
        lines.append(f"budget: {trial.budget:g}")
    if trial.reason:
        lines.append(trial.reason.partition("\n")[0][:_LONGEST])
    return "<br>".join(map(escaped, lines))


def hovers(trials: Sequence[Trial], all_trials: int) -> dict[str, Any]:
    """The arguments of a trace that make it say `hover` of each point; only its number where there are too many."""
    if all_trials > WORDY:
        return {"customdata": numbers([t.number for t in trials]), "hovertemplate": "trial %{customdata}<extra></extra>"}
    return {"text": [hover(t) for t in trials], "hoverinfo": "text"}


def numbers(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Many values as an array: Plotly copies a list item by item, several times."""
    import numpy as np

    return np.asarray(values)


def text(value: Value) -> str:
    """A value in a picture."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def objective_of(result: StudyResult, metric: str | None) -> Objective:
    """The objective of that name, the first by default.

    Raises:
        InvalidInput: there is none.
    """
    known = {o.metric: o for o in result.spec.objectives}
    if metric is None:
        return result.spec.objectives[0]
    if metric not in known:
        raise InvalidInput(f"{metric!r} is no objective.", where=f"study {result.spec.name!r}", hint=did_you_mean(metric, known))
    return known[metric]


def scored(result: StudyResult) -> list[Trial]:
    """The trials with a result of their own, in the order of numbers.

    Raises:
        NotFound: there are none.
    """
    found = [t for t in result.trials if t.copied_from is None and losses_of(result.spec, t)]
    if not found:
        raise NotFound("no trial has a result to show.", where=f"study {result.spec.name!r}", hint=result.reason or None)
    return found


def searched(result: StudyResult, names: Sequence[str] = ()) -> list[str]:
    """The parameters of those names; by default all that vary.

    Raises:
        InvalidInput: there is none of that name.
    """
    space = result.spec.space
    for name in names:
        if name not in space:
            raise InvalidInput(f"there is no parameter {name!r}.", where=f"study {result.spec.name!r}", hint=did_you_mean(name, space))
    if names:
        return list(names)
    return [name for name, p in space.items() if not isinstance(p, Fixed)] or list(space)


def thin(items: Sequence[T], most: int) -> list[T]:
    """At most `most` of `items`, evenly, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def foremost(result: StudyResult, trials: Sequence[Trial], most: int) -> list[Trial]:
    """At most `most` of `trials`: a fifth of that for the best, the rest evenly."""
    if len(trials) <= most:
        return list(trials)
    best = {t.number for t in result.leaders(most // 5)}
    kept = [t for t in trials if t.number in best]
    return sorted([*kept, *thin([t for t in trials if t.number not in best], most - len(kept))], key=lambda t: t.number)


@dataclass(frozen=True, slots=True)
class Axis:
    """How a parameter's values are laid out along a line."""

    name: str
    log: bool
    #: The values of a parameter without an order; None for numbers.
    options: tuple[Value, ...] | None
    low: float
    high: float

    @classmethod
    def of(cls, space: Space, name: str) -> Axis:
        """The axis of a parameter."""
        parameter = space[name]
        if isinstance(parameter, Choice | Bool | Fixed):
            options = tuple(parameter.values(1))
            return cls(name, False, options, 0.0, float(max(1, len(options) - 1)))
        low, high = float(parameter.low), float(parameter.high)
        if parameter.log:
            low, high = math.log10(low), math.log10(high)
        return cls(name, parameter.log, None, low, high if high > low else low + 1)

    def place(self, value: Value) -> float:
        """Where `value` is: itself, its decimal logarithm, or its position among the options."""
        if self.options is not None:
            return float(next(i for i, option in enumerate(self.options) if same(option, value)))
        assert isinstance(value, int | float)
        return math.log10(value) if self.log else float(value)

    def ticks(self) -> tuple[list[float], list[str]] | None:
        """Positions and their words, where plain numbers would mislead."""
        if self.options is not None:
            return [float(i) for i in range(len(self.options))], [escaped(text(option)) for option in self.options]
        if not self.log:
            return None
        whole = [float(k) for k in range(math.ceil(self.low), math.floor(self.high) + 1)]
        places = sorted({self.low, *thin(whole, 8), self.high})
        return places, [f"{10**place:.3g}" for place in places]

    def of_axis(self) -> dict[str, Any]:
        """The settings of an axis of Plotly on which `place` is drawn."""
        ticks = self.ticks()
        given: dict[str, Any] = {"title": {"text": escaped(self.name)}}
        if ticks is not None:
            given |= {"tickmode": "array", "tickvals": ticks[0], "ticktext": ticks[1]}
        return given


def kind_of(space: Space, name: str) -> str:
    """``"float"``, ``"int"`` or ``"choice"``."""
    parameter = space[name]
    if isinstance(parameter, Choice | Bool | Fixed):
        return "choice"
    return "float" if isinstance(parameter, Float) else "int"
