"""Mirrors a study to TensorBoard: a log folder for each trial."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wichtel.domain import Config, StudySpec, StudyState, Trial, UserError

#: In a trial's folder once it has ended; TensorBoard does not look at it.
_ENDED = "trial.json"


class TensorBoard:
    """Scalars by step, and each trial's configuration with its metrics for the HPARAMS tab, in ``<folder>/<study>/trial-00007``;
    ``<study>-2`` if there is another study of that name.

    After a crash, a trial that had ended is left as it is, and another goes on in its folder.

    Args:
        folder: What ``tensorboard --logdir`` is given.

    Raises:
        UserError: tensorboardX is not installed.
    """

    def __init__(self, folder: str | Path = "runs") -> None:
        try:
            import tensorboardX  # noqa: F401
        except ModuleNotFoundError as error:
            hint = "pip install 'wichtel[tensorboard]'"
            raise UserError("tensorboardX is not installed.", where="tracker 'tensorboard'", hint=hint) from error
        self._folder = Path(folder)
        #: Of trials that have begun and not ended.
        self._writers: dict[int, Any] = {}

    def start(self, spec: StudySpec, resumed: bool) -> None:
        """See `Tracker`."""
        base = self._folder / quote(spec.name, safe="")
        # Another study of this name may have been here.
        taken = 1
        while (folder := base if taken == 1 else base.with_name(f"{base.name}-{taken}")).exists():
            self._folder = folder
            taken += 1
        if taken == 1 or not resumed:
            self._folder = folder
            folder.mkdir(parents=True)

    def begin_trial(self, trial: int, config: Config) -> None:
        """See `Tracker`."""
        from tensorboardX import SummaryWriter

        if trial not in self._writers:
            self._writers[trial] = SummaryWriter(str(self._place(trial)), write_to_disk=True)

    def measure(self, trial: int, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in metrics.items():
            self._writers[trial].add_scalar(name, value, step)

    def end_trial(self, trial: Trial) -> None:
        """See `Tracker`."""
        from tensorboardX.summary import hparams

        mark = self._place(trial.number) / _ENDED
        if mark.exists():
            return
        self.begin_trial(trial.number, trial.config)
        writer = self._writers.pop(trial.number)
        step = trial.searcher_state.get("step")
        for name, value in trial.metrics.items():
            writer.add_scalar(name, value, 0 if step is None else step)
        config = {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in trial.config.items()}
        for summary in hparams(config, {name: value for name, value in trial.metrics.items() if math.isfinite(value)}):
            writer.file_writer.add_summary(summary)
        writer.add_text("state", f"{trial.state}: {trial.reason}" if trial.reason else str(trial.state))
        writer.close()
        mark.write_text(json.dumps({"number": trial.number, "state": trial.state, "config": trial.config, "metrics": trial.metrics}))

    def finish(self, state: StudyState, reason: str) -> None:
        """See `Tracker`."""
        for writer in self._writers.values():
            writer.close()

    def _place(self, trial: int) -> Path:
        return self._folder / f"trial-{trial:05}"
