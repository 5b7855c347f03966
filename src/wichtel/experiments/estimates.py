"""What is known of experiments: what they started from, and what they found about every metric, also without a constraint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wichtel.domain import Estimate, Experiment, ModelVersion, RunState
from wichtel.store import Transaction, codec


@dataclass(frozen=True, slots=True)
class Known:
    """An experiment with what is known of it."""

    experiment: Experiment
    target: ModelVersion
    candidate: ModelVersion | None
    estimates: Mapping[str, Estimate]

    @property
    def judged(self) -> bool:
        """Whether it came to a verdict."""
        return self.experiment.result is not None

    @property
    def metrics(self) -> dict[str, tuple[float, float]]:
        """Metric → baseline and candidate."""
        result = self.experiment.result
        if result is None:
            return {}
        plain = {n: (b, result.candidate_metrics[n]) for n, b in result.baseline_metrics.items() if n in result.candidate_metrics}
        return plain | {name: (e.baseline, e.candidate) for name, e in self.estimates.items()}


def known_of(tx: Transaction, experiments: Sequence[Experiment]) -> list[Known]:
    """All that is known of `experiments`, in their order."""
    estimates = estimates_of(tx, experiments)
    candidates = {e.id: e.result.candidate for e in experiments if e.result is not None}
    versions = tx.versions.many({*(e.target for e in experiments), *candidates.values()})
    return [
        Known(e, versions.get(e.target) or tx.versions.get(e.target), versions.get(candidates.get(e.id, "")), estimates.get(e.id, {}))
        for e in experiments
    ]


def estimates_of(tx: Transaction, experiments: Sequence[Experiment]) -> dict[str, dict[str, Estimate]]:
    """Experiment → metric → baseline, candidate and interval; of those that have a result.

    The verdict has them for the constrained metrics, the run that compared the models for all, as long as that run is kept.
    """
    judged = [e for e in experiments if e.result is not None]
    found: dict[str, dict[str, Estimate]] = {e.id: {} for e in judged}
    for run in tx.runs.many([f"{e.id}/compare" for e in judged]):
        if run.state is RunState.SUCCEEDED and isinstance(run.result, dict):
            estimates = {name: codec.from_plain(plain, Estimate) for name, plain in run.result.get("estimates", {}).items()}
            found[run.spec.id.removesuffix("/compare")] = estimates
    for e in judged:
        if e.result is not None:
            found[e.id] |= {f.estimate.metric: f.estimate for f in e.result.verdict.findings}
    return found
