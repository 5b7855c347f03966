"""Carries studies: finds those of the store that want to be carried on, and runs a loop for each beside the controller."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice

from wichtel.domain import IllegalTransition, NotFound, RunState, StudySpec, StudyState, SystemFault, Trial, UserError
from wichtel.fleet import Controller
from wichtel.store import Database, GroupCommit, Transaction
from wichtel.tuning.ports import Problem, Pruner, Searcher, Terminator
from wichtel.tuning.registry import make_pruner, make_searcher, make_terminator
from wichtel.tuning.study.log import owner_of, place_of
from wichtel.tuning.study.loop import StudyLoop
from wichtel.tuning.study.watcher import Watcher

_log = logging.getLogger(__name__)

_OPEN = (StudyState.PENDING, StudyState.RUNNING)
_UNFINISHED = tuple(state for state in RunState if not state.ended)
_MOST = 1_000_000
#: How often a study's loop may fail before the study does.
_FALLS = 3

#: Pause before trials that the database refused are written again.
_RETRY_SECONDS = 0.5

#: A trial's row may wait this long for others: until then its run's row says all that a resume needs.
_GATHER_SECONDS = 0.05

#: How long a study waits for the curves of its ended trials before it goes on; they come to its pruner later, then.
_CURVES_SECONDS = 0.5
#: So many measurements are taken up at a time, while nobody is heard.
_PAGE = 100


class StudyHost:
    """The studies of one controller. Only the host whose controller leads carries any; another takes over by reading the store.

    Args:
        controller: Carries out their runs; started and stopped by whoever made it, before and after this.
        poll_seconds: How often the store is asked for new and canceled studies.
    """

    def __init__(self, db: Database, controller: Controller, *, poll_seconds: float = 0.5) -> None:
        self._db = db
        self._controller = controller
        self._poll_seconds = poll_seconds
        self._commit = GroupCommit(db)
        self._lock = threading.Lock()
        self._loops: dict[str, StudyLoop] = {}
        #: Studies whose loop had no ear at the last look, and how often the loop of each fell.
        self._deaf: set[str] = set()
        self._falls: Counter[str] = Counter()
        #: Threads that read the curves of studies.
        self._recalling: list[threading.Thread] = []
        self._batch = _Batch()
        #: Batches that could not be written, and when they are tried again.
        self._refused: list[_Batch] = []
        self._retry_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="wichtel-studies", daemon=True)
        self._gatherer = threading.Thread(target=self._gather, name="wichtel-trials", daemon=True)
        self._gatherer.start()

    def start(self) -> None:
        """Carry on every study of the store, from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of all; they stay as they are, for the next host. Stop this before the controller."""
        with self._lock:
            self._stop.set()
        # Somebody may wait for these. From here on, what is refused is given up.
        self._try_again()
        if self._thread.ident is not None:
            self._thread.join()
        self._gatherer.join()
        self._drop_all()
        for thread in self._recalling:
            thread.join()
        self._hand_over()
        self._commit.close()

    def flush(self) -> None:
        """Wait until all that was written so far is durable, or refused once more."""
        self._try_again()
        self._hand_over()
        self._commit.flush()

    def carry(
        self,
        spec: StudySpec,
        *,
        searcher: Searcher | None = None,
        pruner: Pruner | None = None,
        terminators: Sequence[Terminator] | None = None,
        ahead: int = 0,
        watcher: Watcher | None = None,
    ) -> StudyLoop:
        """Begin or resume one study, whose row is in the store.

        Args:
            spec: As in the store; what may differ on a resume (trials, workers, payload) counts as given here.
            searcher: Instead of the one that `spec` names.
            pruner: Instead of the one that `spec` names.
            terminators: Instead of those that `spec` names.
            ahead: See `StudyLoop`.
            watcher: See `StudyLoop`.

        Raises:
            IllegalTransition: it has ended.
            InvalidInput: its searcher, its pruner or a terminator does not exist or does not fit.
        """
        problem = Problem.of(spec)
        if searcher is None:
            searcher = make_searcher(spec.searcher, problem)
        if pruner is None and spec.pruner is not None:
            pruner = make_pruner(spec.pruner)
        if terminators is None:
            terminators = [make_terminator(algorithm, problem) for algorithm in spec.terminators]
        with self._db.transaction() as tx:
            tx.studies.set_state(spec.id, StudyState.RUNNING)
            study = tx.studies.get(spec.id)
            events = tx.events.since(limit=1000, subject_prefix=f"study/{spec.id}")
            extensions = [e.created for e in events if (e.kind, e.subject) == ("study.extended", f"study/{spec.id}")]
        loop = StudyLoop(
            spec,
            searcher,
            pruner,
            self._controller,
            self._write,
            terminators=terminators,
            started=study.started,
            ahead=ahead,
            watcher=watcher,
            on_done=partial(self._done, spec.id),
        )
        with self._lock:
            self._loops[spec.id] = loop
        self._controller.attach(owner_of(spec.id), loop)
        try:
            self._restore(loop, max(extensions, default=None))
            loop.start()
        except BaseException:
            self._forget(spec.id)
            raise
        return loop

    # Inside

    def _restore(self, loop: StudyLoop, extended: datetime | None) -> None:
        """Have a loop take up what is in the store. The curves of ended trials may be many: after a moment it goes on without them."""
        spec = loop.spec
        with self._db.read() as tx:
            trials = tx.trials.of_study(spec.id)
            written = {trial.number for trial in trials}
            places = ((run, place_of(spec.id, run)) for run in tx.runs.ids(owner_of(spec.id)))
            left = [run for run, place in places if place is None or place[0] not in written]
            runs = tx.runs.many(left)
            measurements = [m for run in left for m in tx.measurements.of_run(run)]
        more = spec.pruner is not None and bool(trials)
        loop.restore(trials, runs, measurements, extended=extended, more=more)
        if more:
            thread = threading.Thread(target=self._recall, args=(loop,), name=f"curves of {spec.name}", daemon=True)
            thread.start()
            thread.join(_CURVES_SECONDS)
            with self._lock:
                self._recalling = [other for other in self._recalling if other.is_alive()] + [thread]

    def _recall(self, loop: StudyLoop) -> None:
        try:
            with self._db.read() as tx:
                curves = tx.measurements.curves(owner_of(loop.spec.id))
                while some := list(islice(curves, _PAGE)):
                    if not loop.recall(some) or self._stop.is_set():
                        return
        except SystemFault as fault:
            _log.warning("the curves of study %r are known in part: %s", loop.spec.name, fault)
        loop.recalled()

    def _write(self, trial: Trial, at_once: bool) -> Future[None]:
        with self._lock:
            self._batch.trials.append(trial)
            future = self._batch.future
        if at_once:
            self._hand_over()
        return future

    def _hand_over(self) -> None:
        """Have the trials that have gathered written."""
        with self._lock:
            batch, self._batch = self._batch, _Batch()
            if not batch.trials:
                return
            written = self._submit(batch)
        written.add_done_callback(partial(self._settle, batch))

    def _submit(self, batch: _Batch) -> Future[None]:
        return self._commit.submit(lambda tx: tx.trials.put_many(batch.trials))

    def _settle(self, batch: _Batch, written: Future[None]) -> None:
        error = written.exception()
        if error is None:
            batch.future.set_result(None)
            return
        with self._lock:
            # The database is full or away: a study that goes on meanwhile must not end with trials missing.
            again = isinstance(error, SystemFault) and not self._stop.is_set()
            if again:
                self._refused.append(batch)
                self._retry_at = time.monotonic() + _RETRY_SECONDS
        _log.error("%d trials of %s could not be written: %s", len(batch.trials), batch.trials[0].study, error)
        if not again:
            # Those of runs are not lost: when the study is resumed, they are read from these.
            batch.future.set_exception(error)

    def _try_again(self) -> None:
        """Have what was refused written."""
        with self._lock:
            refused, self._refused = self._refused, []
            again = [(batch, self._submit(batch)) for batch in refused]
        for batch, written in again:
            written.add_done_callback(partial(self._settle, batch))

    def _gather(self) -> None:
        while not self._stop.wait(_GATHER_SECONDS):
            self._hand_over()
            if self._refused and time.monotonic() >= self._retry_at:
                self._try_again()

    def _done(self, study_id: str, state: StudyState, reason: str) -> None:
        def write(tx: Transaction) -> None:
            try:
                tx.studies.set_state(study_id, state, reason)
            except (IllegalTransition, NotFound) as error:
                # Somebody canceled or removed it in this moment: that counts.
                _log.info("study %s stays as it is: %s", study_id, error)

        self._try_again()
        self._hand_over()
        self._commit.submit(write)
        self._forget(study_id)

    def _forget(self, study_id: str) -> None:
        self._controller.detach(owner_of(study_id))
        with self._lock:
            self._loops.pop(study_id, None)

    def _drop_all(self) -> None:
        with self._lock:
            loops, self._loops = self._loops, {}
        for study_id, loop in loops.items():
            self._controller.detach(owner_of(study_id))
            loop.close()

    def _work(self) -> None:
        led = False
        while not self._stop.wait(self._poll_seconds):
            try:
                leads = self._controller.leading
                if not leads:
                    self._drop_all()
                else:
                    if not led:
                        self._tidy()
                    self._look()
                led = leads
            except SystemFault as fault:
                _log.warning("studies cannot be read, trying again: %s", fault)
            except Exception:  # noqa: BLE001 - logged, see below
                # As with one study: a fault must not leave all others lying.
                _log.exception("the study host goes on after a fault")

    def _tidy(self) -> None:
        """Cancel what is left of studies that were canceled while nobody led."""
        with self._db.read() as tx:
            canceled = tx.studies.list(state=StudyState.CANCELED, limit=_MOST)
            left = [(s, run) for s in canceled for run in tx.runs.list(owner=owner_of(s.spec.id), state=_UNFINISHED, limit=_MOST)]
        for study, run in left:
            self._controller.cancel(run.spec.id, study.reason or "its study was canceled")

    def _look(self) -> None:
        with self._db.read() as tx:
            wanted = {study.spec.id: study for study in tx.studies.list(state=_OPEN, limit=_MOST)}
            with self._lock:
                gone = [tx.studies.find(study_id) for study_id in self._loops if study_id not in wanted]
                new = [study for study_id, study in wanted.items() if study_id not in self._loops]
                loops = dict(self._loops)
        for study in gone:
            # Not one that has just ended here and is being written.
            if study is not None and study.state.ended and not loops[study.spec.id].done.is_set():
                loops[study.spec.id].end(study.state, study.reason or "it was canceled")
        self._raise_fallen(loops)
        self.flush()
        # Oldest first.
        for study in reversed(new):
            self._take(study.spec)

    def _raise_fallen(self, loops: Mapping[str, StudyLoop]) -> None:
        """Let go of loops that the controller detached because they raised; the next look makes them anew from the store.

        Only at the second look: one that is just being carried is attached a moment after it is noted.
        """
        deaf = {s for s, loop in loops.items() if not loop.done.is_set() and not self._controller.attached(owner_of(s))}
        for study_id in deaf & self._deaf:
            self._falls[study_id] += 1
            self._forget(study_id)
            loops[study_id].close()
            if self._falls[study_id] >= _FALLS:
                reason = f"its loop failed {_FALLS} times, which is a fault of Wichtel: see the log of the service"
                with self._db.transaction() as tx:
                    tx.studies.set_state(study_id, StudyState.FAILED, reason)
        self._deaf = deaf

    def _take(self, spec: StudySpec) -> None:
        with self._db.read() as tx:
            study = tx.studies.find(spec.id)
        if study is None or study.state.ended:
            return
        try:
            self.carry(spec)
        except IllegalTransition:
            # It was canceled in this moment.
            return
        except SystemFault:
            raise
        except Exception as error:  # noqa: BLE001 - see below
            # Its searcher or pruner may be anybody's code. One study must not stop the others.
            _log.warning("study %s cannot be carried on", spec.id, exc_info=not isinstance(error, UserError))
            reason = str(error) if isinstance(error, UserError) else f"it cannot be carried on: {type(error).__name__}: {error}"
            with self._db.transaction() as tx, suppress(IllegalTransition, NotFound):
                tx.studies.set_state(spec.id, StudyState.FAILED, reason)


@dataclass(slots=True)
class _Batch:
    """Trials that are written by one statement."""

    trials: list[Trial] = field(default_factory=list)
    future: Future[None] = field(default_factory=Future)
