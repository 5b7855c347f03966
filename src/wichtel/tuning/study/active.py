"""A trial on its way: what its evaluations have said so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wichtel.domain import Config, Run, RunState

#: Evaluations of a trial that was stopped are canceled for a reason that begins so: whoever reads their rows knows that it was stopped.
STOPPED = "its trial was stopped: "


@dataclass(slots=True, kw_only=True)
class Active:
    """A trial that was suggested and has not ended. Its evaluations are runs, numbered from 0."""

    number: int
    config: Config
    #: How many results the searcher knew when it suggested this; None for the user's own.
    known: int | None = None
    #: What the searcher asked to remember.
    memory: dict[str, Any] = field(default_factory=dict)
    budget: float | None = None
    parent: int | None = None
    origin: str = ""
    evaluations: int = 1
    #: Evaluations that were submitted and have not ended.
    running: set[int] = field(default_factory=set)
    #: Evaluation → its run, which has ended.
    ended: dict[int, Run] = field(default_factory=dict)
    #: No more of its evaluations are submitted: one of them did not succeed, or the study is over.
    given_up: bool = False
    #: Why the pruner stopped it.
    stopped: str = ""
    #: The means of the evaluations at the last step to which all have come; of metrics not reported there, at the one before.
    metrics: dict[str, float] = field(default_factory=dict)
    #: The values behind `metrics`.
    samples: dict[str, list[float]] = field(default_factory=dict)
    #: That step.
    step: int | None = None
    #: Evaluation → the latest value of each metric.
    latest: dict[int, dict[str, float]] = field(default_factory=dict)
    #: Step → evaluation → its metrics, for steps to which not all have come.
    _apart: dict[int, dict[int, Mapping[str, float]]] = field(default_factory=dict)

    def hear(self, evaluation: int, step: int, metrics: Mapping[str, float]) -> Mapping[str, float] | None:
        """Note a measurement.

        Returns:
            The means of all evaluations at this step, if the last of them has come to it with this.
        """
        self.latest.setdefault(evaluation, {}).update(metrics)
        if self.evaluations == 1:
            self.metrics.update(metrics)
            self.step = step
            return metrics
        if self.step is not None and step <= self.step:
            # A further attempt repeats what an earlier one reported.
            return None
        said = self._apart.setdefault(step, {})
        said[evaluation] = metrics
        if len(said) < self.evaluations:
            return None
        # A step below that some left out is never common.
        self._apart = {s: apart for s, apart in self._apart.items() if s > step}
        samples = samples_of(said[e] for e in sorted(said))
        means = means_of(samples)
        self.samples |= samples
        self.metrics |= means
        self.step = step
        return means

    @property
    def complete(self) -> bool:
        """Whether nothing more is heard of it."""
        return not self.running and (self.given_up or len(self.ended) == self.evaluations)

    @property
    def failing(self) -> bool:
        """Whether an evaluation ended other than with success, so that the others are of no use."""
        return any(run.state is not RunState.SUCCEEDED for run in self.ended.values())

    @property
    def fault(self) -> str:
        """Why its other evaluations are canceled, one of which did not succeed."""
        for evaluation, run in sorted(self.ended.items()):
            message = str((run.error or {}).get("message") or "")
            if run.state is RunState.STOPPED:
                return STOPPED + message
            if run.state is RunState.CANCELED:
                return message
            if run.state is RunState.FAILED:
                return f"evaluation {evaluation} of its trial failed"
        return ""

    @property
    def missing(self) -> list[int]:
        """The evaluations that were not submitted."""
        return [e for e in range(self.evaluations) if e not in self.running and e not in self.ended]


def samples_of(tables: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """The values of each metric that all `tables` have, in their order."""
    all_tables = list(tables)
    first = all_tables[0] if all_tables else {}
    return {name: [table[name] for table in all_tables] for name in first if all(name in table for table in all_tables)}


def means_of(samples: Mapping[str, list[float]]) -> dict[str, float]:
    """Their means; NaN and infinities go through."""
    return {name: sum(values) / len(values) for name, values in samples.items()}
