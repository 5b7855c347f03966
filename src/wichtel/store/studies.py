"""Studies and their trials."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from wichtel.domain import AlreadyExists, Config, InvalidInput, NotFound, RunState, Study, StudySpec, StudyState, Trial, move
from wichtel.store import codec
from wichtel.store.page import Page, Stage, fetch
from wichtel.store.repository import Repository
from wichtel.store.tables import studies, trials
from wichtel.store.written import Written

T = TypeVar("T")

_COLUMNS = tuple(studies.c[name] for name in ("spec", "state", "reason", "created", "started", "ended"))
_WRITTEN = Written(_COLUMNS)
_IDENTITY = sa.bindparam("identity", type_=studies.c.id.type)
#: A name goes before an id that is the same.
_ID_OF = sa.select(studies.c.id).where((studies.c.name == _IDENTITY) | (studies.c.id == _IDENTITY)).order_by(studies.c.name != _IDENTITY)
_CALLED = _ID_OF.with_only_columns(*_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPoint:
    """What pictures and lists need of a trial; of the same names as in `Trial`."""

    number: int
    config: Config
    state: RunState
    budget: float | None = None
    origin: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    reason: str = ""
    copied_from: int | None = None
    started: datetime | None = None
    ended: datetime | None = None


class Studies(Repository):
    """Studies, by id and by the user's name for them."""

    def add(self, spec: StudySpec) -> bool:
        """Add a PENDING study; False if that id is there already.

        Raises:
            AlreadyExists: another study has its name.
            InvalidInput: its id is that of a run of another study.
        """
        above, _, last = spec.id.rpartition("/")
        if above and last.isdecimal():
            # The third trial of study `a` is the run `a/3`, and its evaluations are `a/3/0` and so on.
            hint = "Let it not end in a number."
            raise InvalidInput(f"the id {spec.id!r} is one of a trial of study {above!r}.", where="study", hint=hint)
        row = {"id": spec.id, "name": spec.name, "state": StudyState.PENDING, "reason": "", "created": self.now, "spec": spec}
        if self.insert(studies, row):
            return True
        if self.find(spec.id) is None:
            raise AlreadyExists(f"there is a study {spec.name!r} already.", hint="Choose another name.")
        return False

    def find(self, study_id: str) -> Study | None:
        """The study of that id, if there is one."""
        return self._one(studies.c.id == study_id)

    def get(self, study_id: str) -> Study:
        """The study of that id.

        Raises:
            NotFound: there is none.
        """
        study = self.find(study_id)
        if study is None:
            raise self.not_found("study", study_id, studies.c.id)
        return study

    def called(self, identity: str) -> Study:
        """The study of that name, else of that id.

        Raises:
            NotFound: there is neither.
        """
        row = self.connection.execute(_CALLED, {"identity": identity}).first()
        if row is None:
            raise self.not_found("study", identity, studies.c.id)
        return _read(row)

    def id_of(self, identity: str) -> str:
        """The id of the study of that name, else of that id.

        Raises:
            NotFound: there is neither.
        """
        found: str | None = self.connection.execute(_ID_OF, {"identity": identity}).scalar()
        if found is None:
            raise self.not_found("study", identity, studies.c.id)
        return found

    def by_name(self, name: str) -> Study | None:
        """The study that the user calls `name`, if there is one."""
        return self._one(studies.c.name == name)

    def list(self, *, state: StudyState | Collection[StudyState] | None = None, limit: int = 100) -> builtins.list[Study]:
        """Newest first; those in this state, or in one of these."""
        query = sa.select(*_COLUMNS).order_by(studies.c.created.desc(), studies.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(studies.c.state.in_([state] if isinstance(state, StudyState) else list(state)))
        return [_read(row) for row in self.connection.execute(query)]

    def page(self, *, state: StudyState | None = None, name: str | None = None, limit: int = 100, cursor: str | None = None) -> Page[Study]:
        """Newest first; those in this state, and with `name` in theirs, whatever its case.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        return self._page(_COLUMNS, _read, state, name, limit, cursor)

    def page_written(
        self, *, state: StudyState | None = None, name: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[msgspec.Raw]:
        """As `page`, but each as `codec` writes it, for whoever hands it on; see `Written`."""
        return self._page(_WRITTEN.columns, _WRITTEN.read, state, name, limit, cursor)

    def _page(
        self,
        columns: Sequence[sa.ColumnElement[Any]],
        read: Callable[[sa.Row[Any]], T],
        state: StudyState | None,
        name: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page[T]:
        query = sa.select(*columns)
        if state is not None:
            query = query.where(studies.c.state == state)
        if name:
            query = query.where(studies.c.name.icontains(name, autoescape=True))
        newest = Stage(query, (studies.c.created, studies.c.id), descending=True)
        return fetch(self.connection, [newest], read, limit=limit, cursor=cursor)

    def set_state(self, study_id: str, state: StudyState, reason: str = "") -> bool:
        """Move it to `state`; False if it is there already.

        Raises:
            NotFound: there is none.
            IllegalTransition: there is no such move.
        """
        study = self.get(study_id)
        if study.state is state:
            return False
        move(study.state, state, what=f"study {study_id!r}")
        change: dict[str, Any] = {"state": state, "reason": reason}
        if state is StudyState.RUNNING:
            # The time between its end and its extension does not count.
            lay = self.now - study.ended if study.ended else timedelta(0)
            change |= {"started": study.started + lay if study.started else self.now, "ended": None}
        if state.ended:
            change["ended"] = self.now
        done = self.connection.execute(sa.update(studies).where(studies.c.id == study_id, studies.c.state == study.state).values(change))
        if not done.rowcount:
            # Somebody moved it since we looked; look again.
            return self.set_state(study_id, state, reason)
        self.tx.events.add(f"study.{state.lower()}", f"study/{study_id}", {"reason": reason})
        return True

    def renew(self, spec: StudySpec) -> bool:
        """Let it go on under another `spec` of the same id and name. One that has ended is PENDING again; returns whether it had.

        Raises:
            NotFound: there is none.
        """
        study = self.get(spec.id)
        if study.spec != spec:
            self.connection.execute(sa.update(studies).where(studies.c.id == spec.id).values(spec=spec))
        if not study.state.ended:
            return False
        self.set_state(spec.id, StudyState.PENDING, "it was extended")
        self.tx.events.add("study.extended", f"study/{spec.id}", {"trials": spec.trials, "before": study.reason})
        return True

    def _one(self, condition: sa.ColumnElement[bool]) -> Study | None:
        row = self.connection.execute(sa.select(*_COLUMNS).where(condition)).one_or_none()
        return None if row is None else _read(row)


class Trials(Repository):
    """Trials, by study and number."""

    def of_study(self, study_id: str) -> list[Trial]:
        """Those of the study, in the order of numbers."""
        query = sa.select(trials.c.document).where(trials.c.study == study_id).order_by(trials.c.number)
        return list(self.connection.execute(query).scalars())

    def page(self, study_id: str, *, limit: int = 100, cursor: str | None = None) -> Page[Trial]:
        """The same, page by page.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        by_number = Stage(sa.select(trials).where(trials.c.study == study_id), (trials.c.number,))
        return fetch(self.connection, [by_number], lambda row: row.document, limit=limit, cursor=cursor)

    def page_written(self, study_id: str, *, limit: int = 100, cursor: str | None = None) -> Page[msgspec.Raw]:
        """As `page`, but each as `codec` writes it, for whoever hands it on; see `Written`."""
        document = sa.type_coerce(trials.c.document, sa.Text).label("document")
        by_number = Stage(sa.select(document, trials.c.number).where(trials.c.study == study_id), (trials.c.number,))
        return fetch(self.connection, [by_number], lambda row: msgspec.Raw(row.document.encode()), limit=limit, cursor=cursor)

    def get(self, study_id: str, number: int) -> Trial:
        """One of them.

        Raises:
            NotFound: there is none of that number.
        """
        query = sa.select(trials.c.document).where(trials.c.study == study_id, trials.c.number == number)
        found: Trial | None = self.connection.execute(query).scalar_one_or_none()
        if found is None:
            raise NotFound(f"there is no trial {number}.", where=f"study {study_id!r}")
        return found

    def points(self, study_id: str, *, after: int = -1, among: Collection[int] = ()) -> list[TrialPoint]:
        """Those with a number above `after`, and `among` the others those of these numbers; in the order of numbers."""
        wanted = trials.c.number > after
        if among:
            wanted |= trials.c.number.in_(among)
        text = sa.type_coerce(trials.c.document, sa.Text)
        query = sa.select(text).where(trials.c.study == study_id, wanted).order_by(trials.c.number)
        return [codec.read(document, TrialPoint) for document in self.connection.execute(query).scalars()]

    def count(self, study_id: str) -> int:
        """How many the study has."""
        return self.connection.execute(sa.select(sa.func.count()).where(trials.c.study == study_id)).scalar_one()

    def tallies(self, study_ids: Collection[str]) -> dict[str, dict[RunState, int]]:
        """Study → how many of its trials are in each state; a study without any is left out."""
        query = sa.select(trials.c.study, trials.c.state, sa.func.count()).where(trials.c.study.in_(study_ids))
        found: dict[str, dict[RunState, int]] = {}
        for study, state, number in self.connection.execute(query.group_by(trials.c.study, trials.c.state)):
            found.setdefault(study, {})[RunState(state)] = number
        return found

    def put_many(self, changed: Iterable[Trial]) -> None:
        """Add each, or replace the one of its study and number."""
        self.upsert(trials, [{"study": t.study, "number": t.number, "state": t.state, "document": t} for t in changed])


def _read(row: sa.Row[Any]) -> Study:
    values = {column.name: row._mapping[column.name] for column in _COLUMNS}
    return Study(**(values | {"state": StudyState(values["state"])}))
