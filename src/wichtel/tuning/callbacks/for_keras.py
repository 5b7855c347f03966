"""Keras: a report after each epoch, and weights to go on from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wichtel.fleet.ports import Stopped
from wichtel.tuning.callbacks.library import library
from wichtel.tuning.function import Reporter

_SAVED = re.compile(r"epoch-(\d+)\.weights\.h5")


def keras(report: Reporter, *, checkpoint_path: Path | str | None = None) -> Any:
    """A callback for ``model.fit(…, callbacks=[wt.callbacks.keras(report)])``.

    After epoch *n*, from 0, it reports step *n* with all that Keras logs: ``loss``, the compiled metrics and, if there is validation data,
    these with ``val_`` before. Is the trial stopped, ``fit`` ends after the epoch, and raises `wichtel.Stopped` when the other callbacks
    before this one have heard of the end.

    Args:
        report: What the training function was given.
        checkpoint_path: The folder that it was given, if its trials are to go on where they were interrupted or, with a searcher that
            copies checkpoints, where another ended: the weights and the optimizer's state are saved there after each epoch, and loaded
            when ``fit`` begins, which then begins with the epoch after. The model must be built by then.

    Returns:
        A ``keras.callbacks.Callback``.

    Raises:
        InvalidInput: Keras is not installed.
    """
    base: Any = library("keras").callbacks.Callback
    folder = None if checkpoint_path is None else Path(checkpoint_path)

    class Report(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._stopped: Stopped | None = None

        def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
            self._stopped = None
            done = 0 if folder is None else restore(self.model, folder)
            if done:
                # As Keras' own BackupAndRestore has it: there is no other way to tell `fit` from within.
                self.model._initial_epoch = done

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            if folder is not None:
                save(self.model, folder, epoch + 1)
            try:
                report(step=epoch, **{name: float(value) for name, value in (logs or {}).items()})
            except Stopped as stopped:
                self._stopped = stopped
                self.model.stop_training = True

        def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
            self.model._initial_epoch = None
            if self._stopped is not None:
                raise self._stopped

    return Report()


def save(model: Any, folder: Path, epochs: int) -> None:
    """Keep what is needed to go on after so many epochs, whatever moment the process ends at."""
    name = f"epoch-{epochs:06}.weights.h5"
    # Keras looks at how the name ends.
    unfinished = folder / f".{name}"
    model.save_weights(unfinished, overwrite=True)
    unfinished.replace(folder / name)
    for count, path in _saved(folder):
        if count != epochs:
            path.unlink()


def restore(model: Any, folder: Path) -> int:
    """Load what was saved last, if anything was; after how many epochs that was."""
    saved = _saved(folder)
    if not saved:
        return 0
    count, path = max(saved)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        # Else there is nothing yet to load its state into.
        optimizer.build(model.trainable_variables)
    model.load_weights(path)
    return count


def _saved(folder: Path) -> list[tuple[int, Path]]:
    return [(int(found[1]), path) for path in folder.iterdir() if (found := _SAVED.fullmatch(path.name))]
