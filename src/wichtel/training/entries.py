"""What a worker runs for this room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wichtel.domain import InvalidInput

if TYPE_CHECKING:
    from wichtel.fleet import RunContext

WINDOWS = ("evaluation", "holdout")


def train(payload: dict[str, Any], context: RunContext) -> dict[str, Any]:
    """Train a plan on a dataset and score it, in a fresh process.

    Args:
        payload: ``tree``: digest of the source tree. ``dataset``: a `Dataset` as plain JSON. ``settings``: tunable → value, if not the
            defaults. ``windows``: those to score, ``evaluation`` and maybe ``holdout``; the holdout window is not even read otherwise.
            ``keep``: whether to keep weights and predictions.
        context: The run's; its seed is the training's.

    Returns:
        ``metrics``: name → value, quality on the evaluation window and resources. ``holdout``: quality on that window, or None.
        ``samples``: resource metric → repeated measurements, whose median is the metric. ``predictions``: window → digest of an ``.npz``
        with ``row`` (int64, position in the dataset), ``label`` and ``score`` (float32); empty unless kept. ``model``: digest of the saved
        model, or None. ``encoding``: feature → mean and standard deviation it was standardized with. ``versions``: package → version.
        ``examples``: learnt from. ``warnings``: of loading the plan.

    Raises:
        PlanError: the plan cannot be loaded or trained within its limits, or does not report its primary metric.
        InvalidInput: its features, label or windows do not fit the dataset.
        Stopped: the run's owner wants no more of it.
    """
    from wichtel.plans import SourceTree, read_job, run_fresh

    windows = list(payload.get("windows", ["evaluation"]))
    if not windows or any(w not in WINDOWS for w in windows):
        raise InvalidInput(f"windows are among {', '.join(WINDOWS)}, not {windows!r}.", where="training")
    tree = SourceTree.load(context.artifacts, payload["tree"])
    job = read_job(tree)
    if "holdout" in windows and job.holdout is None:
        raise InvalidInput("there is no holdout window.", where="job.toml: [windows]", hint="Add one, after the evaluation window.")
    data, out = context.scratch / "data.parquet", context.scratch / "out"
    out.mkdir(parents=True, exist_ok=True)
    context.artifacts.fetch(payload["dataset"]["digest"], data)

    def on_report(step: int, metrics: dict[str, float]) -> None:
        # Step 0 says that the process is alive: libraries that fit in one call give no other chance to stop.
        if step:
            context.report(step, **metrics)
        else:
            context.check()

    fresh = run_fresh(
        "wichtel.training.child:train_here",
        {
            "data": str(data),
            "time_column": payload["dataset"]["time_column"],
            "settings": payload.get("settings"),
            "windows": windows,
            "keep": bool(payload.get("keep", False)),
            "seed": context.seed,
            "checkpoints": str(context.checkpoint_path),
            "out": str(out),
        },
        tree=tree,
        scratch=context.scratch,
        seconds=job.load_seconds,
        memory_bytes=job.resources.memory_bytes,
        cpus=job.resources.cpus,
        on_report=on_report,
    )
    result: dict[str, Any] = fresh.result
    result["predictions"] = {window: context.artifacts.put(out / name) for window, name in result["predictions"].items()}
    result["model"] = context.artifacts.put(out / result["model"]) if result["model"] else None
    return result
