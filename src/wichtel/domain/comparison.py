"""Experiments side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wichtel.domain.intent import Constraint, Outcome
from wichtel.domain.metric import Expectation
from wichtel.domain.states import ExperimentState, ExperimentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A candidate's metric minus that of another experiment's candidate."""

    delta: float
    #: What bounds it at `confidence`, from the intervals of both against the baseline; None if they have not the same baseline.
    low: float | None = None
    high: float | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """What an experiment found about a metric."""

    baseline: float
    candidate: float
    #: ``candidate - baseline``.
    delta: float
    #: What bounds the delta at `confidence`; None if it was measured without an interval.
    low: float | None = None
    high: float | None = None
    #: The delta divided by ``|baseline|``, with its bounds.
    relative: float
    relative_low: float | None = None
    relative_high: float | None = None
    confidence: float | None = None
    #: Whether the experiment's constraint on it holds; None without one.
    outcome: Outcome | None = None
    #: Compared with the experiment that all are compared with, if there is one that knows this metric.
    to_reference: Difference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedExperiment:
    """An experiment among others."""

    id: str
    state: ExperimentState
    status: ExperimentStatus | None
    cause: str
    owner: str
    created: datetime
    #: Version of the proposed model; empty if there is none.
    candidate: str = ""
    #: Of its settings those that are not the same in all.
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, ComparedMetric] = field(default_factory=dict)
    #: Whether no other candidate is better in one objective and nowhere worse; None if it has no candidate or they cannot be compared.
    efficient: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricColumn:
    """A metric that experiments are compared by."""

    name: str
    better: Expectation
    unit: str = ""
    #: The constraint on it in words, if all that have one have this one.
    constraint: str = ""
    #: The same as a value.
    bound: Constraint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Experiments side by side."""

    #: Settings that all have: ``model``, ``target``, ``protocol``, the protocol's parameters by name, ``config.seed``, ``job.dataset``, ….
    common: dict[str, Any]
    #: The objectives first.
    metrics: tuple[MetricColumn, ...]
    experiments: tuple[ComparedExperiment, ...]
    #: The metrics that say which experiments are efficient.
    objectives: tuple[str, ...]
    #: The experiment that all are compared with, beside their baselines; empty if none.
    reference: str = ""
    #: How many experiments these were chosen from: all that have a verdict, of the same protocols on the same versions.
    judged: int = 0
    #: Why the numbers should not be trusted as they are.
    warnings: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """One flat row for each experiment: its settings that differ; for each metric the candidate's value under the metric's name, and
        ``.baseline``, ``.delta``, ``.low``, ``.high``, ``.relative``, ``.outcome``, ``.to_reference`` after it.
        """
        return [
            {
                "experiment": e.id,
                "status": str(e.status or e.state),
                "efficient": e.efficient,
                **e.parameters,
                **{key: value for column in self.metrics for key, value in _cells(column.name, e.metrics.get(column.name)).items()},
                "candidate": e.candidate,
                "owner": e.owner,
                "created": e.created,
            }
            for e in self.experiments
        ]


def _cells(name: str, m: ComparedMetric | None) -> dict[str, Any]:
    if m is None:
        return {}
    return {
        name: m.candidate,
        f"{name}.baseline": m.baseline,
        f"{name}.delta": m.delta,
        f"{name}.low": m.low,
        f"{name}.high": m.high,
        f"{name}.relative": m.relative,
        f"{name}.outcome": None if m.outcome is None else str(m.outcome),
        f"{name}.to_reference": None if m.to_reference is None else m.to_reference.delta,
    }
