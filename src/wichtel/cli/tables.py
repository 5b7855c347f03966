"""Answers of which only some fields were wanted, as tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

#: What a table of experiments has if nothing else is wanted.
CSV_FIELDS = (
    "id",
    "registration",
    "model",
    "protocol",
    "config.intent.name",
    "owner",
    "quota_group",
    "state",
    "status",
    "cause",
    "created",
    "started",
    "finished",
)


def value_at(row: Any, name: str) -> Any:
    """What stands in `row` under a name such as ``result.verdict.reason``; of each item of a list; None if there is nothing.

    >>> value_at({"a": [{"b": 1}, {"b": 2}]}, "a.b")
    [1, 2]
    """
    if isinstance(row, list):
        return [value_at(item, name) for item in row]
    if not isinstance(row, Mapping):
        return None
    first, _, rest = name.partition(".")
    return value_at(row.get(first), rest) if rest else row.get(first)


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """`rows` with a heading, as CSV; what is no plain value is JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_plain(value_at(row, name)) for name in columns])
    return text.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, list | Mapping):
        return json.dumps(value, ensure_ascii=False)
    # A spreadsheet would take text that begins so for a formula, and other people wrote it.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
