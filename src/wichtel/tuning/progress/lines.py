"""A line for each trial that ends."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from wichtel.domain import Config, Trial
from wichtel.tuning.progress.board import Board, figures, plain


class LinesView:
    """Writes to standard error."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def open(self) -> None:
        """Say what the searcher does."""
        if self._board.explanation:
            _say(f"{self._board.spec.name}: {self._board.explanation}")

    def begun(self, number: int, config: Config) -> None:
        """Not said."""

    def measured(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        """Not said."""

    def ended(self, trial: Trial) -> None:
        """Say how."""
        names = [o.metric for o in self._board.spec.objectives]
        values = figures({name: trial.metrics[name] for name in names if name in trial.metrics})
        reason = plain(trial.reason)
        shown = [trial.state.lower(), values, f"({reason})" if reason else ""]
        _say(f"trial {trial.number}: {' '.join(word for word in shown if word)}")

    def close(self) -> None:
        """Say why, if it ended."""
        if self._board.end is not None:
            headline = self._board.headline()
            _say(f"{self._board.spec.name}: {self._board.end[1]}" + (f"; {headline}" if headline else ""))


def _say(line: str) -> None:
    print(plain(line), file=sys.stderr)  # noqa: T201 it was asked for
