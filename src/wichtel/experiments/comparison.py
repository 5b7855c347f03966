"""Many experiments side by side: which candidate is better in what, and what must not be read into it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from wichtel.domain import (
    ComparedExperiment,
    ComparedMetric,
    Comparison,
    Constraint,
    Difference,
    Expectation,
    Experiment,
    ExperimentStatus,
    InvalidInput,
    MetricColumn,
    Window,
    did_you_mean,
    flatten,
)
from wichtel.domain.query import Match, Pattern, all_of
from wichtel.experiments.doubts import by_chance, doubts_about
from wichtel.experiments.estimates import Known, known_of
from wichtel.store import Database, Transaction
from wichtel.training import metric_catalogue
from wichtel.tuning.pareto import front

#: Experiments that are compared at once.
MOST = 200


class Comparisons:
    """The analysis of several experiments.

    Args:
        db: Where they live.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def compare(self, ids: Sequence[str] = (), *, query: str = "", reference: str = "", objectives: Sequence[str] = ()) -> Comparison:
        """Put experiments side by side.

        Args:
            ids: Their ids; or
            query: What they have in common, in the language of searches.
            reference: The one among them that all are compared with, beside their baselines.
            objectives: The metrics that say which are efficient; by default those that their intents constrain.

        Raises:
            NotFound: there is no such experiment.
            InvalidInput: neither or both of `ids` and `query`, nothing found, too many, or an objective that nobody reports.
        """
        if bool(ids) == bool(query.strip()):
            raise InvalidInput("which experiments?", hint="Give their ids, or a query such as 'model:ads/ctr protocol:SetHyperparameters'.")
        with self._db.read() as tx:
            found, more = self._find(tx, list(dict.fromkeys(ids)), query)
            if reference and reference not in {e.id for e in found}:
                found = [*found, tx.experiments.get(reference)]
            rows = known_of(tx, found)
            judged = tx.experiments.search(_alike(found), limit=1, total=True).total or 0
        warnings = [f"There are more than the {MOST} newest, which are compared here."] if more else []
        return _compare(rows, reference, objectives, judged, warnings)

    def _find(self, tx: Transaction, ids: Sequence[str], query: str) -> tuple[list[Experiment], bool]:
        if len(ids) > MOST:
            raise InvalidInput(f"{len(ids)} experiments are too many to compare at once.", where="ids", hint=f"At most {MOST}.")
        if ids:
            found = tx.experiments.many(ids)
            if len(found) < len(ids):
                known = {e.id for e in found}
                tx.experiments.get(next(identity for identity in ids if identity not in known))
            return found, False
        page = tx.experiments.search(query, limit=MOST)
        if not page.items:
            raise InvalidInput("no experiment fits.", where="query", hint="Try it with `wichtel experiments list`.")
        return list(page.items), page.cursor is not None


def _alike(experiments: Sequence[Experiment]) -> Any:
    """All that have a verdict, of the same protocols on the same versions."""

    def among(name: str, values: set[str]) -> Match:
        return Match(name, tuple(Pattern((value,)) for value in sorted(values)))

    return all_of(
        among("model", {e.model for e in experiments}),
        among("target", {e.target for e in experiments}),
        among("protocol", {e.protocol for e in experiments}),
        among("status", {ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED}),
    )


def _compare(rows: Sequence[Known], reference: str, objectives: Sequence[str], judged: int, warnings: list[str]) -> Comparison:
    columns = _columns(rows)
    chosen = _objectives(rows, columns, objectives)
    ordered = [columns[name] for name in chosen] + [column for name, column in columns.items() if name not in chosen]
    settings = [_settings(row) for row in rows]
    common = {name: value for name, value in settings[0].items() if all(name in s and s[name] == value for s in settings)}
    doubts, comparable = doubts_about(rows, settings, chosen)
    warnings += doubts
    warnings += by_chance(rows, judged)
    against = next((row for row in rows if row.experiment.id == reference), None)
    efficient = _efficient(rows, [columns[name] for name in chosen]) if comparable else {}
    return Comparison(
        common=common,
        metrics=tuple(ordered),
        experiments=tuple(
            ComparedExperiment(
                id=row.experiment.id,
                state=row.experiment.state,
                status=row.experiment.status,
                cause=row.experiment.cause,
                owner=row.experiment.owner,
                created=row.experiment.created,
                candidate=row.experiment.result.candidate if row.experiment.result is not None else "",
                parameters={name: value for name, value in own.items() if name not in common},
                metrics=_metrics(row, against),
                efficient=efficient.get(row.experiment.id),
            )
            for row, own in zip(rows, settings, strict=True)
        ),
        objectives=tuple(chosen),
        reference=reference,
        judged=judged,
        warnings=tuple(warnings),
    )


