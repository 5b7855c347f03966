"""Following experiments until they have finished: a live table on a terminal, a line per change elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from wichtel.cli.output import duration
from wichtel.domain import Experiment, ExperimentState, ExperimentStatus

if TYPE_CHECKING:
    from wichtel.cli.command import Here
    from wichtel.client import Client


def follow(here: Here, client: Client, experiments: Sequence[str]) -> list[Experiment]:
    """Show progress on stderr until all have finished.

    Raises:
        typer.Exit: with code 130 on ctrl-C; the experiments go on, and it is said how to come back.
    """
    found: list[Experiment] = []
    try:
        with _Live() if sys.stderr.isatty() else _Lines(here.out.say) as view:
            for found in client.experiments.watch(experiments):
                view.show([(e, _step(client, e)) for e in found])
    except KeyboardInterrupt:
        _say_how_to_come_back(here, experiments)
        raise typer.Exit(130) from None
    return found


def exit_code(experiments: Sequence[Experiment]) -> int:
    """0 if all are SATISFIED; else 1 or 2 if one ended in an error (the system's, the user's), 1 if one was canceled, else 3."""
    codes = {_CODES[e.status] for e in experiments if e.status is not None}
    return next((code for code in (1, 2, 3) if code in codes), 0)


_CODES = {
    ExperimentStatus.SATISFIED: 0,
    ExperimentStatus.UNSATISFIED: 3,
    ExperimentStatus.USER_ERROR: 2,
    ExperimentStatus.SYSTEM_ERROR: 1,
    ExperimentStatus.DEADLINE_EXCEEDED: 1,
    ExperimentStatus.CANCELED: 1,
}


def summary(e: Experiment) -> tuple[str, ...]:
    """Cells of a table of finished experiments: id, model, protocol, intent, status, primary metric, time."""
    change = ""
    if e.result is not None:
        primary = next((f for f in e.result.verdict.findings if f.constraint.metric == e.config.intent.primary), None)
        if primary is not None:
            m = primary.estimate
            change = f"{m.metric} {m.baseline:.5g} → {m.candidate:.5g} ({m.low:+.3g} … {m.high:+.3g})"
    stand = str(e.status or e.state)
    return (e.id, e.model, e.protocol, e.config.intent.name, stand, change, duration(e.started, e.finished))


SUMMARY = ("experiment", "model", "protocol", "intent", "status", "primary metric", "time")


def _step(client: Client, e: Experiment) -> str:
    if e.state is not ExperimentState.IN_PROGRESS:
        return ""
    steps = client.experiments.steps(e.id)
    running = [s.name for s in steps if s.state == "RUNNING"]
    done = sum(s.state == "SUCCEEDED" for s in steps)
    return f"{', '.join(running) or 'waiting'} ({done}/{len(steps)})" if steps else ""


def _say_how_to_come_back(here: Here, experiments: Sequence[str]) -> None:
    if here.local:
        home = f" --home {here.home}" if here.home else ""
        here.out.say("\nInterrupted. What is unfinished goes on with the next `wichtel serve` on this home, or with")
        here.out.say(f"  wichtel experiments show {' '.join(experiments[:1])} --follow --local{home}")
    else:
        here.out.say("\nNo longer following; the experiments go on. To come back, or to end one:")
        here.out.say(f"  wichtel experiments show {experiments[0]} --follow")
        here.out.say(f"  wichtel experiments cancel {experiments[0]}")


class _Lines:
    """One line per change."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, rows: Sequence[tuple[Experiment, str]]) -> None:
        for e, step in rows:
            now = (str(e.status or e.state), step)
            if self._last.get(e.id) != now:
                self._last[e.id] = now
                what = f"{e.protocol} on {e.model}"
                self._say(f"{e.id}  {what}: {now[0]}" + (f", {step}" if step else ""))


class _Live:
    """A table that is drawn anew."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False)

    def __enter__(self) -> _Live:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, rows: Sequence[tuple[Experiment, str]]) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("experiment", "model", "protocol", "stand", "step", "time"):
            table.add_column(column, overflow="fold", no_wrap=column in ("experiment", "stand", "time"))
        # Many do not fit on a screen: those that move come first.
        order = {ExperimentState.IN_PROGRESS: 0, ExperimentState.ENQUEUED: 1, ExperimentState.FINISHED: 2}
        shown = sorted(rows, key=lambda row: order[row[0].state])[:30] if len(rows) > 30 else rows
        for e, step in shown:
            stand = Text(str(e.status or e.state), style=_STYLES.get(str(e.status or e.state), ""))
            table.add_row(e.id, e.model, e.protocol, stand, step, duration(e.started, e.finished))
        if len(rows) > len(shown):
            table.caption = f"and {len(rows) - len(shown)} more"
        self._live.update(table, refresh=True)


_STYLES = {
    "IN_PROGRESS": "cyan",
    "SATISFIED": "green",
    "UNSATISFIED": "yellow",
    "USER_ERROR": "red",
    "SYSTEM_ERROR": "red",
    "DEADLINE_EXCEEDED": "red",
    "CANCELED": "dim",
}
