"""Experiments side by side, for notebooks and files."""

from __future__ import annotations

import csv
import html
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wichtel.domain import ComparedExperiment, ComparedMetric, Comparison, UserError

if TYPE_CHECKING:
    import pandas as pd

#: Metrics that a table for people shows.
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class ComparisonTable:
    """A comparison of experiments, as tables and pictures."""

    comparison: Comparison

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each experiment; see `Comparison.rows`.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise UserError("a data frame needs pandas.", hint="Install pandas.") from error
        return pd.DataFrame(self.comparison.rows()).set_index("experiment")

    def to_csv(self) -> str:
        """The same as comma-separated values."""
        rows = self.comparison.rows()
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)
        return text.getvalue()

    def plot(self) -> Any:
        """The first two objectives against each other, or one with its intervals, as a ``plotly.graph_objects.Figure``.

        Raises:
            UserError: Plotly is not installed.
            NotFound: no experiment has a result to show.
        """
        from wichtel.client.tradeoff import tradeoff

        return tradeoff(self.comparison)

    def save_html(self, path: str | Path) -> Path:
        """Write the picture and the table as one page that needs no network; raises as `plot`."""
        picture = self.plot().to_html(full_html=False, include_plotlyjs=True)
        page = f"<!doctype html><meta charset=utf-8><title>Comparison</title><style>{_STYLE}</style>{picture}{self._repr_html_()}"
        Path(path).write_text(page, encoding="utf-8")
        return Path(path)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Columns and cells for people: settings that differ, and the objectives."""
        c = self.comparison
        own = list(dict.fromkeys(name for e in c.experiments for name in e.parameters))
        metrics = [m.name for m in c.metrics if m.name in c.objectives][:_SHOWN]
        head = ["experiment", "status", "efficient", *own]
        for name in metrics:
            head += [name, "from baseline", *(["from reference"] if c.reference else [])]
        rows = []
        for e in c.experiments:
            row = [
                e.id + ("*" if e.id == c.reference else ""),
                str(e.status or e.state),
                _mark(e),
                *(_text(e.parameters.get(n)) for n in own),
            ]
            for name in metrics:
                m = e.metrics.get(name)
                row += [_text(m and m.candidate), _delta(m), *([_reference(m)] if c.reference else [])]
            rows.append(row)
        return head, rows

    def __repr__(self) -> str:
        c = self.comparison
        efficient = [e.id for e in c.experiments if e.efficient]
        best = f"; efficient in {', '.join(c.objectives)}: {', '.join(efficient)}" if efficient else ""
        return f"<comparison of {len(c.experiments)} experiments{best}>"

    def _repr_html_(self) -> str:
        c = self.comparison
        head, rows = self.table()
        common = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(_text(value))}</td></tr>" for name, value in c.common.items())
        notes = "".join(f"<p>⚠ {html.escape(warning)}</p>" for warning in c.warnings)
        columns = "".join(f"<th>{html.escape(name)}</th>" for name in head)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f"{notes}<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table><p>All have</p><table>{common}</table>"


_STYLE = "body{font:14px system-ui,sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ddd}"


def _mark(e: ComparedExperiment) -> str:
    return "" if e.efficient is None else "yes" if e.efficient else "no"


def _delta(m: ComparedMetric | None) -> str:
    """Such as ``+0.012 [+0.004, +0.02] holds``."""
    if m is None:
        return ""
    interval = f" [{m.low:+.4g}, {m.high:+.4g}]" if m.low is not None and m.high is not None else ""
    return f"{m.delta:+.4g}{interval}{f' {m.outcome}' if m.outcome is not None else ''}"


def _reference(m: ComparedMetric | None) -> str:
    if m is None or m.to_reference is None:
        return ""
    d = m.to_reference
    return f"{d.delta:+.4g}" + (f" [{d.low:+.4g}, {d.high:+.4g}]" if d.low is not None and d.high is not None else "")


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _harmless(value: Any) -> Any:
    # A spreadsheet takes text that begins so for a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
