"""What a worker runs for this room."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import msgspec

from wichtel.domain import Analysis, Feature, Metadata, Tunable
from wichtel.plans.child import Child
from wichtel.plans.context import Mode
from wichtel.plans.fresh import run_fresh
from wichtel.plans.job import read_job
from wichtel.plans.load import load_plan
from wichtel.plans.tree import SourceTree

#: Imported module → distribution; the versions of these tell whether a model was trained by the same software.
_DISTRIBUTIONS = {
    "wichtel": "wichtel",
    "numpy": "numpy",
    "keras": "keras",
    "keras_rs": "keras-rs",
    "jax": "jax",
    "torch": "torch",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "sklearn": "scikit-learn",
}


class EntryContext(Protocol):
    """What this room needs of a worker's run context."""

    #: The artifact store.
    artifacts: Any
    #: A folder of the run.
    scratch: Path


def analyse(payload: dict[str, Any], context: EntryContext) -> dict[str, Any]:
    """Load the plan of the tree ``payload["tree"]`` in a fresh process and tell what it is.

    Returns:
        An `Analysis` as plain JSON.

    Raises:
        PlanError: the plan or its job is wrong.
    """
    from wichtel.store.codec import to_plain

    tree = SourceTree.load(context.artifacts, payload["tree"])
    plain: dict[str, Any] = to_plain(analyse_tree(tree, scratch=context.scratch))
    return plain


def analyse_tree(tree: SourceTree, *, scratch: Path | None = None) -> Analysis:
    """As `analyse`, of a tree at hand."""
    job = read_job(tree)
    fresh = run_fresh(
        "wichtel.plans.entries:analyse_here",
        {"discovery_seconds": min(20.0, job.load_seconds / 2)},
        tree=tree,
        scratch=scratch,
        seconds=job.load_seconds,
        memory_bytes=job.resources.memory_bytes,
        cpus=job.resources.cpus,
    )
    found: dict[str, Any] = fresh.result
    return Analysis(
        trainer=found["trainer"],
        model_name=found["model_name"],
        features=msgspec.convert(found["features"], tuple[Feature, ...]),
        tunables=msgspec.convert(found["tunables"], tuple[Tunable, ...]),
        metadata=msgspec.convert(found["metadata"], Metadata),
        job=job,
        parameters=found["parameters"],
        warnings=tuple(found["warnings"]),
        versions=found["versions"],
    )


def analyse_here(payload: dict[str, Any], child: Child) -> dict[str, Any]:
    """The part of `analyse` that runs in the fresh process."""
    loaded = load_plan(child.folder, mode=Mode.TRACE, seed=0, discovery_seconds=payload["discovery_seconds"])
    parameters = None
    if loaded.trainer == "keras":
        parameters = sum(int(variable.value.size) for variable in loaded.model.trainable_variables) if loaded.model.built else None
    plain: dict[str, Any] = msgspec.to_builtins(
        {
            "trainer": loaded.trainer,
            "model_name": loaded.model_name,
            "features": loaded.features,
            "tunables": loaded.tunables,
            "metadata": loaded.metadata,
            "parameters": parameters,
            "warnings": loaded.warnings,
            "versions": versions(),
        }
    )
    return plain


def versions() -> dict[str, str]:
    """Distribution → version of what is imported now, and of Python."""
    found = {"python": platform.python_version()}
    for module, distribution in _DISTRIBUTIONS.items():
        if module in sys.modules:
            try:
                found[distribution] = version(distribution)
            except PackageNotFoundError:
                found[distribution] = str(getattr(sys.modules[module], "__version__", "unknown"))
    return found
