"""What experiments found about each metric, to be searched by."""

from __future__ import annotations

import math
from typing import Any

from wichtel.domain import Estimate, ExperimentResult
from wichtel.store.repository import Repository
from wichtel.store.tables import metric_deltas


class MetricDeltas(Repository):
    """Numbers by experiment and metric."""

    def add(self, experiment_id: str, result: ExperimentResult) -> None:
        """Note what `result` says of each metric, unless that was noted before."""
        self.insert(metric_deltas, [{"experiment": experiment_id, **row} for row in numbers_of(result)])


def numbers_of(result: ExperimentResult) -> list[dict[str, Any]]:
    """Of each metric a row, without its experiment."""
    estimates = {finding.estimate.metric: finding.estimate for finding in result.verdict.findings}
    return [
        _row(metric, _of(result.baseline_metrics, metric), _of(result.candidate_metrics, metric), estimates.get(metric))
        for metric in sorted({*result.baseline_metrics, *result.candidate_metrics, *estimates})
        # What a database and a query cannot spell.
        if metric.isprintable()
    ]


def _of(metrics: dict[str, float], name: str) -> float:
    return metrics.get(name, math.nan)


def _row(metric: str, baseline: float, candidate: float, estimate: Estimate | None) -> dict[str, Any]:
    delta = candidate - baseline
    numbers = {
        "baseline": baseline,
        "candidate": candidate,
        "delta": delta,
        "relative": 0.0 if delta == 0 else delta / abs(baseline) if baseline else delta * math.inf,
        "low": math.nan,
        "high": math.nan,
    }
    if estimate is not None:
        # On the examples that decided, if these were others than the metrics are of.
        numbers = {name: getattr(estimate, name) for name in numbers}
    return {"metric": metric} | {name: None if math.isnan(value) else value for name, value in numbers.items()}
