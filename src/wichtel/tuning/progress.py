"""What is seen of a study while it runs: a live line on a terminal, a plain line for each trial where that was asked for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from wichtel.domain import RunState, StudySpec, Trial

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress:
    """Shows trials as they end, on standard error.

    Args:
        show: None for a live line if standard error is a terminal and nothing otherwise; True to have a line for each trial where it is
            none; False for nothing.
    """

    def __init__(self, spec: StudySpec, show: bool | None) -> None:
        self._objective = spec.objectives[0]
        self._total = spec.trials
        self._lock = threading.Lock()
        self._best: float | None = None
        self._counts = dict.fromkeys(("failed", "stopped"), 0)
        self._bar: Bar | None = None
        self._task: Any = None
        self._plain = False
        if show is False:
            return
        if sys.stderr.isatty():
            self._bar = _bar(spec.name)
            self._task = self._bar.add_task("", total=self._total, note="")
        else:
            self._plain = bool(show)

    def __call__(self, trial: Trial) -> None:
        """A trial has ended."""
        with self._lock:
            self._count(trial)
            if self._bar is not None:
                self._bar.update(self._task, advance=1, note=self._note())
            elif self._plain:
                value = trial.metrics.get(self._objective.metric)
                shown = "" if value is None else f" {self._objective.metric}={value:.6g}"
                reason = trial.reason.partition("\n")[0]
                line = f"trial {trial.number}: {trial.state.lower()}{shown}" + (f" ({reason})" if reason else "")
                print(line, file=sys.stderr)  # noqa: T201 it was asked for

    def resume(self, trials: Sequence[Trial]) -> None:
        """These had ended before."""
        for trial in trials:
            self._count(trial)
        if self._bar is not None:
            self._bar.update(self._task, completed=len(trials), note=self._note())

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _count(self, trial: Trial) -> None:
        value = trial.metrics.get(self._objective.metric)
        if trial.state is RunState.SUCCEEDED and value is not None:
            loss = self._objective.loss(value)
            if self._best is None or loss < self._objective.loss(self._best):
                self._best = value
        word = trial.state.lower()
        if word in self._counts:
            self._counts[word] += 1

    def _note(self) -> str:
        parts = [] if self._best is None else [f"best {self._objective.metric} {self._best:.6g}"]
        return " · ".join(parts + [f"{n} {word}" for word, n in self._counts.items() if n])


def _bar(name: str) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(f"[bold]{name}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))