# What they have in common


def _settings(row: Known) -> dict[str, Any]:
    """All that decides what it did, by name."""
    e, job = row.experiment, row.target.analysis.job
    config = {name: getattr(e.config, name) for name in ("replicates", "seed", "baseline_max_age_days")}
    windows = {"train": job.train, "evaluation": job.evaluation, "holdout": job.holdout}
    return {
        "model": e.model,
        "target": e.target,
        "protocol": e.protocol,
        "intent": e.config.intent.name,
        **flatten(e.config.parameters),
        **{f"config.{name}": value for name, value in config.items()},
        "job.dataset": job.dataset,
        "job.label": job.label,
        **{f"job.{name}": _span(window) for name, window in windows.items() if window is not None},
    }


def _span(window: Window) -> str:
    return f"{window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ}"


def _columns(rows: Sequence[Known]) -> dict[str, MetricColumn]:
    """Every metric that an experiment knows, by name."""
    found: dict[str, MetricColumn] = {}
    constraints: dict[str, dict[str, Constraint]] = {}
    for row in rows:
        for c in row.experiment.config.intent.constraints:
            constraints.setdefault(c.metric, {}).setdefault(c.text, c)
        catalogue = {m.name: m for m in metric_catalogue((row.candidate or row.target).analysis)}
        for name in row.metrics:
            if name in catalogue:
                found.setdefault(name, MetricColumn(name=name, better=catalogue[name].better, unit=catalogue[name].unit))
    common = {name: next(iter(texts.values())) for name, texts in constraints.items() if len(texts) == 1}
    return {name: replace(c, constraint=common[name].text, bound=common[name]) if name in common else c for name, c in found.items()}


def _objectives(rows: Sequence[Known], columns: Mapping[str, MetricColumn], wanted: Sequence[str]) -> list[str]:
    for name in wanted:
        if name not in columns:
            raise InvalidInput(f"none of these experiments reports metric {name!r}.", where="objectives", hint=did_you_mean(name, columns))
    if wanted:
        return list(dict.fromkeys(wanted))
    intents = [row.experiment.config.intent for row in rows]
    names = [intent.primary for intent in intents] + [c.metric for intent in intents for c in intent.constraints]
    return [name for name in dict.fromkeys(names) if name in columns]


# Numbers


def _metrics(row: Known, against: Known | None) -> dict[str, ComparedMetric]:
    result = row.experiment.result
    outcomes = {f.constraint.metric: f.outcome for f in result.verdict.findings} if result is not None else {}
    found = {}
    for name, (baseline, candidate) in row.metrics.items():
        known = row.estimates.get(name)
        delta = candidate - baseline
        found[name] = ComparedMetric(
            baseline=baseline,
            candidate=candidate,
            delta=delta,
            low=known.low if known else None,
            high=known.high if known else None,
            relative=0.0 if delta == 0 else delta / abs(baseline) if baseline else delta * math.inf,
            relative_low=known.relative_low if known else None,
            relative_high=known.relative_high if known else None,
            confidence=known.confidence if known else None,
            outcome=outcomes.get(name),
            to_reference=_difference(name, row, against) if against is not None else None,
        )
    return found


def _difference(name: str, row: Known, against: Known) -> Difference | None:
    """By how much `row` beats `against`, or not.

    Both intervals hold at once with at least the sum of their confidences less one (Bonferroni), and then the difference of the candidates
    is within the difference of the intervals. That is wide, since it uses nothing of what both have in common but the baseline.
    """
    if name not in against.metrics:
        return None
    delta = row.metrics[name][1] - against.metrics[name][1]
    if row is against:
        return Difference(delta=delta)
    mine, theirs = row.estimates.get(name), against.estimates.get(name)
    if mine is None or theirs is None or mine.baseline != theirs.baseline:
        return Difference(delta=delta)
    confidence = mine.confidence + theirs.confidence - 1
    return Difference(delta=delta, low=mine.low - theirs.high, high=mine.high - theirs.low, confidence=confidence)


def _efficient(rows: Sequence[Known], objectives: Sequence[MetricColumn]) -> dict[str, bool]:
    """Experiment → whether its candidate is on the front, of those that know all objectives."""
    signs = [-1 if column.better is Expectation.LARGER else 1 for column in objectives]
    losses = {
        row.experiment.id: [sign * row.metrics[c.name][1] for sign, c in zip(signs, objectives, strict=True)]
        for row in rows
        if row.judged and all(c.name in row.metrics for c in objectives)
    }
    known = {identity: values for identity, values in losses.items() if not any(map(math.isnan, values))}
    if not known or not objectives:
        return {}
    best = set(front(np.array([*known.values()])).tolist())
    return {identity: i in best for i, identity in enumerate(known)}
