"""What was found about every metric of experiments, also about those that no constraint is on."""

from __future__ import annotations

from collections.abc import Sequence

from wichtel.domain import Estimate, Experiment, RunState
from wichtel.store import Transaction, codec


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
