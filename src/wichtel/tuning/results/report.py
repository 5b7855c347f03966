"""A study as one HTML file that needs no network."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wichtel.domain import InvalidInput, NotFound, Trial
from wichtel.tuning.plots.base import plotly, text, word_of
from wichtel.tuning.results.ranking import violation_of

if TYPE_CHECKING:
    from wichtel.tuning.results.result import StudyResult

#: Trials in the table, and tracebacks below it.
_ROWS = 100
_FAILURES = 10

#: In a colour that is read on light and on dark ground.
_LOOK = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": "#808080", "family": "system-ui, sans-serif"},
    "margin": {"t": 56, "b": 56, "l": 64, "r": 24},
}
_GRID = {"gridcolor": "rgba(128,128,128,0.25)", "zerolinecolor": "rgba(128,128,128,0.4)"}

_STYLE = """
:root { color-scheme: light dark; --edge: rgba(128,128,128,.35); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--edge); vertical-align: top; }
.scroll { overflow-x: auto; }
.warning { border-left: 4px solid #e0932b; padding: .4rem .8rem; margin: .6rem 0; background: rgba(224,147,43,.12); }
pre { overflow-x: auto; font-size: 12px; border: 1px solid var(--edge); padding: .8rem; }
"""


def write_report(result: StudyResult, path: Path) -> Path:
    """Write it.

    Returns:
        Where it is.

    Raises:
        UserError: Plotly is not installed.
        InvalidInput: it cannot be written there.
    """
    page = report_page(result)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"it cannot be written: {error.strerror}.", where=str(path)) from error
    return path.absolute()


def report_page(result: StudyResult) -> str:
    """The page: what came of the study, what to mind, pictures, the best trials, and what was searched for."""
    plotly()
    from plotly.offline import get_plotlyjs

    from wichtel.store import codec

    pictures = _pictures(result)
    script = f"<script>{get_plotlyjs()}</script>" if pictures else ""
    settings = json.dumps(codec.to_plain(result.spec), indent=2, ensure_ascii=False)
    name = html.escape(result.spec.name)
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{name}</title><style>{_STYLE}</style>{script}</head><body>",
            f"<h1>{name}</h1>",
            _table([], _summary(result)),
            *(f'<p class="warning">{html.escape(warning)}</p>' for warning in result.warnings),
            *pictures,
            _trials(result),
            f"<h2>What was searched for</h2><pre>{html.escape(settings)}</pre>",
            "</body></html>",
        ]
    )


def _summary(result: StudyResult) -> list[list[str]]:
    spec, study = result.spec, result.study
    rows = [
        ["state", f"{study.state.lower()}: {study.reason}" if study.reason else study.state.lower()],
        ["trials", ", ".join(f"{n} {word}" for word, n in result.counts().items()) or "none"],
        ["objective", ", ".join(f"{o.metric} ({o.better} is better)" for o in spec.objectives)],
        ["constraints", ", ".join(map(str, spec.constraints))],
        ["searcher", result.explanation or spec.searcher.name],
        ["pruner", spec.pruner.name if spec.pruner is not None else ""],
        ["evaluations of a trial", f"{spec.folds} folds × {spec.repeats} repeats" if spec.evaluations > 1 else ""],
        ["workers, seed", f"{spec.workers}, {spec.seed}"],
        ["began", f"{study.started:%Y-%m-%d %H:%M:%S} UTC" if study.started is not None else ""],
        ["ended", f"{study.ended:%Y-%m-%d %H:%M:%S} UTC" if study.ended is not None else ""],
    ]
    if len(spec.objectives) > 1:
        front = result.front
        rows.append(["front", f"{len(front)} trials" + (f", hypervolume {result.hypervolume():.6g}" if front else "")])
    elif leaders := result.leaders(1):
        best = leaders[0]
        broken = " (it breaks a constraint)" if violation_of(spec, best) else ""
        rows.append(["best", f"{spec.objectives[0].metric} {best.metrics[spec.objectives[0].metric]:.6g}, trial {best.number}{broken}"])
        rows.append(["its configuration", ", ".join(f"{name} = {text(value)}" for name, value in best.config.items())])
        rows.append(["its other metrics", ", ".join(f"{m} {text(v)}" for m, v in best.metrics.items() if m != spec.objectives[0].metric)])
    if result.confirmation is not None:
        rows.append(["confirmation", str(result.confirmation)])
    return [row for row in rows if row[1]]


def _pictures(result: StudyResult) -> list[str]:
    plot = result.plot
    several: list[Callable[[], Any]] = [plot.pareto] if len(result.spec.objectives) > 1 else []
    drawn: list[str] = []
    for draw in (*several, plot.history, plot.curves, plot.importance, plot.slice, plot.parallel, plot.contour, plot.timeline):
        try:
            figure = draw()
        except (NotFound, InvalidInput):
            # Nothing was reported, or there is one parameter only: the picture has nothing to show.
            continue
        figure.update_layout(_LOOK)
        figure.update_xaxes(_GRID)
        figure.update_yaxes(_GRID)
        config = {"displaylogo": False, "responsive": True}
        drawn.append(figure.to_html(full_html=False, include_plotlyjs=False, config=config, div_id=f"picture-{len(drawn)}"))
    return drawn


def _trials(result: StudyResult) -> str:
    spec = result.spec
    shown = result.leaders(_ROWS)
    metrics = list(dict.fromkeys([*(o.metric for o in spec.objectives), *(name for t in shown for name in t.metrics)]))
    optional: dict[str, list[Any]] = {
        "budget": [t.budget for t in shown],
        "from trial": [t.parent for t in shown],
        "origin": [t.origin or None for t in shown],
        "reason": [t.reason.partition("\n")[0] or None for t in shown],
    }
    more = {name: values for name, values in optional.items() if any(v is not None for v in values)}
    rows = [_row(t, metrics, list(spec.space), [values[i] for values in more.values()]) for i, t in enumerate(shown)]
    failed = [t for t in result.trials if t.state == "FAILED"][-_FAILURES:]
    failures = ("<h2>The last failures</h2>" if failed else "") + "".join(map(_failure, failed))
    title = f"<h2>The best {len(shown)} of {len(result.trials)} trials</h2>"
    return title + _table(["trial", "state", *metrics, *spec.space, *more], rows) + failures


def _failure(trial: Trial) -> str:
    head, text_ = html.escape(trial.reason.partition("\n")[0]), html.escape(trial.reason)
    return f"<details><summary>trial {trial.number}: {head}</summary><pre>{text_}</pre></details>"


def _row(trial: Trial, metrics: list[str], parameters: list[str], more: list[Any]) -> list[str]:
    values = [trial.metrics.get(name) for name in metrics]
    config = [text(trial.config[name]) if name in trial.config else "–" for name in parameters]
    return [
        str(trial.number),
        word_of(trial),
        *("" if v is None else text(v) for v in values),
        *config,
        *("" if v is None else text(v) for v in more),
    ]


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table>{f"<thead><tr>{head}</tr></thead>" if head else ""}<tbody>{body}</tbody></table></div>'
