"""A bar of tqdm: a widget in notebooks that have them, text elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from wichtel.domain import Config, Trial
from wichtel.tuning.progress.board import Board, plain


class BarView:
    """One step for each trial, with the best so far beside it."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._bar: Any = None

    def open(self) -> None:
        """Draw it."""
        with warnings.catch_warnings():
            # Without widgets there is the textual bar, and nothing to be warned of.
            warnings.filterwarnings("ignore", message="IProgress not found")
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=self._board.spec.trials,
                initial=self._board.done,
                desc=plain(self._board.spec.name),
                unit="trial",
                mininterval=0.25,
                dynamic_ncols=True,
            )
        self._note()

    def begun(self, number: int, config: Config) -> None:
        """Not shown."""

    def measured(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        """Not shown."""

    def ended(self, trial: Trial) -> None:
        """Go on by one."""
        if self._bar is not None:
            self._note()
            self._bar.update(self._board.done - self._bar.n)

    def close(self) -> None:
        """Leave it as it is."""
        if self._bar is not None:
            if self._bar.n < self._board.done:
                self._bar.update(self._board.done - self._bar.n)
            self._note()
            self._bar.refresh()
            self._bar.close()

    def _note(self) -> None:
        words = [self._board.headline(), *(f"{n} {word}" for word, n in self._board.counts.items() if word != "succeeded")]
        self._bar.set_postfix_str(", ".join(w for w in words if w), refresh=False)
