"""Runs and studies, as the API shows them and lets them be submitted and canceled."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from msgspec import Raw

from wichtel.domain import (
    AlreadyExists,
    IllegalTransition,
    InvalidInput,
    Measurement,
    NotFound,
    Run,
    RunState,
    Study,
    StudySpec,
    StudyState,
    Trial,
)
from wichtel.experiments.access import Principal
from wichtel.experiments.study_views import StudyView, StudyViews, TrialColumns, TrialCurve
from wichtel.fleet import log_path
from wichtel.store import Database, Page
from wichtel.tuning.registry import check_algorithms


def thinned(curve: Sequence[tuple[int, float]], points: int) -> list[tuple[int, float]]:
    """At most `points` of a curve: its ends, and of each of as many equal stretches the lowest and the highest.

    >>> thinned([(step, float(step % 7 == 3)) for step in range(20)], 6)
    [(0, 0.0), (1, 0.0), (3, 1.0), (10, 1.0), (11, 0.0), (19, 0.0)]
    """
    if len(curve) <= points:
        return list(curve)
    inner, stretches = len(curve) - 2, max((points - 2) // 2, 1)
    kept = [curve[0]]
    for n in range(stretches):
        stretch = curve[1 + n * inner // stretches : 1 + (n + 1) * inner // stretches]
        # What is no number is neither, and is kept if nothing else is there.
        numbers = [one for one in stretch if one[1] == one[1]] or stretch[:1]
        lowest, highest = min(numbers, key=lambda one: one[1]), max(numbers, key=lambda one: one[1])
        kept += sorted({lowest, highest})
    return [*kept, curve[-1]]


class Runs:
    """Runs by id.

    Args:
        db: Where they live.
        state_dir: Where the fleet of this machine keeps their logs.
    """

    def __init__(self, db: Database, state_dir: Path) -> None:
        self._db = db
        self._state_dir = state_dir

    def get(self, identity: str) -> Run:
        """One run.

        Raises:
            NotFound: there is none.
        """
        with self._db.read() as tx:
            return tx.runs.get(identity)

    def list(self, owner: str | None = None, state: RunState | None = None, limit: int = 100, after: str | None = None) -> list[Run]:
        """Runs by id."""
        with self._db.read() as tx:
            return tx.runs.list(owner=owner, state=state, limit=limit, after=after)

    def measurements(self, identity: str, limit: int = 1000, cursor: str | None = None) -> Page[Measurement]:
        """What a run reported, by step.

        Raises:
            NotFound: there is no such run.
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        with self._db.read() as tx:
            tx.runs.get(identity)
            return tx.measurements.page(identity, limit=limit, cursor=cursor)

    def curve(self, identity: str, points: int = 500) -> dict[str, builtins.list[tuple[int, float]]]:
        """What a run reported, by metric: steps and values, thinned to about so many, so that the lowest and the highest stay.

        Raises:
            NotFound: there is no such run.
        """
        with self._db.read() as tx:
            tx.runs.get(identity)
            reported = tx.measurements.of_run(identity)
        metrics = {name for m in reported for name in m.metrics}
        return {name: thinned([(m.step, m.metrics[name]) for m in reported if name in m.metrics], points) for name in sorted(metrics)}

    def log(self, identity: str) -> str:
        """What the latest attempt of a run wrote to its standard output and error; empty if nothing.

        Raises:
            NotFound: there is no such run, or its log is on another machine.
        """
        run = self.get(identity)
        path = log_path(self._state_dir, identity, run.attempt)
        if run.attempt and not self._state_dir.exists():
            # No controller ever worked on this home.
            hint = "Ask a replica on the controller's machine, or see the end of it in the failure of the experiment."
            raise NotFound("what it wrote is on the machine of the controller that led.", where=f"run {identity}", hint=hint)
        return path.read_text(errors="replace") if path.exists() else ""

    def cancel(self, identity: str, principal: Principal) -> Run:
        """Ask for a run to be stopped.

        Raises:
            NotFound: there is none.
            IllegalTransition: it has ended.
        """
        with self._db.transaction() as tx:
            run = tx.runs.get(identity)
            principal.permit("cancel_run", team=run.spec.quota_group)
            if run.state.ended:
                raise IllegalTransition(f"it has ended as {run.state}.", where=f"run {identity}")
            tx.runs.request_cancel(identity, f"canceled by {principal.name}")
            tx.audit.add(principal.name, "cancel_run", identity, {}, team=run.spec.quota_group)
            return tx.runs.get(identity)


