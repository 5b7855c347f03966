"""Garbage collection by policy: first rows let go of what is kept no longer, then artifacts that no row refers to are deleted.

So a row never refers to an artifact that garbage collection has deleted. An artifact is deleted only if it was last put longer ago than the
grace and if neither a row nor the output of a step of an experiment in progress refers to it, be it through the manifest of a source tree.
Steps' outputs are read before rows: what a step found is in its output until it is in a row. Killed anywhere, the next one goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from wichtel.domain import Expectation, ExperimentState, ExperimentStatus, NotFound, StorageFailed, Trial
from wichtel.experiments.cleaner import _OWNER
from wichtel.store import Artifacts, Database, Transaction, codec
from wichtel.store.garbage import EndedRun, Marks
from wichtel.workflows import WorkflowPort

log = logging.getLogger(__name__)

#: Rows in one transaction: bounds for how long writers of SQLite wait.
_BATCH = 5000
#: Runs whose measurements, of which they have many, go in one transaction.
_RUNS = 100
#: Manifests that are read at once.
_READERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept, in days. Candidates of SATISFIED experiments are kept for ever."""

    #: Files that trials returned, but for the best trial of each study; and trainings of experiments that ended without a verdict.
    trial_models: float
    #: Weights and predictions of candidates of UNSATISFIED experiments.
    candidates: float
    #: Those of baselines.
    baselines: float
    events: float
    measurements: float
    audit: float
    #: An artifact that nothing refers to is deleted when it was last put longer ago.
    grace: float


