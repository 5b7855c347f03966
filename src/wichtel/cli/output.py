"""Printing: data on stdout, as tables for people or as JSON for programs; what happens on stderr."""

from __future__ import annotations

import json as json_library
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

#: Longest cell that is never broken into lines.
_SHORT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where a command prints."""

    json: bool

    def data(self, value: Any) -> None:
        """`value`, for programs."""
        from wichtel.store import codec

        sys.stdout.write(json_library.dumps(codec.to_plain(value), indent=2, ensure_ascii=False) + "\n")

    def table(self, value: Any, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "There are none.") -> None:
        """`value` for programs, or `rows` under `columns` for people."""
        if self.json:
            self.data(value)
            return
        cells = [[cell(c) for c in row] for row in rows]
        if not cells:
            self.say(empty)
        elif sys.stdout.isatty():
            _rich_table(columns, cells)
        else:
            # No frame and no cut: this may go on into another program.
            widths = [max(len(c), *(len(row[i]) for row in cells)) for i, c in enumerate(columns)]
            for row in ([c.upper() for c in columns], *cells):
                sys.stdout.write("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() + "\n")

    def fields(self, value: Any, fields: Iterable[tuple[str, Any]]) -> None:
        """`value` for programs, or names and values for people; empty ones are left out."""
        if self.json:
            self.data(value)
            return
        shown = [(name, cell(v)) for name, v in fields]
        shown = [(name, text) for name, text in shown if text]
        width = max((len(name) for name, _ in shown), default=0)
        for name, text in shown:
            lines = text.splitlines()
            for i, line in enumerate(lines):
                sys.stdout.write(f"{name if i == 0 else '':<{width}}  {line}\n")

    def text(self, value: str, **data: Any) -> None:
        """Text as it is; for programs, `data`."""
        if self.json:
            self.data(data)
        else:
            sys.stdout.write(value if value.endswith("\n") or not value else value + "\n")

    def say(self, message: str) -> None:
        """Tell what happens."""
        sys.stderr.write(message + "\n")
        sys.stderr.flush()


def cell(value: Any) -> str:
    """`value` in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, dict):
        return ", ".join(f"{name}={cell(v)}" for name, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    # Causes and names are other people's text: what a terminal would obey is shown instead.
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in str(value))


def duration(begin: datetime | None, end: datetime | None) -> str:
    """The time between, in words; up to now if there is no end.

    >>> from datetime import timedelta
    >>> duration(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=3723))
    '1 h 2 min'
    """
    if begin is None:
        return ""
    return length(((end or datetime.now(UTC)) - begin).total_seconds())


def length(seconds: float | None) -> str:
    """So many seconds, in words; nothing for None."""
    if seconds is None:
        return ""
    seconds = max(0, int(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        # Ids, states and times stay in one piece, so that they can be copied; what is long gives way.
        table.add_column(column, overflow="fold", no_wrap=max(len(row[i]) for row in rows) <= _SHORT)
    for row in rows:
        table.add_row(*(Text(c) for c in row))
    # It knows NO_COLOR.
    Console().print(table)
