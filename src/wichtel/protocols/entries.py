"""What the workers run for protocols: a trial of a search, and the comparison of a candidate with its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wichtel.domain import Analysis, Estimate, Intent, MetricKind, UserError, seed_of
from wichtel.fleet import RunContext
from wichtel.protocols.compare import compare_quality, compare_resource, mean_metrics, same_examples
from wichtel.protocols.objective import objective
from wichtel.protocols.registry import get_protocol
from wichtel.protocols.tuning import Tuning
from wichtel.store import codec

if TYPE_CHECKING:
    from wichtel.plans import Child
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
    from wichtel.training import METRICS, metric_catalogue

    analysis = codec.from_plain(payload["analysis"], Analysis)
    window = payload["window"]
    sides = (payload["baselines"], payload["candidates"])
    quality, resources = ([mean_metrics(side, key) for side in sides] for key in (_key(window), "metrics"))
    files = [[_fetch(context, r["predictions"][window]) for r in side] for side in sides]
    predictions = [[_Predictions(file) for file in side] for side in files]
    same_examples([p.rows for side in predictions for p in side], window=window)
    estimates: dict[str, Estimate] = {}
    own = []
    for metric in metric_catalogue(analysis):
        name = metric.name
        common = _common(payload, context.seed, name)
        if metric.kind is MetricKind.RESOURCE:
            if all(name in side for side in resources):
                repeated = [[r["samples"].get(name) or [r["metrics"][name]] for r in side] for side in sides]
                estimates[name] = compare_resource(name, repeated[0], repeated[1], exact=metric.exact, **common)
        elif not all(name in side for side in quality):
            continue
        elif name in METRICS and metric not in analysis.metadata.metrics:
            scores = [[p.scorer(name) for p in side] for side in predictions]
            estimates[name] = compare_quality(name, scores[0], scores[1], examples=len(predictions[0][0].rows), window=window, **common)
        else:
            own.append(name)
        context.check()
    if own:
        estimates |= _compare_own(own, files, payload, analysis, context)
    return {
        "estimates": {name: codec.to_plain(e) for name, e in estimates.items()},
        "baseline": {name: e.baseline for name, e in estimates.items()},
        "candidate": {name: e.candidate for name, e in estimates.items()},
    }


def compare_own_here(payload: Mapping[str, Any], child: Child) -> dict[str, Any]:
    """The part of `compare` that calls the plan's own metrics, in a fresh process."""
    from wichtel.plans import load_plan, users_code

    plan = load_plan(child.folder)
    child.phase("comparing the models", seconds=payload["seconds"], limit="limits.train_seconds")
    predictions = [[_Predictions(Path(file)) for file in side] for side in payload["files"]]
    estimates = {}
    for name, common in payload["metrics"].items():
        with users_code(child.folder, doing=f"computing the metric {name!r}"):
            scores = [[p.own(plan.metrics[name].function) for p in side] for side in predictions]
            estimate = compare_quality(name, scores[0], scores[1], examples=len(predictions[0][0].rows), window=payload["window"], **common)
        estimates[name] = codec.to_plain(estimate)
    return estimates


def _compare_own(
    names: list[str], files: list[list[Path]], payload: Mapping[str, Any], analysis: Analysis, context: RunContext
) -> dict[str, Estimate]:
    from wichtel.plans import SourceTree, run_fresh

    fresh = run_fresh(
        "wichtel.protocols.entries:compare_own_here",
        {
            "files": [[str(file) for file in side] for side in files],
            "metrics": {name: _common(payload, context.seed, name) for name in names},
            "window": payload["window"],
            "seconds": analysis.job.train_seconds,
        },
        tree=SourceTree.load(context.artifacts, payload["tree"]),
        scratch=context.scratch,
        seconds=analysis.job.load_seconds,
        memory_bytes=analysis.job.resources.memory_bytes,
    )
    return {name: codec.from_plain(plain, Estimate) for name, plain in fresh.result.items()}


def _key(window: str) -> str:
    """Where a training's result keeps the quality metrics of a window."""
    return "metrics" if window == "evaluation" else window


def _common(payload: Mapping[str, Any], seed: int, metric: str) -> dict[str, Any]:
    constrained = metric in payload["confidence"]
    return {
        "confidence": payload["confidence"].get(metric, CONFIDENCE),
        # What no verdict depends on is for information, and need not be exact in the third digit.
        "resamples": payload["resamples"] if constrained else max(100, payload["resamples"] // 5),
        "seed": seed_of(seed, metric),
    }


def _fetch(context: RunContext, digest: str) -> Path:
    path = context.scratch / f"{digest}.npz"
    if not path.exists():
        context.artifacts.fetch(digest, path)
    return path


class _Predictions:
    """The predictions of one model on one window."""

    def __init__(self, file: Path) -> None:
        import numpy as np

        with np.load(file, allow_pickle=False) as stored:
            self.rows: Array = stored["row"]
            self.labels: Array = stored["label"]
            self.scores: Array = stored["score"]

    def scorer(self, metric: str) -> Score:
        """A metric that is known here."""
        from wichtel.training import Scorer

        return Scorer(metric, self.labels, self.scores).value

    def own(self, function: Any) -> Score:
        """A metric of the plan."""
        from wichtel.training import FunctionScorer

        return FunctionScorer(function, self.labels, self.scores).value
