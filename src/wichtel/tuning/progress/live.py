"""A view on a terminal that redraws itself."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from wichtel.domain import Config, Trial
from wichtel.tuning.progress.board import Board, clock, figures, plain

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

#: How often it is drawn, in a second, however much happens.
_RATE = 4
#: Trials at work that are shown.
_ROWS = 8

_STYLES = {"succeeded": "green", "stopped": "yellow", "failed": "red", "canceled": "dim", "copied": "cyan"}


class LiveView:
    """Draws the board on a thread of its own: events cost no more than what the board notes."""

    def __init__(self, board: Board, lock: threading.RLock) -> None:
        from rich.console import Console
        from rich.live import Live

        self._board = board
        self._lock = lock
        self._closing = False
        self._live = Live(
            console=Console(stderr=True),
            refresh_per_second=_RATE,
            get_renderable=self._draw,
            # What the function prints appears above; but what goes into a file or a pipe goes there.
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        )

    def open(self) -> None:
        """Begin to draw."""
        self._live.start(refresh=True)

    def begun(self, number: int, config: Config) -> None:
        """The next drawing has it."""

    def measured(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        """The next drawing has it."""

    def ended(self, trial: Trial) -> None:
        """The next drawing has it."""

    def close(self) -> None:
        """Draw once more, and leave that."""
        self._closing = True
        self._live.stop()

    def _draw(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        with self._lock:
            board = self._board
            head = Text(plain(board.spec.name), style="bold", overflow="ellipsis", no_wrap=True)
            if board.explanation:
                head.append(f"  {plain(board.explanation)}", style="not bold dim")
                head.no_wrap, head.overflow = False, "fold"
            parts: list[RenderableType] = [head, self._bar()]
            headline = board.headline()
            if headline:
                line = Text(headline, style="bold green" if board.front.feasible else "bold yellow")
                best = board.front.trials
                if len(best) == 1:
                    line.append(f"  {plain(figures(best[0].config))}", style="not bold")
                parts.append(line)
            parts.append(self._tally())
            if self._closing:
                if board.end is not None:
                    parts.append(Text(plain(board.end[1])))
            else:
                if board.work:
                    parts.append(self._work())
                if board.recent:
                    parts.append(self._recent())
            return Group(*parts)

    def _bar(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        board = self._board
        left = board.left
        times = f"{clock(board.elapsed)}" + ("" if left is None or self._closing else f", about {clock(left)} left")
        row = Table.grid(padding=(0, 1))
        row.add_row(
            ProgressBar(total=board.spec.trials, completed=board.done, width=32), Text(f"{board.done}/{board.spec.trials}"), Text(times)
        )
        return row

    def _tally(self) -> RenderableType:
        from rich.text import Text

        board = self._board
        pieces = [Text(f"{n} {word}", style=_STYLES.get(word, "")) for word, n in board.counts.most_common()]
        at_work = min(len(board.work), board.spec.workers)
        if at_work and not self._closing:
            pieces.append(Text(f"{at_work} of {board.spec.workers} workers at work"))
        return Text(" · ").join(pieces)

    def _work(self) -> Table:
        board = self._board
        metrics = [o.metric for o in board.spec.objectives]
        table = _table("trial", "step", *metrics, "time", "configuration")
        now = time.monotonic()
        # The fleet begins them in their order: those beyond the workers wait.
        for number, work in islice(board.work.items(), min(_ROWS, board.spec.workers)):
            values = (f"{work.metrics[m]:.6g}" if m in work.metrics else "" for m in metrics)
            step = "" if work.step is None else str(work.step)
            _row(table, str(number), step, *values, clock(now - work.began), figures(work.config))
        rest = min(len(board.work), board.spec.workers) - _ROWS
        if rest > 0:
            _row(table, f"and {rest} more", *[""] * (len(metrics) + 3))
        return table

    def _recent(self) -> Table:
        from rich.text import Text

        board = self._board
        metrics = [o.metric for o in board.spec.objectives]
        table = _table("ended", "", *metrics, "why")
        for trial in reversed(board.recent):
            word = "copied" if trial.copied_from is not None else trial.state.lower()
            values = (Text(f"{trial.metrics[m]:.6g}" if m in trial.metrics else "") for m in metrics)
            table.add_row(Text(str(trial.number)), Text(word, style=_STYLES.get(word, "")), *values, Text(plain(trial.reason)))
        return table


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(plain(column)), no_wrap=True, overflow="ellipsis", ratio=1 if i == len(columns) - 1 else None)
    return table


def _row(table: Table, *cells: str) -> None:
    from rich.text import Text

    table.add_row(*(Text(plain(cell)) for cell in cells))
