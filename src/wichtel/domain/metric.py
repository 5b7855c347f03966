"""Metrics, measurements, and the difference between two models with its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Expectation(StrEnum):
    """Which way is better."""

    LARGER = "larger"
    SMALLER = "smaller"

    @property
    def sign(self) -> int:
        """``+1`` if larger is better, else ``-1``."""
        return 1 if self is Expectation.LARGER else -1


class MetricKind(StrEnum):
    """What a metric is about."""

    QUALITY = "quality"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number that a model is judged by."""

    name: str
    kind: MetricKind
    better: Expectation
    unit: str = ""
    help: str = ""
    #: Whether measuring it again gives the same value.
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a run reported at one step; steps of a run strictly increase."""

    run: str
    attempt: int
    step: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How a candidate's metric compares with the baseline's.

    ``low`` and ``high`` bound ``candidate - baseline``; ``relative_low`` and ``relative_high`` bound the same difference divided by
    ``|baseline|``. All four are at the two-sided `confidence`; for a metric without noise they equal the difference.
    """

    metric: str
    baseline: float
    candidate: float
    low: float
    high: float
    relative_low: float
    relative_high: float
    confidence: float
    #: How the interval came about, in words ("paired bootstrap over 28,618 examples, 1,000 resamples").
    method: str
    #: The examples both models were scored on; empty for metrics that are not about examples.
    window: str = ""
    replicates: int = 1

    @property
    def delta(self) -> float:
        """``candidate - baseline``."""
        return self.candidate - self.baseline

    @property
    def relative(self) -> float:
        """The difference divided by ``|baseline|``; 0 when both are 0, infinite when only the baseline is."""
        if self.delta == 0:
            return 0.0
        return self.delta / abs(self.baseline) if self.baseline else self.delta * math.inf
