"""What a plan says about its model: ``from wichtel import plan``.

    inputs = plan.features([plan.Categorical("carrier", buckets=32), plan.Numeric("distance", transform="log1p")])
    plan.metadata(primary_metric="auc", better="larger", main_tower="deep")

Run by hand, none of it changes anything; when the plan is loaded by Wichtel, it is recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wichtel.domain import Feature, Metadata, PlanError, did_you_mean
from wichtel.domain.metric import Expectation
from wichtel.plans.context import Session, UserMetric, current

__all__ = ["Categorical", "Numeric", "features", "metadata", "metric"]

_TRANSFORMS = ("log1p", "standardize")


def Categorical(name: str, *, buckets: int) -> Feature:  # noqa: N802 - reads as a kind of feature
    """A column of names or numbers, hashed into ``0 … buckets - 1``.

    Raises:
        PlanError: fewer than 2 buckets, or no name.
    """
    _check_feature_name(name)
    if not isinstance(buckets, int) or isinstance(buckets, bool) or buckets < 2:
        raise PlanError(f"feature {name!r}: buckets is a whole number of at least 2, not {buckets!r}.", where=_session().place())
    return Feature(name=name, kind="categorical", buckets=buckets)


def Numeric(name: str, *, transform: str | None = None) -> Feature:  # noqa: N802 - reads as a kind of feature
    """A column of numbers, as float32, after `transform`.

    Args:
        name: The column.
        transform: ``"log1p"`` (of the absolute value, with its sign), ``"standardize"`` (mean 0 and variance 1 in the training
            window), or None.

    Raises:
        PlanError: an unknown transform, or no name.
    """
    _check_feature_name(name)
    if transform is not None and transform not in _TRANSFORMS:
        raise PlanError(
            f"feature {name!r}: unknown transform {transform!r}.", where=_session().place(), hint=did_you_mean(str(transform), _TRANSFORMS)
        )
    return Feature(name=name, kind="numeric", transform=transform)


def features(declared: Sequence[Feature]) -> dict[str, Any]:
    """Declare the inputs of the model.

    Returns:
        Name → ``keras.Input`` of shape ``[batch]`` (int32 for a categorical, float32 for a numeric feature) if Keras is imported by then;
        else name → the feature, in the order in which the model will see the columns.

    Raises:
        PlanError: not features, or a name twice.
    """
    session = _session()
    for feature in declared:
        if not isinstance(feature, Feature):
            raise PlanError(f"{feature!r} is not a feature.", where=session.place(), hint="Use plan.Categorical or plan.Numeric.")
        if feature.name in session.features:
            raise PlanError(f"feature {feature.name!r} is declared twice.", where=session.place())
        session.features[feature.name] = feature
    keras = sys.modules.get("keras")
    if keras is None:
        return {feature.name: feature for feature in declared}
    return {f.name: keras.Input(shape=(), dtype="int32" if f.kind == "categorical" else "float32", name=f.name) for f in declared}


def metadata(*, primary_metric: str, better: str, **hints: Any) -> None:
    """Tell what the model is judged by, and anything that recipes look for.

    Args:
        primary_metric: Name of the metric that matters most, such as ``"auc"``.
        better: ``"larger"`` or ``"smaller"``.
        hints: Plain values under names of your choice, such as ``main_tower="deep"``.

    Raises:
        PlanError: called twice, an unknown direction, or a hint that is not plain.
    """
    session = _session()
    place = session.place()
    if session.metadata is not None:
        raise PlanError(f"plan.metadata was called before, at {session.metadata_place}.", where=place)
    if not isinstance(primary_metric, str) or not primary_metric:
        raise PlanError(f"primary_metric is a metric's name, not {primary_metric!r}.", where=place)
    for name, value in hints.items():
        if not _is_plain(value):
            raise PlanError(f"hint {name!r} is not a plain value: {value!r}.", where=place, hint="Use numbers, strings, lists and dicts.")
    session.metadata = Metadata(primary_metric=primary_metric, better=_direction(better, place), hints=hints)
    session.metadata_place = place


def metric(name: str, function: Callable[[Any, Any], float], *, better: str, help: str = "") -> None:  # noqa: A002 - as in argparse
    """Define a quality metric.

    Args:
        name: Its name, unique within the plan.
        function: Takes labels and scores, arrays of shape ``[examples]``, and returns a number.
        better: ``"larger"`` or ``"smaller"``.
        help: A sentence about it.

    Raises:
        PlanError: a name twice, an unknown direction, or something that cannot be called.
    """
    session = _session()
    place = session.place()
    if not isinstance(name, str) or not name:
        raise PlanError(f"{name!r} is not a metric's name.", where=place)
    if name in session.metrics:
        raise PlanError(f"metric {name!r} is defined twice.", where=place)
    if not callable(function):
        raise PlanError(f"metric {name!r}: {function!r} cannot be called.", where=place, hint="Give function(labels, scores) -> float.")
    session.metrics[name] = UserMetric(name=name, function=function, better=_direction(better, place), help=help)


def _session() -> Session:
    # Outside of a load, what is recorded is forgotten.
    return current() or Session(root=Path.cwd())


def _direction(better: str, place: str) -> Expectation:
    try:
        return Expectation(better)
    except ValueError:
        raise PlanError(f"better is 'larger' or 'smaller', not {better!r}.", where=place) from None


def _check_feature_name(name: str) -> None:
    if not isinstance(name, str) or not name:
        raise PlanError(f"{name!r} is not a feature's name.", where=_session().place(), hint="It is a column of the dataset.")


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(v) for v in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    return value is None or isinstance(value, str | int | float | bool)