class Studies:
    """Studies by id or name."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._views = StudyViews(db)

    def add(self, spec: StudySpec, principal: Principal) -> Study:
        """Submit a study; the controller takes it up.

        Raises:
            AlreadyExists: a study of that name is there.
            InvalidInput: a searcher or pruner that does not exist or does not fit the space, or several objectives.
            NotPermitted: the principal is no editor of the team whose share it spends.
        """
        principal.permit_somewhere("add_study")
        if "/" in spec.id:
            raise InvalidInput(f"the id {spec.id!r} has a '/', as those of experiments' studies have.", where="id", hint="Leave it out.")
        if spec.quota_group == "default":
            spec = replace(spec, quota_group=principal.team)
        principal.permit("add_study", team=spec.quota_group)
        check_algorithms(spec)
        with self._db.transaction() as tx:
            if tx.studies.by_name(spec.name) is not None or not tx.studies.add(spec):
                raise AlreadyExists(f"there is a study {spec.name!r} already.")
            tx.audit.add(principal.name, "add_study", spec.id, {"trials": spec.trials}, team=spec.quota_group)
            return tx.studies.get(spec.id)

    def get(self, identity: str) -> Study:
        """One study, by id or name.

        Raises:
            NotFound: there is none.
        """
        with self._db.read() as tx:
            return tx.studies.called(identity)

    def list(self, state: StudyState | None = None, name: str | None = None, limit: int = 100, cursor: str | None = None) -> Page[Study]:
        """Studies, newest first: those in a state, or with `name` in theirs.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        with self._db.read() as tx:
            return tx.studies.page(state=state, name=name, limit=limit, cursor=cursor)

    def list_written(
        self, state: StudyState | None = None, name: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[Raw]:
        """As `list`, but each as it is written in JSON: for whoever hands it on, a fraction of the work.

        Raises:
            InvalidInput: as `list`.
        """
        with self._db.read() as tx:
            return tx.studies.page_written(state=state, name=name, limit=limit, cursor=cursor)

    def trials(self, identity: str, limit: int = 1000, cursor: str | None = None) -> Page[Trial]:
        """The trials of a study, by number.

        Raises:
            NotFound: there is no such study.
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        with self._db.read() as tx:
            return tx.trials.page(tx.studies.id_of(identity), limit=limit, cursor=cursor)

    def trials_written(self, identity: str, limit: int = 1000, cursor: str | None = None) -> Page[Raw]:
        """As `trials`, but each as it is written in JSON: for whoever hands it on, a fraction of the work.

        Raises:
            NotFound, InvalidInput: as `trials`.
        """
        with self._db.read() as tx:
            return tx.trials.page_written(tx.studies.id_of(identity), limit=limit, cursor=cursor)

    def trial(self, identity: str, number: int) -> Trial:
        """One trial.

        Raises:
            NotFound: there is no such study, or no such trial of it.
        """
        study = self.get(identity)
        with self._db.read() as tx:
            return tx.trials.get(study.spec.id, number)

    def tallies(self, identities: Sequence[str]) -> dict[str, dict[RunState, int]]:
        """Study → how many of its trials are in each state; a study without any is left out."""
        with self._db.read() as tx:
            return tx.trials.tallies(identities)

    def view(self, identity: str) -> StudyView:
        """What there is to see of a study.

        Raises:
            NotFound: there is none.
        """
        return self._views.of(self.get(identity))

    def warnings(self, identity: str) -> builtins.list[str]:
        """What to know before the best of a study is believed; see `StudyViews.warnings`.

        Raises:
            NotFound: there is none.
        """
        return self._views.warnings(self.get(identity))

    def columns(self, identity: str, most: int = 2000, *, workers: bool = False) -> TrialColumns:
        """The trials of a study by columns, for pictures: the best, all that once were or are on the front, and of the others some.

        Args:
            identity: Name or id.
            most: Trials.
            workers: Whether to say who carried each out.

        Raises:
            NotFound: there is none.
        """
        return self._views.columns(self.get(identity), most, workers=workers)

    def curves(self, identity: str, metric: str, most: int = 60) -> builtins.list[TrialCurve]:
        """Learning curves of a study: of its best trials, its newest, and some that were stopped.

        Raises:
            NotFound: there is none.
        """
        return self._views.curves(self.get(identity), metric, most)

    def cancel(self, identity: str, principal: Principal) -> Study:
        """Ask for a study to end.

        Raises:
            NotFound: there is none.
            IllegalTransition: it has ended.
        """
        study = self.get(identity)
        principal.permit("cancel_study", team=study.spec.quota_group)
        with self._db.transaction() as tx:
            study = tx.studies.get(study.spec.id)
            if study.state.ended:
                raise IllegalTransition(f"it has ended as {study.state}.", where=f"study {study.spec.name}")
            tx.studies.set_state(study.spec.id, StudyState.CANCELED, f"canceled by {principal.name}")
            tx.audit.add(principal.name, "cancel_study", study.spec.id, {}, team=study.spec.quota_group)
            return tx.studies.get(study.spec.id)
