"""Carry out a plan and take from it what it defines. Only ever called in a fresh process."""

from __future__ import annotations

import importlib
import random
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from wichtel.domain import Feature, Metadata, PlanError, Tunable, did_you_mean
from wichtel.domain.parameter import Value
from wichtel.plans.blame import users_code
from wichtel.plans.context import Mode, Session, UserMetric, using

#: The plan's module, which pickles of its classes and functions name.
MODULE = "plan"
LOADING = "loading the plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPlan:
    """A plan that was carried out, and what it defined."""

    folder: Path
    #: A compiled ``keras.Model``, or an object with ``fit`` and ``predict``.
    model: Any
    #: The global that holds it.
    model_name: str
    #: ``keras`` or ``sklearn``.
    trainer: str
    #: In the order of the columns.
    features: tuple[Feature, ...]
    metadata: Metadata
    #: Name → the plan's own metrics.
    metrics: Mapping[str, UserMetric]
    #: Those that were read; in mode TRACE, all that were discovered.
    tunables: tuple[Tunable, ...]
    #: What the tunables returned.
    values: dict[str, Value]
    warnings: tuple[str, ...] = ()


def load_plan(
    folder: Path,
    *,
    mode: Mode | str = Mode.DEFAULT,
    values: Mapping[str, Value] | None = None,
    known: tuple[Tunable, ...] | None = None,
    seed: int | None = None,
    discovery_seconds: float = 20.0,
) -> LoadedPlan:
    """Carry out ``plan.py`` in `folder`.

    Args:
        folder: The plan's files.
        mode: Whether tunables return their defaults or `values`, and whether all of them are to be discovered.
        values: Full name → value.
        known: The tunables that an analysis discovered: with them, values that nobody asks for need no discovery of their own.
        discovery_seconds: How long the plan is carried out again to discover tunables.
        seed: Of ``random`` and numpy, and through them of the weights of Keras, for a plan that sets none.

    Raises:
        PlanError: the plan fails, or lacks a model, features or metadata; or a value has no tunable.
    """
    # Here, since discovery loads plans.
    from wichtel.plans.discover import discover

    mode, values, folder = Mode(mode), dict(values or {}), folder.resolve()
    if mode is Mode.DEFAULT and values:
        raise PlanError("values were given, but the mode is 'default'.", hint="Use the mode 'set'.")
    if mode is Mode.SEARCH and not values:
        raise PlanError(
            "a search with shared weights is not available in this version.",
            hint="Give the values of one candidate, or search with a study of separate trials.",
        )
    if seed is not None:
        _seed(seed)
    session = Session(root=folder, mode=mode, values=values)
    module = execute(session)
    with users_code(folder, doing=LOADING):
        name, model = find_model(vars(module))
        trainer = _check_model(name, model, session)
    warnings: list[str] = []
    tunables = tuple(session.tunables.values())
    unread = session.unread()
    if mode is Mode.TRACE or (unread and known is None):
        found = discover(session, max_seconds=discovery_seconds)
        warnings += found.warnings
        tunables, known = found.tunables, found.tunables
    for missing, place in unread.items():
        names = [tunable.name for tunable in known or tunables]
        if missing not in names:
            raise PlanError(f"there is no tunable {missing!r}.", where=place, hint=did_you_mean(missing, names))
        warnings.append(f"{place}: the tunable {missing!r} is not active with the other values; its value has no effect.")
    assert session.metadata is not None
    return LoadedPlan(
        folder=folder,
        model=model,
        model_name=name,
        trainer=trainer,
        features=tuple(session.features.values()),
        metadata=replace(session.metadata, metrics=tuple(metric.metric for metric in session.metrics.values())),
        metrics=dict(session.metrics),
        tunables=tunables,
        values=dict(session.read),
        warnings=tuple(warnings),
    )


def execute(session: Session) -> types.ModuleType:
    """Carry out the plan anew, its own modules included, with `session` as the current one.

    Raises:
        PlanError: it fails, or two of its tunables disagree.
    """
    root = session.root
    for name, loaded in list(sys.modules.items()):
        file = getattr(loaded, "__file__", None)
        if file is not None and Path(file).is_relative_to(root):
            del sys.modules[name]
    keras = sys.modules.get("keras")
    if keras is not None:
        # So that a second execution names its layers as the first did.
        keras.utils.clear_session(free_memory=False)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    spec = spec_from_file_location(MODULE, root / "plan.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[MODULE] = module
    with using(session), users_code(root, doing=LOADING):
        spec.loader.exec_module(module)
    return module


def find_model(names: Mapping[str, Any]) -> tuple[str, Any]:
    """The model among the globals of a plan: ``model``, or the only one that can be one.

    Raises:
        PlanError: none, or several.
    """
    if "model" in names:
        if _is_model(names["model"]):
            return "model", names["model"]
        raise PlanError(
            f"its global 'model' is no model but a {type(names['model']).__name__}.",
            where="plan.py",
            hint="It must be a keras.Model or an object with fit and predict.",
        )
    found: dict[int, tuple[str, Any]] = {}
    for name, value in names.items():
        if not name.startswith("_") and _is_model(value):
            found.setdefault(id(value), (name, value))
    if not found:
        raise PlanError("defines no model.", where="plan.py", hint="Assign a keras.Model, or an object with fit and predict, to 'model'.")
    if len(found) > 1:
        several = ", ".join(sorted(name for name, _ in found.values()))
        raise PlanError(f"defines several models: {several}.", where="plan.py", hint="Name the one to be trained 'model'.")
    return next(iter(found.values()))


def _is_model(value: object) -> bool:
    if isinstance(value, type | types.ModuleType):
        return False
    return _is_keras(value) or (callable(getattr(value, "fit", None)) and callable(getattr(value, "predict", None)))


def _is_keras(value: object) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(value, keras.Model)


def _check_model(name: str, model: Any, session: Session) -> str:
    """Refuse a plan that could not be trained; the name of its trainer."""
    if not session.features:
        raise PlanError(
            "declares no features.",
            where="plan.py",
            hint='Add: plan.features([plan.Numeric("distance"), …]) with the columns of the dataset.',
        )
    if session.metadata is None:
        raise PlanError(
            "has no metadata.", where="plan.py", hint='Add: from wichtel import plan; plan.metadata(primary_metric="auc", better="larger")'
        )
    if not _is_keras(model):
        return "sklearn"
    if not model.compiled:
        raise PlanError(f"{name!r} is not compiled.", where="plan.py", hint=f'Add: {name}.compile("adam", "binary_crossentropy")')
    for tensor in getattr(model, "inputs", None) or ():
        if tensor.name not in session.features:
            raise PlanError(
                f"{name!r} has an input {tensor.name!r}, which is no feature.",
                where="plan.py",
                hint=did_you_mean(tensor.name, session.features) + " Take the inputs from plan.features.",
            )
    return "keras"


def _seed(seed: int) -> None:
    random.seed(seed)
    # Keras draws the seeds of its layers from `random`; scikit-learn draws from numpy.
    import numpy as np

    # The legacy generator is the one that libraries fall back on.
    np.random.seed(seed % 2**32)
