"""What the workers run for protocols: a trial of a search, and the comparison of a candidate with its baseline."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wichtel.domain import Analysis, Estimate, Intent, MetricKind, UserError
from wichtel.fleet import RunContext
from wichtel.protocols.compare import compare_quality, compare_resource, mean_metrics, same_examples
from wichtel.protocols.objective import objective
from wichtel.protocols.registry import get_protocol
from wichtel.protocols.submission import seed_of
from wichtel.protocols.tuning import Tuning
from wichtel.store import codec

if TYPE_CHECKING:
    from wichtel.protocols.compare import Array, Score

#: At what confidence metrics are compared that no constraint names one for.
CONFIDENCE = 0.95


def trial(payload: Mapping[str, Any], context: RunContext) -> dict[str, float]:
    """Train one configuration, score it on the evaluation window, and leave nothing behind but its metrics.

    The values are set in the plan's process rather than written into its source: the same effect, without a source tree per trial. The
    winner gets the edit.

    Returns:
        The model's metrics and ``objective``, larger is better.
    """
    from wichtel.training.entries import train

    protocol = get_protocol(payload["protocol"])
    if not isinstance(protocol, Tuning):
        raise UserError(f"{protocol.name} does not search.", where=f"run {context.run_id}")
    result = train(
        {
            "tree": payload["tree"],
            "dataset": payload["dataset"],
            "settings": protocol.settings(payload["config"]),
            "windows": ["evaluation"],
            "keep": False,
        },
        context,
    )
    metrics: dict[str, float] = result["metrics"]
    intent = codec.from_plain(payload["intent"], Intent)
    return {**metrics, "objective": objective(intent, payload["baseline"], metrics)}


def compare(payload: Mapping[str, Any], context: RunContext) -> dict[str, Any]:
    """Compare candidate and baseline on all metrics that both report.

    Returns:
        ``estimates``: metric → `Estimate`; ``baseline`` and ``candidate``: metric → value on the window, averaged over replicates.
    """
    from wichtel.training import metric_catalogue

    analysis = codec.from_plain(payload["analysis"], Analysis)
    window = payload["window"]
    baselines, candidates = payload["baselines"], payload["candidates"]
    key = "metrics" if window == "evaluation" else "holdout"
    values = [mean_metrics(results, key) for results in (baselines, candidates)]
    resources = [mean_metrics(results, "metrics") for results in (baselines, candidates)]
    before = [_Predictions(context, r["predictions"][window]) for r in baselines]
    after = [_Predictions(context, r["predictions"][window]) for r in candidates]
    same_examples([p.rows for p in (*before, *after)], window=window)
    estimates: dict[str, Estimate] = {}
    for metric in metric_catalogue(analysis):
        name = metric.name
        constrained = name in payload["confidence"]
        common: dict[str, Any] = {
            "confidence": payload["confidence"].get(name, CONFIDENCE),
            # What no verdict depends on is for information, and need not be exact in the third digit.
            "resamples": payload["resamples"] if constrained else max(100, payload["resamples"] // 5),
            "seed": seed_of(context.seed, name),
        }
        if metric.kind is MetricKind.QUALITY:
            if name in values[0] and name in values[1]:
                scores = [[p.score(name, analysis, payload["tree"], context) for p in side] for side in (before, after)]
                estimates[name] = compare_quality(name, *scores, examples=len(before[0].rows), window=window, **common)
        elif name in resources[0] and name in resources[1]:
            repeated = [[r["samples"].get(name) or [r["metrics"][name]] for r in side] for side in (baselines, candidates)]
            estimates[name] = compare_resource(name, *repeated, **common)
        context.check()
    return {
        "estimates": {name: codec.to_plain(e) for name, e in estimates.items()},
        "baseline": {name: e.baseline for name, e in estimates.items()},
        "candidate": {name: e.candidate for name, e in estimates.items()},
    }


class _Predictions:
    """The predictions of one model on one window."""

    def __init__(self, context: RunContext, digest: str) -> None:
        import numpy as np

        with np.load(io.BytesIO(context.artifacts.get(digest)), allow_pickle=False) as stored:
            self.rows: Array = stored["row"]
            self.labels: Array = stored["label"]
            self.scores: Array = stored["score"]

    def score(self, metric: str, analysis: Analysis, tree: str, context: RunContext) -> Score:
        from wichtel.training import Scorer

        return Scorer(metric, self.labels, self.scores).value
