"""What is seen of a study while it runs. `Progress` is told what happens; `board.py` knows how the study stands; each view shows it.

To add a view copy `lines.py` and give it a mode below.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

from wichtel.domain import Config, InvalidInput, StudySpec, StudyState, Trial, did_you_mean
from wichtel.tuning.progress.board import Board

__all__ = ["MODES", "Board", "Progress", "View"]

#: What ``progress=`` of `tune` may be, besides None, True and False.
MODES = ("live", "bar", "lines", "json", "quiet")


class View(Protocol):
    """Shows a board. Called with the board's lock held, on the threads where things happen: whatever takes long belongs elsewhere."""

    def open(self) -> None:
        """The study begins."""

    def begun(self, number: int, config: Config) -> None:
        """A trial has begun."""

    def measured(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        """A trial has reported."""

    def ended(self, trial: Trial) -> None:
        """A trial has ended, and the board counts it already."""

    def close(self) -> None:
        """Nothing more comes; `Board.end` says how it ended, if it did."""


class Progress:
    """Shows a study while it runs.

    Args:
        spec: The study.
        mode: ``"live"``, a view that redraws itself on standard error; ``"bar"``, a bar of tqdm, also in notebooks; ``"lines"``, a line for
            each trial on standard error; ``"json"``, a line of JSON for each event on standard output; ``"quiet"`` or False, nothing. None
            chooses the live view on a terminal, the bar in a notebook, and nothing elsewhere; True does too, but lines elsewhere.
        explanation: What the searcher does and why.

    Raises:
        InvalidInput: there is no such mode.
    """

    def __init__(self, spec: StudySpec, mode: str | bool | None = None, explanation: str = "") -> None:
        self._lock = threading.RLock()
        self.board = Board(spec, explanation)
        self._view = _view(_chosen(mode), self.board, self._lock)

    def resume(self, trials: Sequence[Trial]) -> None:
        """These had ended before."""
        if self._view is not None:
            with self._lock:
                self.board.resume(trials)

    def begun(self, number: int, config: Config) -> None:
        """A trial has begun."""
        if self._view is not None:
            with self._lock:
                self.board.begun(number, config)
                self._show(lambda view: view.begun(number, config))

    def measured(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        """A trial has reported."""
        if self._view is not None:
            with self._lock:
                self.board.measured(number, step, metrics)
                self._show(lambda view: view.measured(number, step, metrics))

    def __call__(self, trial: Trial) -> None:
        """A trial has ended."""
        if self._view is not None:
            with self._lock:
                self.board.ended(trial)
                self._show(lambda view: view.ended(trial))

    def finished(self, state: StudyState, reason: str) -> None:
        """The study has ended."""
        with self._lock:
            self.board.end = (state, reason)

    def __enter__(self) -> Self:
        if self._view is not None:
            self._view.open()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        # Without the lock: the live view's thread may be drawing, and is waited for.
        view, self._view = self._view, None
        if view is not None:
            with suppress(OSError):
                view.close()

    def _show(self, tell: Callable[[View], None]) -> None:
        """Tell the view, unless whoever looked is gone: a closed pipe must not end the study."""
        if self._view is not None:
            try:
                tell(self._view)
            except OSError:
                self._view = None


def in_notebook() -> bool:
    """Whether this is a kernel that a notebook speaks to."""
    module = sys.modules.get("IPython")
    shell: Any = module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


def check_mode(mode: str | bool | None) -> None:
    """Raise `InvalidInput` unless `Progress` takes `mode`."""
    if not (mode is None or isinstance(mode, bool) or mode in MODES):
        hint = did_you_mean(mode, MODES) if isinstance(mode, str) else f"Known: {', '.join(MODES)}."
        raise InvalidInput(f"there is no way {mode!r} to show progress.", where="progress", hint=hint)


def _chosen(mode: str | bool | None) -> str:
    check_mode(mode)
    if isinstance(mode, str):
        return mode
    if mode is False:
        return "quiet"
    if in_notebook():
        return "bar"
    if sys.stderr is not None and sys.stderr.isatty():
        return "live"
    return "lines" if mode else "quiet"


def _view(mode: str, board: Board, lock: threading.RLock) -> View | None:
    def live() -> View:
        from wichtel.tuning.progress.live import LiveView

        return LiveView(board, lock)

    def bar() -> View:
        from wichtel.tuning.progress.bar import BarView

        return BarView(board)

    def lines() -> View:
        from wichtel.tuning.progress.lines import LinesView

        return LinesView(board)

    def json() -> View:
        from wichtel.tuning.progress.json_lines import JsonView

        return JsonView(board)

    makers: dict[str, Callable[[], View]] = {"live": live, "bar": bar, "lines": lines, "json": json}
    return makers[mode]() if mode in makers else None
