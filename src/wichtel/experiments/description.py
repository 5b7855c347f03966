"""A candidate in words, for whoever reviews it: the message of its commit, and the description of its pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wichtel.domain import Dataset, Estimate, Experiment, ExperimentResult, ModelVersion

#: What Markdown or HTML would take for more than a character. Names, causes and notes are other people's text.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~#@&])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An experiment with all that its candidate is described by."""

    experiment: Experiment
    result: ExperimentResult
    target: ModelVersion
    candidate: ModelVersion
    #: The target's ancestors, the parent first.
    ancestors: tuple[ModelVersion, ...]
    #: What it was trained on, unless that is gone.
    dataset: Dataset | None
    #: Of every metric of which it is known.
    estimates: Mapping[str, Estimate]
    #: ``A``, ``D`` or ``M`` and the path of each file that differs.
    changes: Sequence[tuple[str, str]]

    @property
    def subject(self) -> str:
        """What it does, in a line."""
        e = self.experiment
        return f"{e.model}: {self.candidate.recipe or e.protocol}"

    @property
    def message(self) -> str:
        """Why it should be merged, or not, in plain text."""
        e, verdict = self.experiment, self.result.verdict
        lines = [f"{e.protocol} proposes this change.", "", f"{verdict.status} for intent {verdict.intent}:"]
        lines += [f"* {f.outcome.upper()}: {f.reason}" for f in verdict.findings]
        lines += ["", f"Measured by {method}." if (method := self._methods()) else ""]
        return "\n".join(lines).strip()

    @property
    def trailers(self) -> dict[str, str]:
        """What it refers to."""
        e = self.experiment
        return {
            "Wichtel-Model": e.model,
            "Wichtel-Experiment": e.id,
            "Wichtel-Target": self.target.id,
            "Wichtel-Candidate": self.candidate.id,
            "Wichtel-Owner": e.owner,
        }

    def _methods(self) -> str:
        return "; ".join(dict.fromkeys(f.estimate.method for f in self.result.verdict.findings))

    def markdown(self) -> str:
        """All of it, for a pull request."""
        e = self.experiment
        satisfied = sum(f.outcome == "holds" for f in self.result.verdict.findings)
        parts = [
            f"# {_text(self.subject)}",
            f"**{self.result.verdict.status}** for intent {_code(self.result.verdict.intent)}: "
            f"{satisfied} of {len(self.result.verdict.findings)} constraints hold. {_text(e.cause)}",
            "## Verdict",
            _table(
                ("", "constraint", "baseline", "candidate", "difference", "interval", "confidence"),
                (
                    (f.outcome.upper(), _text(f.constraint.text), *_numbers(f.estimate), f"{f.estimate.confidence:.3g}")
                    for f in self.result.verdict.findings
                ),
            ),
            _bullets(_text(f.reason) for f in self.result.verdict.findings),
            "## What changes",
            _bullets(f"{_WORDS[mark]} {_code(path)}" for mark, path in self.changes) or "No file.",
            *self._untouched(),
            "## Metrics",
            self._metrics(),
            "## How it came about",
            self._lineage(),
            "## Configuration",
            _table(("field", "value", "from"), self._configuration()),
            "## How to see it for yourself",
            self._reproduce(),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _untouched(self) -> list[str]:
        notes = self.result.untouched
        return ["Not touched:", _bullets(map(_text, notes))] if notes else []

    def _metrics(self) -> str:
        known = self.estimates
        rows = [(_code(name), *_numbers(e), _text(e.method)) for name, e in sorted(known.items())]
        # What was measured without an interval.
        plain = sorted((self.result.baseline_metrics.keys() & self.result.candidate_metrics.keys()) - known.keys())
        for name in plain:
            b, c = self.result.baseline_metrics[name], self.result.candidate_metrics[name]
            rows.append((_code(name), f"{b:.6g}", f"{c:.6g}", f"{c - b:+.4g}", "", ""))
        return _table(("metric", "baseline", "candidate", "difference", "interval", "how it was compared"), rows)

    def _lineage(self) -> str:
        e, job = self.experiment, self.candidate.analysis.job
        windows = {"trained on": job.train, "evaluation": job.evaluation, "holdout": job.holdout}
        rows: list[tuple[str, str]] = [
            (
                "experiment",
                f"{_code(e.id)} of registration {_code(e.registration)}, asked for by {_text(e.owner)} ({_text(e.quota_group)})",
            ),
            ("rerun of", _code(e.config.rerun_of)),
            ("protocol", _text(e.protocol)),
            ("registered, started, finished", ", ".join(_time(t) for t in (e.created, e.started, e.finished) if t is not None)),
            ("candidate", f"{_code(self.candidate.id)}, source tree {_code(self.candidate.tree)}"),
            ("starts from", f"{_code(self.target.id)}, source tree {_code(self.target.tree)}"),
            ("before that", ", ".join(_code(v.id) for v in self.ancestors)),
            ("baseline", _code(self.result.baseline)),
            ("dataset", self._dataset()),
            *((name, f"{_time(w.start)} to {_time(w.end)}") for name, w in windows.items() if w is not None),
            ("judged on", _text(", ".join(dict.fromkeys(f.estimate.window for f in self.result.verdict.findings if f.estimate.window)))),
            ("models trained", str(self.result.models_trained)),
            ("study", _code(self.result.study)),
            ("software", _text(", ".join(f"{name} {version}" for name, version in sorted(self.candidate.analysis.versions.items())))),
        ]
        return _table(("what", "which"), ((_text(name), value) for name, value in rows if value))

    def _dataset(self) -> str:
        if self.dataset is None:
            return _code(self.candidate.analysis.job.dataset)
        d = self.dataset
        return f"{_code(d.name)}, {d.rows:,} examples, SHA-256 {_code(d.digest)}"

    def _configuration(self) -> Iterable[tuple[str, str, str]]:
        config = self.experiment.config
        fields: dict[str, Any] = {f"parameters.{name}": value for name, value in config.parameters.items()}
        fields |= {name: getattr(config, name) for name in ("replicates", "seed", "baseline_max_age_days", "priority")}
        for name, value in fields.items():
            yield _code(name), _code(str(value)), _text(config.origin.get(name, "default"))

    def _reproduce(self) -> str:
        e, config = self.experiment, self.experiment.config
        train = f"wichtel run TrainModel {e.model} --set seed={config.seed} --set replicates={config.replicates} --follow"
        window = next((f.estimate.window for f in self.result.verdict.findings if f.estimate.window), "")
        note = (
            f"\n\nThe numbers above are of the {_text(window)} window; `TrainModel` tells those of the evaluation window."
            if window not in ("", "evaluation")
            else ""
        )
        return (
            "The same experiment once more:\n\n"
            f"```console\n$ wichtel experiments rerun {e.id}\n```\n\n"
            "The change by hand, trained with the seeds that the candidate was trained with:\n\n"
            "```console\n$ git apply candidate.patch      # or: git am candidate.patch\n"
            f"$ wichtel models add {e.model} FOLDER\n$ {train}\n```"
            f"{note}"
        )


_WORDS = {"A": "adds", "D": "deletes", "M": "changes"}


def _numbers(e: Estimate) -> tuple[str, str, str, str]:
    return f"{e.baseline:.6g}", f"{e.candidate:.6g}", f"{e.delta:+.4g} ({e.relative:+.2%})", f"{e.low:+.4g} to {e.high:+.4g}"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _text(value: str) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(value.split()))


def _code(value: str) -> str:
    # Between more backticks than it has in a row; a bar ends a cell even there.
    shown = " ".join(value.split()).replace("|", "¦")
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    space = " " if "`" in shown else ""
    return f"{fence}{space}{shown}{space}{fence}" if shown else ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
