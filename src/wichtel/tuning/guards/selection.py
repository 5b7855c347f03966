"""The winner's curse: the best of many noisy values is better than the configuration that has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, median
from typing import Protocol

from wichtel.domain import Objective, RunState, StudySpec

#: From so many trials on, an unconfirmed winner is worth a warning even if the noise is not known.
_MANY = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The winner, evaluated anew with seeds that the search did not use, on held-out data if the function asks for ``holdout``."""

    #: The trial's number.
    trial: int
    metric: str
    #: What the search had seen.
    searched: float
    #: One value for each fresh evaluation that succeeded.
    values: tuple[float, ...]
    #: Why others failed.
    failures: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """Of `values`; NaN if there are none."""
        return fmean(self.values) if self.values else math.nan

    @property
    def standard_error(self) -> float:
        """Of `mean`; NaN with fewer than two values."""
        n = len(self.values)
        if n < 2:
            return math.nan
        mean = self.mean
        return math.sqrt(sum((v - mean) ** 2 for v in self.values) / (n - 1) / n)

    def __str__(self) -> str:
        if not self.values:
            return f"trial {self.trial} could not be confirmed: {self.failures[-1] if self.failures else 'no value'}"
        spread = f" ± {self.standard_error:.2g}" if len(self.values) > 1 else ""
        fresh = f"{self.metric} {self.mean:.6g}{spread} with {len(self.values)} fresh seeds"
        return f"trial {self.trial} has {fresh}; the search saw {self.searched:.6g}"


class Evaluated(Protocol):
    """What the luck of the best among trials depends on."""

    @property
    def state(self) -> RunState:
        """How it stands."""
        ...

    @property
    def copied_from(self) -> int | None:
        """The trial that has this one's result, if it is not its own."""
        ...

    @property
    def metrics(self) -> Mapping[str, float]:
        """What it reached."""
        ...

    @property
    def samples(self) -> Mapping[str, Sequence[float]]:
        """Each evaluation's value, if there were several."""
        ...


def expected_best(n: int) -> float:
    """The mean of the largest of `n` standard normal numbers (Blom's approximation).

    >>> round(expected_best(100), 1)
    2.5
    """
    return NormalDist().inv_cdf((n - 0.375) / (n + 0.25)) if n > 1 else 0.0


def noise(trials: Sequence[Evaluated], metric: str) -> float | None:
    """The standard deviation of one trial's mean of `metric` over evaluations, pooled over all trials; None with one evaluation each."""
    squares, free, sizes = 0.0, 0, []
    for trial in trials:
        values = [v for v in trial.samples.get(metric, []) if math.isfinite(v)]
        if len(values) > 1:
            mean = fmean(values)
            squares += sum((v - mean) ** 2 for v in values)
            free += len(values) - 1
            sizes.append(len(values))
    return math.sqrt(squares / free / fmean(sizes)) if free else None


def selection_warnings(
    spec: StudySpec, trials: Sequence[Evaluated], best: Evaluated | None, confirmation: Confirmation | None
) -> list[str]:
    """What somebody who is about to believe the winner should know, one sentence each."""
    if best is None or len(spec.objectives) != 1:
        return []
    objective = spec.objectives[0]
    if confirmation is not None:
        return _after(objective, confirmation)
    metric = objective.metric
    scored = [t for t in trials if t.state is RunState.SUCCEEDED and t.copied_from is None and metric in t.metrics]
    n = len(scored)
    spread = noise(scored, metric)
    if spread is None:
        if n < _MANY:
            return []
        return [
            f"The best of {n} values on the same validation data flatters the configuration that has it, and nobody knows by how much"
            " without a second look at data that the search did not see: give wt.tune confirm=3, and let the function ask for `holdout`."
        ]
    optimism = spread * expected_best(n)
    lead = abs(median(t.metrics[metric] for t in scored) - best.metrics[metric])
    if n < 10 or lead > 2 * optimism:
        return []
    return [
        f"The best of {n} trials leads the median by {lead:.3g} in {metric}, and chance alone would give {optimism:.3g} (a trial's noise is"
        f" {spread:.2g}): take a second look (with wt.tune, confirm=3), or more repeats, or fewer trials."
    ]


def _after(objective: Objective, confirmation: Confirmation) -> list[str]:
    warnings = [f"A fresh evaluation of the winner failed: {failure}" for failure in confirmation.failures[:1]]
    if not confirmation.values:
        return warnings
    worse = objective.loss(confirmation.mean) - objective.loss(confirmation.searched)
    error = confirmation.standard_error
    if worse > 0 and (math.isnan(error) or worse > 2 * error):
        warnings.append(
            f"The search was optimistic: {confirmation}. Believe the {'mean' if len(confirmation.values) > 1 else 'second'}, not the best."
        )
    return warnings
