"""LightGBM: a report after each iteration."""

from __future__ import annotations

from typing import Any

from wichtel.tuning.function import Reporter


def lightgbm(report: Reporter) -> Any:
    """A callback for ``lightgbm.train(…, callbacks=[…])``, ``lightgbm.cv`` and the ``fit`` of its estimators.

    After iteration *n* it reports step *n* with each metric of each data set that LightGBM evaluates, as ``<data set>_<metric>``:
    ``valid_0_auc``, or ``test_auc`` with ``valid_names=["test"]``. `wichtel.Stopped` comes out of the training.

    Args:
        report: What the training function was given.
    """
    return _Report(report)


class _Report:
    def __init__(self, report: Reporter) -> None:
        self._report = report
        #: After LightGBM's own callbacks, so that what these write down has the last iteration, too.
        self.order = 100

    def __call__(self, state: Any) -> None:
        metrics = {f"{result[0]}_{result[1]}".replace(" ", "_"): float(result[2]) for result in state.evaluation_result_list or ()}
        if metrics:
            self._report(step=state.iteration, **metrics)
