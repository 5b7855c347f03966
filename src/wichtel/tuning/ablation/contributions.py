"""What an ablation study found: what each component contributes, with its spread over seeds."""

from __future__ import annotations

import html
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from wichtel.domain import Expectation, RunState, Trial, UserError

if TYPE_CHECKING:
    import pandas as pd

    from wichtel.tuning.results.result import StudyResult

#: The one parameter of an ablation study, what it is for the training as it is, and what stands between two components of a pair.
PARAMETER = "without"
NOTHING = "nothing"
JOINED = " + "

#: Of the intervals.
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One training without something, compared with the training as it is, seed by seed."""

    #: Its kind and name, such as ``"feature age"``; for a pair two of these, joined by ``" + "``; ``"nothing"`` for the training as it is.
    component: str
    #: The labels of what is left out.
    without: tuple[str, ...]
    #: Of the metric over the seeds; None if it failed.
    mean: float | None
    #: Standard deviation; None with one seed.
    std: float | None
    #: How much better the metric is with the component than without it, on average: positive for a component that helps, whether larger
    #: or smaller is better.
    contribution: float | None = None
    #: Standard deviation of this difference over the seeds.
    spread: float | None = None
    #: Where its expectation lies with 95% confidence, if differences are normal (paired Student's t); None with one seed.
    interval: tuple[float, float] | None = None
    #: For a pair, by how much its contribution exceeds the sum of both.
    interaction: float | None = None
    #: Why it failed, in words; empty if it did not.
    reason: str = ""

    @property
    def certain(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


class AblationResult:
    """An ablation study; `rows` is what it found.

    Args:
        study: The study underneath, whose trials are the trainings.

    Raises:
        UserError: the training as it is failed.
    """

    def __init__(self, study: StudyResult) -> None:
        self.study = study
        self._objective = study.spec.objectives[0]
        self._by_label = {str(t.config[PARAMETER]): t for t in study.trials}
        baseline = self._by_label.get(NOTHING)
        if baseline is None or baseline.state is not RunState.SUCCEEDED:
            reason, _, trace = (baseline.reason if baseline else "it did not run").partition("\n")
            raise UserError(f"the training as it is failed: {reason}", where=f"study {study.spec.name!r}", hint=trace or None)
        self._baseline = baseline
        rows = [self._row(label, trial) for label, trial in self._by_label.items() if label != NOTHING]
        alone = {row.component: row.contribution for row in rows if len(row.without) == 1}
        rows = [_interacting(row, alone) for row in rows]
        rows.sort(key=lambda row: (row.contribution is None, -(row.contribution or 0.0)))
        values = self._values(baseline)
        #: The training as it is; then each without something, that which matters most first, and those that failed last.
        self.rows: list[Contribution] = [
            Contribution(component=NOTHING, without=(), mean=fmean(values), std=stdev(values) if len(values) > 1 else None),
            *rows,
        ]

    @property
    def metric(self) -> str:
        """What is compared."""
        return self._objective.metric

    @property
    def warnings(self) -> list[str]:
        """What to mind before it is believed, in words."""
        said: list[str] = []
        samples = [self._values(t) for t in self._by_label.values() if t.state is RunState.SUCCEEDED]
        if all(len(values) == 1 for values in samples):
            said.append("With one seed, nobody knows how much of a contribution is chance.")
        elif all(len(set(values)) == 1 for values in samples):
            said.append("All seeds gave the same: does the function use its seed? Then the spread is not that of chance.")
        compared = len(self.rows) - 1
        if compared > 10 and any(row.certain for row in self.rows):
            said.append(
                f"Of {compared} intervals with {CONFIDENCE:.0%} confidence, about {compared * (1 - CONFIDENCE):.1f} miss by chance."
            )
        failed = [row.component for row in self.rows if row.mean is None]
        if failed:
            said.append(f"{len(failed)} failed: {', '.join(failed)}.")
        return said

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each training: component, mean, std, contribution, spread, low, high, interaction, reason.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise UserError("a data frame needs pandas.", hint="Install pandas.") from error
        return pd.DataFrame(
            [
                {
                    "component": row.component,
                    self.metric: row.mean,
                    "std": row.std,
                    "contribution": row.contribution,
                    "spread": row.spread,
                    "low": row.interval[0] if row.interval else None,
                    "high": row.interval[1] if row.interval else None,
                    "interaction": row.interaction,
                    "reason": row.reason,
                }
                for row in self.rows
            ]
        ).set_index("component")

    def plot(self) -> Any:
        """Contributions with their intervals, as a figure of Plotly; with pairs, a map of them beside it.

        Raises:
            UserError: Plotly is not installed.
        """
        from wichtel.tuning.plots.ablation import draw

        return draw(self)

    def __repr__(self) -> str:
        width = max(len(row.component) for row in self.rows)
        lines = [f"<ablation study {self.study.spec.name!r}: {self.metric} over {self.study.spec.repeats} seeds"]
        lines += [f"  {row.component:{width}}  {'  '.join(cell for cell in self._cells(row) if cell)}" for row in self.rows]
        return "\n".join([*lines, *(f"  {warning}" for warning in self.warnings)]) + ">"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(c)}</th>" for c in ("without", self.metric, "contribution", f"{CONFIDENCE:.0%} interval", ""))
        rows = ["<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in (row.component, *self._cells(row))) + "</tr>" for row in self.rows]
        title = html.escape(f"Ablation study {self.study.spec.name}: {self.metric} over {self.study.spec.repeats} seeds")
        notes = "".join(f"<p>⚠ {html.escape(warning)}</p>" for warning in self.warnings)
        return f"<p>{title}</p>{notes}<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"

    def _cells(self, row: Contribution) -> tuple[str, str, str, str]:
        """The metric, the contribution, its interval and a word, as text."""
        if row.mean is None:
            return "failed", "", "", row.reason.partition("\n")[0]
        metric = f"{row.mean:.4g}" + (f" ± {row.std:.2g}" if row.std is not None else "")
        if row.contribution is None:
            return metric, "", "", ""
        interval = f"[{row.interval[0]:+.2g}, {row.interval[1]:+.2g}]" if row.interval else ""
        word = "" if row.interaction is None else f"interaction {round(row.interaction, 12):+.2g}"
        return metric, f"{row.contribution:+.4g}", interval, word

    def _values(self, trial: Trial) -> list[float]:
        """The metric for each seed."""
        return trial.samples.get(self.metric) or [trial.metrics[self.metric]]

    def _row(self, label: str, trial: Trial) -> Contribution:
        without = tuple(label.split(JOINED))
        if trial.state is not RunState.SUCCEEDED:
            return Contribution(component=label, without=without, mean=None, std=None, reason=trial.reason or str(trial.state).lower())
        values = self._values(trial)
        sign = 1.0 if self._objective.better is Expectation.LARGER else -1.0
        differences = [sign * (with_it - without_it) for with_it, without_it in zip(self._values(self._baseline), values, strict=True)]
        several = len(values) > 1
        return Contribution(
            component=label,
            without=without,
            mean=fmean(values),
            std=stdev(values) if several else None,
            contribution=fmean(differences),
            spread=stdev(differences) if several else None,
            interval=_interval(differences) if several else None,
        )


def _interacting(row: Contribution, alone: dict[str, float | None]) -> Contribution:
    from dataclasses import replace

    singles = [alone.get(label) for label in row.without]
    if len(row.without) != 2 or row.contribution is None:
        return row
    known = [value for value in singles if value is not None]
    return replace(row, interaction=row.contribution - sum(known)) if len(known) == 2 else row


def _interval(differences: list[float]) -> tuple[float, float]:
    """Student's: where the mean of what the differences are drawn from lies."""
    from scipy.special import stdtrit

    n = len(differences)
    reach = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * stdev(differences) / n**0.5
    return fmean(differences) - reach, fmean(differences) + reach
