"""When trials ran."""

from __future__ import annotations

import heapq
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wichtel.domain import NotFound, Trial
from wichtel.tuning.plots.base import COLOURS, finish, hover, hovers, numbers, plotly, word_of

if TYPE_CHECKING:
    import numpy as np

    from wichtel.tuning.results.result import StudyResult

#: Trials beyond which bars give way to lines, which WebGL draws.
_BARS = 1500


def timeline(result: StudyResult) -> Any:
    """See `Plots.timeline`."""
    go, _ = plotly()
    rows = _rows([t for t in result.trials if t.copied_from is None])
    if not rows:
        raise NotFound("no trial has run.", where=f"study {result.spec.name!r}")
    figure = go.Figure()
    groups: dict[str, list[tuple[Trial, int, datetime, datetime]]] = {}
    for row in rows:
        groups.setdefault(word_of(row[0]), []).append(row)
    for word, members in groups.items():
        if len(rows) <= _BARS:
            bars = go.Bar(
                base=[start for _, _, start, _ in members],
                x=[(end - start).total_seconds() * 1000 for _, _, start, end in members],
                y=[slot for _, slot, _, _ in members],
                text=[hover(trial) for trial, *_ in members],
                textposition="none",
                hoverinfo="text",
                orientation="h",
                name=word,
                marker={"color": COLOURS[word], "line": {"width": 0.5, "color": "white"}},
            )
            figure.add_trace(bars)
            continue
        # With a gap after each.
        x = [_plain(time) for _, _, start, end in members for time in (start, end, None)]
        y = [float(slot) if there else math.nan for _, slot, _, _ in members for there in (True, True, False)]
        shown = [trial for trial, *_ in members for _ in range(3)]
        line = {"color": COLOURS[word], "width": 6}
        figure.add_trace(go.Scattergl(x=numbers(x), y=numbers(y), mode="lines", name=word, line=line, **hovers(shown, len(rows))))
    figure.update_xaxes(type="date", title_text="time, UTC")
    figure.update_yaxes(title_text="at once", dtick=1 if max(row[1] for row in rows) < 20 else None, autorange="reversed")
    return finish(
        figure, f"Timeline of {result.spec.name}", barmode="overlay", height=max(350, min(900, 150 + 25 * max(r[1] for r in rows)))
    )


def _plain(time: datetime | None) -> np.datetime64:
    import numpy as np

    return np.datetime64("NaT", "ms") if time is None else np.datetime64(time.replace(tzinfo=None), "ms")


def _rows(trials: list[Trial]) -> list[tuple[Trial, int, datetime, datetime]]:
    """Each trial that ran with the first row, from 1, that is free when it starts."""
    ran = sorted(((t.started, t.number, t.ended, t) for t in trials if t.started is not None and t.ended is not None), key=lambda r: r[:2])
    free: list[int] = []
    busy: list[tuple[datetime, int]] = []
    found: list[tuple[Trial, int, datetime, datetime]] = []
    for start, _, end, trial in ran:
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot = heapq.heappop(free) if free else len(busy) + 1
        heapq.heappush(busy, (end, slot))
        found.append((trial, slot, start, end))
    return found
