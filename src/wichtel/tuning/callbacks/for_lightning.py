"""PyTorch Lightning: a report after each epoch."""

from __future__ import annotations

from typing import Any

from wichtel.fleet.ports import Stopped
from wichtel.tuning.callbacks.library import library
from wichtel.tuning.function import Reporter


def lightning(report: Reporter) -> Any:
    """A callback for ``Trainer(callbacks=[wt.callbacks.lightning(report)])``.

    After epoch *n*, with its validation, it reports step *n* with all that the module logged: ``trainer.callback_metrics``. Is the trial
    stopped, the trainer stops as after early stopping, and ``fit`` raises `wichtel.Stopped`. Of several processes, the first one reports.
    To go on after an interruption, use a ``ModelCheckpoint`` in the function's ``checkpoint_path``.

    Args:
        report: What the training function was given.

    Returns:
        A ``lightning.pytorch.callbacks.Callback`` (or ``pytorch_lightning``'s, where that is the package installed).

    Raises:
        InvalidInput: Lightning is not installed.
    """
    base: Any = library("lightning.pytorch", "pytorch_lightning").callbacks.Callback

    class Report(base):  # type: ignore[misc]
        _stopped: Stopped | None = None

        # Not after the validation, which also runs before training to see that it can.
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
            if not (metrics and trainer.is_global_zero):
                return
            try:
                report(step=int(trainer.current_epoch), **metrics)
            except Stopped as stopped:
                self._stopped = stopped
                trainer.should_stop = True

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            if self._stopped is not None:
                raise self._stopped

    return Report()