class Garbage:
    """The collector.

    Args:
        db: Where rows are.
        artifacts: Where artifacts are.
        workflows: Whose steps' outputs refer to artifacts, too.
        retention: The policy.
    """

    def __init__(self, db: Database, artifacts: Artifacts, workflows: WorkflowPort, retention: Retention) -> None:
        self._db = db
        self._artifacts = artifacts
        self._workflows = workflows
        self._keep = retention

    def run(self) -> dict[str, Any]:
        """Collect; return how much."""
        now = self._now()
        released = 0
        for runs, trials in self._releases(now):
            with self._db.transaction() as tx:
                released += sum(tx.garbage.strip_run(run) for run in runs)
                for study, numbers in trials.items():
                    tx.garbage.strip_trials(study, numbers)
        deleted, size = 0, 0
        before = now - timedelta(days=self._keep.grace)
        for digest, length in self._unreferenced(before, self._marks()):
            if self._artifacts.delete_old(digest, before):
                deleted, size = deleted + 1, size + length
        return {
            "released_runs": released,
            "artifacts": deleted,
            "bytes": size,
            "unfinished_files": self._artifacts.tidy(before),
            **self._delete_rows(now),
        }

    def preview(self) -> dict[str, Any]:
        """What `run` would delete now. What the rows that it releases refer to is counted as well, unless others refer to it, too."""
        now = self._now()
        released, letting_go, keeping = 0, Marks(), self._marks()
        for runs, trials in self._releases(now):
            released += len(runs)
            for run in runs:
                letting_go.add(codec.encode(run.result).decode())
            with self._db.read() as tx:
                for study, numbers in trials.items():
                    for trial in tx.trials.of_study(study):
                        if trial.number in numbers:
                            letting_go.add(codec.encode(trial.artifacts).decode())
        before = now - timedelta(days=self._keep.grace)
        keeping.digests -= letting_go.digests
        found = [length for _, length in self._unreferenced(before, keeping)]
        with self._db.read() as tx:
            rows = tx.garbage.count_old(
                events_before=now - timedelta(days=self._keep.events),
                audit_before=now - timedelta(days=self._keep.audit),
                measurements_before=now - timedelta(days=self._keep.measurements),
            )
        return {"released_runs": released, "artifacts": len(found), "bytes": sum(found), **rows}

    def _now(self) -> datetime:
        with self._db.read() as tx:
            return tx.now

    # -- policy ------------------------------------------------------------------------------------------------------------------------

    def _releases(self, now: datetime) -> Iterator[tuple[list[EndedRun], dict[str, list[int]]]]:
        """Page by page, the runs whose files are kept no longer, and the trials (study → numbers) of such runs."""
        youngest = min(self._keep.trial_models, self._keep.candidates, self._keep.baselines)
        after: int | None = 0
        while after is not None:
            with self._db.read() as tx:
                page, after = tx.garbage.ended_runs_with_files(now - timedelta(days=youngest), after)
                over = [run for run, days in self._terms(tx, page) if run.ended < now - timedelta(days=days)]
                in_use = self._in_use(tx) if over else set()
                over = [run for run in over if run.id not in in_use]
                trials: dict[str, list[int]] = {}
                for run in over:
                    if run.owner.startswith("study/"):
                        study = run.owner.removeprefix("study/")
                        trials.setdefault(study, []).append(_number(study, run.id))
            if over:
                yield over, trials

    def _terms(self, tx: Transaction, page: list[EndedRun]) -> Iterator[tuple[EndedRun, float]]:
        """Those of `page` that are not kept for ever, and for how many days they are."""
        of = {run.id: match[1] for run in page if (match := _OWNER.fullmatch(run.owner))}
        known = tx.garbage.standings(set(of.values()))
        studies = {run.owner.removeprefix("study/") for run in page if run.owner.startswith("study/")}
        states = tx.garbage.study_states(studies)
        best = {study: _best(tx, study) for study in studies if study in states and states[study].ended}
        for run in page:
            if run.id.startswith("baseline/"):
                yield run, self._keep.baselines
            elif run.owner.startswith("study/"):
                study = run.owner.removeprefix("study/")
                if study not in states or (study in best and _number(study, run.id) not in best[study]):
                    yield run, self._keep.trial_models
            elif run.id in of:
                standing = known.get(of[run.id])
                if standing is None or standing.state is ExperimentState.FINISHED:
                    status = standing.status if standing else None
                    if status is ExperimentStatus.UNSATISFIED:
                        yield run, self._keep.candidates
                    elif status is not ExperimentStatus.SATISFIED:
                        yield run, self._keep.trial_models

    def _in_use(self, tx: Transaction) -> set[str]:
        """Runs that steps of experiments in progress have found or submitted."""
        found: set[str] = set()
        for workflow in tx.garbage.experiments_in_progress():
            for step in self._workflows.steps(workflow):
                found |= _runs_in(step.output)
        return found

    # -- marks and sweep ---------------------------------------------------------------------------------------------------------------

    def _marks(self) -> Marks:
        marks = Marks()
        with self._db.read() as tx:
            workflows = tx.garbage.experiments_in_progress()
        for workflow in workflows:
            for step in self._workflows.steps(workflow):
                if step.output is not None:
                    marks.add(codec.encode(step.output).decode())
        with self._db.read(streams=True) as tx:
            tx.garbage.mark(marks)
        with ThreadPoolExecutor(_READERS, thread_name_prefix="wichtel-marks") as readers:
            for files in readers.map(self._files_of, sorted(marks.trees)):
                marks.digests.update(files)
        return marks

    def _files_of(self, tree: str) -> list[str]:
        try:
            return list(json.loads(self._artifacts.get(tree))["files"].values())
        except (NotFound, ValueError, KeyError, TypeError, AttributeError):
            # Nothing, or no tree: it refers to nothing.
            return []
        except StorageFailed as error:
            # What a damaged manifest refers to cannot be known; nothing may be deleted on its word.
            raise StorageFailed(f"the source tree {tree[:12]}… cannot be read, so nothing was collected: {error}") from error

    def _unreferenced(self, before: datetime, marks: Marks) -> Iterator[tuple[str, int]]:
        for stored in self._artifacts.list():
            if stored.put < before and stored.digest not in marks.digests and stored.digest not in marks.trees:
                yield stored.digest, stored.bytes

    def _delete_rows(self, now: datetime) -> dict[str, int]:
        events, audit, measurements = (now - timedelta(days=d) for d in (self._keep.events, self._keep.audit, self._keep.measurements))
        counts = {
            "events": self._until_none(lambda tx: tx.garbage.delete_events(events, _BATCH)),
            "audit": self._until_none(lambda tx: tx.garbage.delete_audit(audit, _BATCH)),
            "measurements": 0,
        }
        after: int | None = 0
        while after is not None:
            with self._db.transaction() as tx:
                gone, after = tx.garbage.delete_measurements(measurements, _RUNS, after)
            counts["measurements"] += gone
        with self._db.transaction() as tx:
            return counts | {"jobs": tx.garbage.delete_jobs(now - timedelta(days=30))}

    def _until_none(self, delete: Callable[[Transaction], int]) -> int:
        total = 0
        while True:
            with self._db.transaction() as tx:
                gone = delete(tx)
            if not gone:
                return total
            total += gone


def _number(study: str, run: str) -> int:
    """Of the trial that a run is of: ``<study>/<number>`` or ``<study>/<number>/<evaluation>``; -1 if it is none."""
    number = run.removeprefix(f"{study}/").partition("/")[0]
    return int(number) if number.isdecimal() else -1


def _best(tx: Transaction, study: str) -> set[int]:
    """The trial that was best by each of the study's objectives."""
    spec = tx.studies.get(study).spec
    trials = tx.trials.of_study(study)
    found: set[int] = set()
    for objective in spec.objectives:
        sign = 1.0 if objective.better is Expectation.LARGER else -1.0
        scored = [t for t in trials if t.artifacts and objective.metric in t.metrics]
        if scored:
            found.add(max(scored, key=lambda t: _score(t, objective.metric, sign)).number)
    return found


def _score(trial: Trial, metric: str, sign: float) -> float:
    value = sign * trial.metrics[metric]
    return value if value == value else float("-inf")  # NaN is never the best


def _runs_in(value: Any) -> set[str]:
    """Ids of runs in a step's output, as the steps write them."""
    if isinstance(value, dict):
        found = {value["run"]} if isinstance(value.get("run"), str) else set()
        found |= {run for run in value.get("runs") or () if isinstance(run, str)} if isinstance(value.get("runs"), list) else set()
        return found.union(*(_runs_in(inner) for inner in value.values()))
    return set().union(*(_runs_in(inner) for inner in value)) if isinstance(value, list) else set()
