"""XGBoost: a report after each round."""

from __future__ import annotations

from typing import Any

from wichtel.tuning.callbacks.library import library
from wichtel.tuning.function import Reporter


def xgboost(report: Reporter) -> Any:
    """A callback for ``xgboost.train(…, evals=[…], callbacks=[…])``, ``xgboost.cv`` and its estimators (``XGBClassifier(callbacks=[…])``).

    After round *n* it reports step *n* with each metric of each data set that XGBoost evaluates, as ``<data set>_<metric>``:
    ``validation_0_logloss``, or ``test_logloss`` with ``evals=[(d, "test")]``. `wichtel.Stopped` comes out of the training.

    Args:
        report: What the training function was given.

    Returns:
        An ``xgboost.callback.TrainingCallback``.

    Raises:
        InvalidInput: XGBoost is not installed.
    """
    base: Any = library("xgboost").callback.TrainingCallback

    class Report(base):  # type: ignore[misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, dict[str, list[Any]]]) -> bool:
            metrics = {f"{data}_{metric}": _mean(values[-1]) for data, table in evals_log.items() for metric, values in table.items()}
            if metrics:
                report(step=epoch, **metrics)
            return False

    return Report()


def _mean(value: Any) -> float:
    """Of a cross-validation, XGBoost gives mean and standard deviation."""
    return float(value[0] if isinstance(value, tuple) else value)
