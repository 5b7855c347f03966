"""scikit-learn, whose estimators know no callbacks: fit them in steps, and report after each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from wichtel.domain import InvalidInput
from wichtel.tuning.callbacks.library import library
from wichtel.tuning.function import Reporter

Estimator = TypeVar("Estimator")


def fit_in_steps(
    estimator: Estimator,
    features: Any,
    target: Any,
    report: Reporter,
    score: Callable[[Estimator], float | Mapping[str, float]],
    *,
    steps: int = 10,
) -> Estimator:
    """Fit an estimator of scikit-learn in `steps`; after each, report what `score` says of it.

    An ensemble that can start warm (``n_estimators``; ``max_iter`` of histogram gradient boosting) grows to its full size in equal parts.
    Any other that has ``partial_fit`` goes over all rows once a step.

    Args:
        estimator: Fitted in place. Of an ensemble, ``warm_start`` is set.
        features: As for its ``fit``; shape ``(rows, columns)``.
        target: Likewise; shape ``(rows,)``.
        report: What the training function was given.
        score: Judges the estimator as it is, best on rows that it is not fitted to: a number, which is reported as ``score``, or a dict
            of metrics.
        steps: How many reports there are; fewer if the ensemble is smaller.

    Returns:
        The estimator.

    Raises:
        InvalidInput: it can only be fitted at once.
        Stopped: the trial is not worth going on with.

    Example:
        >>> import wichtel as wt
        >>> from sklearn.ensemble import RandomForestClassifier
        >>> def train(depth, report):
        ...     forest = RandomForestClassifier(100, max_depth=depth)
        ...     wt.callbacks.fit_in_steps(forest, X, y, report, lambda f: f.score(X_test, y_test))
    """
    if steps < 1:
        raise InvalidInput(f"{steps} steps are no fit.", where="fit_in_steps")
    made: Any = estimator
    base = library("sklearn.base")
    grown = _size_of(made)
    full = getattr(made, grown) if grown else 0
    if grown:
        made.set_params(warm_start=True)
    elif not hasattr(made, "partial_fit"):
        raise InvalidInput(
            f"{type(made).__name__} can only be fitted at once.",
            where="fit_in_steps",
            hint="It takes ensembles with warm_start, and what has partial_fit. Report once, after fit.",
        )
    classes = {"classes": library("numpy").unique(target)} if base.is_classifier(made) else {}
    sizes = sorted({-(-full * (n + 1) // steps) for n in range(steps)}) if grown else list(range(steps))
    for step, size in enumerate(sizes):
        if grown:
            made.set_params(**{grown: size}).fit(features, target)
        elif step == 0:
            made.partial_fit(features, target, **classes)
        else:
            made.partial_fit(features, target)
        scored = score(estimator)
        report(step=step, **({k: float(v) for k, v in scored.items()} if isinstance(scored, Mapping) else {"score": float(scored)}))
    return estimator


def _size_of(estimator: Any) -> str | None:
    """The parameter that says how large an ensemble grows, if it can start warm."""
    parameters = estimator.get_params(deep=False)
    if "warm_start" not in parameters:
        return None
    if "n_estimators" in parameters:
        return "n_estimators"
    return "max_iter" if type(estimator).__name__.startswith("HistGradientBoosting") else None
