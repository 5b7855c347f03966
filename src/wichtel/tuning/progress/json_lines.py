"""A line of JSON for each event, for programs that watch a study."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from typing import Any

from wichtel.domain import Config, Trial
from wichtel.tuning.progress.board import Board

#: Of what one trial reports in quick succession, the first is told and the rest of this many seconds left out.
_PAUSE_SECONDS = 0.1


class JsonView:
    """Writes to standard output; each line has ``"event"``: ``"begun"``, ``"measured"``, ``"ended"`` or ``"finished"``.

    A number that is not finite is null. Measurements of one trial are thinned to ten a second; the last of each metric comes with
    ``"ended"``.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._told: dict[int, float] = {}
        self._gone = False

    def open(self) -> None:
        """Nothing to tell yet."""

    def begun(self, number: int, config: Config) -> None:
        """Tell its configuration."""
        self._tell("begun", trial=number, config=config)

    def measured(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        """Tell it, unless one was told a moment ago."""
        now = time.monotonic()
        if now - self._told.get(number, -math.inf) >= _PAUSE_SECONDS:
            self._told[number] = now
            self._tell("measured", trial=number, step=step, metrics=_finite(metrics))

    def ended(self, trial: Trial) -> None:
        """Tell all that is known."""
        self._told.pop(trial.number, None)
        self._tell(
            "ended",
            trial=trial.number,
            state=str(trial.state),
            config=trial.config,
            budget=trial.budget,
            parent=trial.parent,
            metrics=_finite(trial.metrics),
            reason=trial.reason,
            copied_from=trial.copied_from,
        )

    def close(self) -> None:
        """Tell the end and what is best, if it ended."""
        if self._board.end is None:
            return
        state, reason = self._board.end
        best = [{"trial": t.number, "config": t.config, "metrics": _finite(t.metrics)} for t in self._board.front.trials]
        self._tell("finished", state=str(state), reason=reason, trials=self._board.done, best=best)

    def _tell(self, event: str, **more: Any) -> None:
        if self._gone:
            return
        try:
            sys.stdout.write(json.dumps({"event": event, "study": self._board.spec.name, **more}, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # Nobody listens any more; the study goes on.
            self._gone = True


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
