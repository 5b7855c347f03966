"""The workflow cleaner (heinzelmaennchen, III-C 5): ends what goes on for experiments that do not.

An *orphan* is a workflow of no experiment, or of a generation that is not the experiment's; a *zombie* one of an experiment that has ended.
As a rule both end within seconds by other means; the cleaner finds what these missed, because a process died or waited too long. It leaves
alone what is younger than its grace, and baselines and analyses, which are shared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from wichtel.domain import ExperimentState, IllegalTransition, StudyState
from wichtel.fleet.leftovers import sweep
from wichtel.store import Database, Transaction
from wichtel.store.garbage import Standing
from wichtel.workflows import WorkflowPort

_RUN = re.compile(r"(.+)/run/(\d+)")
_OWNER = re.compile(r"experiment/(.+)/run/(\d+)")
#: Runs that experiments share, whoever submitted them.
_SHARED = ("baseline/", "analysis/")
_DAY = 86_400.0


@dataclass
class _Found:
    orphans: list[str] = field(default_factory=list)
    zombies: list[str] = field(default_factory=list)
    studies: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


class Cleaner:
    """Ends what has no living experiment, and forgets the workflows that ended long ago.

    Args:
        db: Where experiments live.
        workflows: What carries them out.
        grace_seconds: What is younger, or of an experiment that ended more recently, is left alone.
        keep_days: The steps of an ended workflow can be looked at for so long.
    """

    def __init__(self, db: Database, workflows: WorkflowPort, *, grace_seconds: float, keep_days: float) -> None:
        self._db = db
        self._workflows = workflows
        self._grace = timedelta(seconds=grace_seconds)
        self._keep = timedelta(days=keep_days)

    def run(self) -> dict[str, Any]:
        """End and forget; return how many of each."""
        with self._db.read() as tx:
            now = tx.now
        found = self._find(now)
        self._workflows.cancel_many([*found.orphans, *found.zombies])
        for study in found.studies:
            # It may end by itself at this moment.
            with suppress(IllegalTransition), self._db.transaction() as tx:
                tx.studies.set_state(study, StudyState.CANCELED, "its experiment is over")
        for begin in range(0, len(found.runs), 500):
            with self._db.transaction() as tx:
                for run in found.runs[begin : begin + 500]:
                    tx.runs.request_cancel(run, "nobody waits for it")
        return {**_counts(found), "forgotten": self._workflows.forget_before(now - self._keep, self._needed)}

    def preview(self) -> dict[str, Any]:
        """What `run` would end."""
        with self._db.read() as tx:
            now = tx.now
        return _counts(self._find(now))

    def _find(self, now: datetime) -> _Found:
        before = now - self._grace
        # First who is at work, then who has a right to: what begins in between is not judged.
        underway = self._workflows.list_underway(before)
        with self._db.read() as tx:
            found = _Found()
            self._find_workflows(tx, underway, before, found)
            self._find_work(tx, before, found)
        return found

    def _find_workflows(self, tx: Transaction, underway: Sequence[str], before: datetime, found: _Found) -> None:
        runs = {workflow: match for workflow in underway if (match := _RUN.fullmatch(workflow))}
        known = tx.garbage.standings({match[1] for match in runs.values()})
        for workflow, match in runs.items():
            verdict = _verdict(known.get(match[1]), int(match[2]), before)
            if verdict:
                (found.zombies if verdict == "zombie" else found.orphans).append(workflow)

    def _find_work(self, tx: Transaction, before: datetime, found: _Found) -> None:
        studies = {study: made for study, made in tx.garbage.open_studies() if study.endswith("/study")}
        runs = [(run, owner) for run, owner, made in tx.garbage.open_runs() if made <= before and not run.startswith(_SHARED)]
        owners = {run: match for run, owner in runs if (match := _OWNER.fullmatch(owner))}
        known = tx.garbage.standings({study.removesuffix("/study") for study in studies} | {match[1] for match in owners.values()})
        for study, made in studies.items():
            if made <= before and _verdict(known.get(study.removesuffix("/study")), None, before):
                found.studies.append(study)
        states = tx.garbage.study_states({owner.removeprefix("study/") for _, owner in runs if owner.startswith("study/")})
        for run, owner in runs:
            if run in owners:
                over = bool(_verdict(known.get(owners[run][1]), int(owners[run][2]), before))
            else:
                study = owner.removeprefix("study/")
                over = study != owner and (study not in states or states[study].ended or study in found.studies)
            if over:
                found.runs.append(run)

    def _needed(self, workflows: Sequence[str]) -> set[str]:
        """Those whose experiment goes on: `Deadlines` still asks about them."""
        owners = {workflow: match[1] for workflow in workflows if (match := _RUN.fullmatch(workflow))}
        with self._db.read() as tx:
            known = tx.garbage.standings(set(owners.values()))
        return {w for w, experiment in owners.items() if experiment in known and known[experiment].state is not ExperimentState.FINISHED}


def _verdict(experiment: Standing | None, generation: int | None, before: datetime) -> str:
    """``orphan`` or ``zombie``; empty for what has a right to go on."""
    if experiment is None:
        return "orphan"
    if experiment.state is ExperimentState.FINISHED:
        return "zombie" if experiment.finished is None or experiment.finished <= before else ""
    stale = generation is not None and (generation != experiment.generation or experiment.state is ExperimentState.ENQUEUED)
    return "orphan" if stale else ""


def _counts(found: _Found) -> dict[str, Any]:
    return {name: len(getattr(found, name)) for name in ("orphans", "zombies", "studies", "runs")}


class FileSweeper:
    """Deletes files of ended runs on this machine.

    Args:
        db: Where runs live.
        state_dir: Of this machine's fleet.
        keep_logs_days: Logs are kept so long.
        keep_checkpoints_days: Checkpoints of runs that are over, which others might have begun with, are kept so long.
    """

    def __init__(self, db: Database, state_dir: Path, *, keep_logs_days: float, keep_checkpoints_days: float) -> None:
        self._db = db
        self._state_dir = state_dir
        self._keep_logs = keep_logs_days * _DAY
        self._keep_checkpoints = keep_checkpoints_days * _DAY

    def run(self) -> dict[str, Any]:
        """Delete what is old and nobody's; return how much."""
        return self._sweep(dry=False)

    def preview(self) -> dict[str, Any]:
        """What `run` would delete."""
        return self._sweep(dry=True)

    def _sweep(self, *, dry: bool) -> dict[str, Any]:
        with self._db.read() as tx:
            living = {run for run, _, _ in tx.garbage.open_runs()} | set(tx.garbage.runs_of_open_studies())
        return dict(sweep(self._state_dir, living, log_seconds=self._keep_logs, checkpoint_seconds=self._keep_checkpoints, dry=dry))
