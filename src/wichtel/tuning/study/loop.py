"""The study loop: owner of a study's runs. Asks the searcher, hears of measurements, asks the pruner, writes trials, knows when to end."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime

from wichtel.domain import InvalidInput, Measurement, Run, RunSpec, RunState, StudySpec, StudyState, Trial
from wichtel.fleet.ports import Stop
from wichtel.store import codec
from wichtel.tuning.ports import Pruner, Result, Searcher, Suggestion, Terminator
from wichtel.tuning.study.active import STOPPED, Active
from wichtel.tuning.study.budget import Budget, Judges, runs_ahead
from wichtel.tuning.study.log import active_of, begun, owner_of, place_of, replay, result_of, run_id, run_of
from wichtel.tuning.study.outbox import Fleet, Item, Outbox
from wichtel.tuning.study.pruning import Pruning
from wichtel.tuning.study.record import Record
from wichtel.tuning.study.watcher import Watcher

_log = logging.getLogger(__name__)

#: Suggestions of a searcher that does not learn are made this many at a time.
_BATCH = 64

#: No searcher is asked for more at a time, however many workers there are.
_MOST_AT_ONCE = 4096


class StudyLoop:
    """One study on its way. An `Owner` for the controller's thread; suggestions are made on a thread of its own.

    Args:
        write: Makes a trial durable, in the order of calls; at once if told so, else when it suits.
        terminators: Asked on the searcher's thread.
        started: When the study did, in whatever process; aware. None for now.
        ahead: Runs submitted beyond ``spec.workers``, so that a worker need not wait for the next; fewer where they might be in vain. Only
            right where the fleet has no more workers than the study may use.
        watcher: Is told what happens.
        on_done: Told once, when the last trial has ended.
    """

    def __init__(
        self,
        spec: StudySpec,
        searcher: Searcher,
        pruner: Pruner | None,
        fleet: Fleet,
        write: Callable[[Trial, bool], Future[None]],
        *,
        terminators: Sequence[Terminator] = (),
        started: datetime | None = None,
        ahead: int = 0,
        watcher: Watcher | None = None,
        on_done: Callable[[StudyState, str], None] = lambda _state, _reason: None,
    ) -> None:
        self.spec = spec
        self.done = threading.Event()
        self._searcher = searcher
        self._promotes = bool(getattr(searcher, "promotes", False))
        self._pruning = Pruning(spec, pruner)
        self._budget = Budget(spec, started or datetime.now(UTC))
        self._record = Record(spec, self._budget)
        self._judges = Judges(terminators)
        self._fleet = fleet
        self._write = write
        self._watcher = watcher or Watcher()
        self._on_done = on_done
        learns = bool(getattr(searcher, "learns", True))
        self._limit = spec.workers + runs_ahead(spec, learns, ahead)
        # With one worker, a suggestion that waits for all results is worth more than one that is there at once, and is reproducible.
        self._prefetch = _BATCH if not learns else 0 if spec.workers == 1 else max(1, spec.workers // 4)
        #: Most suggestions to ask for at a time: the first of many must not wait for the last, which takes a learning searcher long.
        self._batch = min(max(1, spec.workers // 4) if learns else spec.trials, _MOST_AT_ONCE)

        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._outbox = Outbox(fleet.submit, self._write_copies, self._lock, self._settle, self._let_go)
        self._active: dict[int, Active] = {}
        #: Trials that had ended before this process took it up.
        self._before: set[int] = set()
        self._ready: deque[Active] = deque()
        #: Evaluations of trials that have begun, still to be submitted.
        self._waiting: deque[tuple[Active, int]] = deque()
        #: Evaluations submitted and not ended.
        self._running = 0
        self._news: list[Result] = []
        #: What the terminators have not heard, and how much they are thinking about.
        self._unjudged: list[Result] = []
        self._judging = 0
        self._next = 0
        self._told = 0
        #: Trials whose checkpoints are no more.
        self._forgotten: set[int] = set()
        self._exhausted = False
        self._asking = False
        self._ending: tuple[StudyState, str] | None = None
        self._closed = False
        #: What was heard between attaching and `start`; None from then on.
        self._early: list[Measurement | Run] | None = []
        self._timer: threading.Timer | None = None
        self._thread = threading.Thread(target=self._ask, name=f"study {spec.name}", daemon=True)

    # Life

    def restore(
        self,
        trials: Sequence[Trial],
        runs: Sequence[Run],
        measurements: Iterable[Measurement],
        *,
        extended: datetime | None = None,
        more: bool = False,
    ) -> None:
        """Take up what an earlier process left. Call before `start`, and attach before reading the store: what is heard meanwhile is kept.

        Args:
            trials: Those that have ended.
            runs: At least those of trials that have not.
            measurements: Of all runs if there is a pruner, else at least of those that have no trial yet; each run's in the order of steps.
            extended: When it was last told to go on after it had ended, if ever. What failed before does not count against it, and the
                checkpoints of those that had ended were removed.
            more: The measurements of trials that have ended come later, by `recall`; the pruner stops nobody until `recalled`.
        """
        self._watcher.on_resume(trials)
        with self._lock:
            for trial in trials:
                self._record.note(trial)
            if extended is not None:
                before = [t for t in trials if t.ended is not None and t.ended <= extended]
                self._record.forgive(before)
                self._forgotten = {t.number for t in before}
            for run in runs:
                place = place_of(self.spec.id, run.spec.id)
                if place is None or place[0] in self._record:
                    continue
                active = self._active.get(place[0]) or self._active.setdefault(place[0], active_of(self.spec, run.spec))
                if run.state.ended:
                    active.ended[place[1]] = run
                else:
                    active.running.add(place[1])
            self._before = {trial.number for trial in trials}
            self._pruning.recall(measurements, self._active, self._before)
            if more:
                self._pruning.wait()
            else:
                self._pruning.recalled(self._before)
            # Their ends were heard in this order, if they were.
            for active in sorted(
                self._active.values(), key=lambda a: max([r.ended or r.created for r in a.ended.values()], default=_NEVER)
            ):
                self._reap(active)
            for number in sorted(self._active):
                active = self._active[number]
                self._running += len(active.running)
                if not active.given_up:
                    self._waiting.extend((active, evaluation) for evaluation in active.missing)
            self._news = replay(self._record, self._active.values(), self.spec)
            self._unjudged = [r for r in self._news if r.state is not RunState.RUNNING]
            self._told = self._record.order - len(self._unjudged)
            self._next = max([*(t.number for t in self._record), *self._active], default=-1) + 1

    def recall(self, measurements: Iterable[Measurement]) -> bool:
        """Take up some measurements of trials that had ended before `restore`; False if nobody is interested any more."""
        with self._lock:
            self._pruning.recall(measurements, {}, self._before)
            return not (self._closed or self.done.is_set())

    def recalled(self) -> None:
        """That were all."""
        with self._lock:
            self._pruning.recalled(self._before)

    def start(self) -> None:
        """Begin, or go on."""
        left = self._budget.seconds_left()
        vain: list[tuple[str, str]] = []
        with self._lock:
            for number, config in enumerate(self.spec.enqueued[: self.spec.trials]):
                if number >= self._next:
                    origin = "".join(self.spec.origins[number : number + 1]) or "enqueued"
                    self._queue(Active(number=number, config=config, origin=origin, evaluations=self.spec.evaluations))
                    self._news.append(begun(self._ready[-1]))
            for active in list(self._active.values()):
                self._watcher.on_begin(active.number, active.config)
                if active.failing:
                    vain += self._give_up(active, active.fault)
                    self._reap(active)
            early, self._early = self._early or [], None
        self._cancel(vain)
        for word in early:
            if isinstance(word, Run):
                self.on_end(word)
            else:
                self.on_measurement(word)
        if left is not None and left <= 0:
            self.end(StudyState.FINISHED, self._budget.time_is_up)
        with self._lock:
            self._hand_out()
            self._settle()
            if left is not None and not self.done.is_set():
                seconds = min(max(0.0, left), threading.TIMEOUT_MAX)
                self._timer = threading.Timer(seconds, self.end, (StudyState.FINISHED, self._budget.time_is_up))
                self._timer.daemon = True
                self._timer.start()
        self._thread.start()

    def end(self, state: StudyState, reason: str) -> None:
        """End the study before its time: its runs are canceled, and `done` follows when they have ended."""
        with self._lock:
            if self._ending is not None or self._closed:
                return
            self._ending = (state, reason)
            self._ready.clear()
            # The numbers of those that were not submitted are lost, and so no larger one may become durable.
            self._unsent(self._outbox.cut())
            vain: list[tuple[str, str]] = []
            for active in list(self._active.values()):
                vain += self._give_up(active, reason)
                self._reap(active)
            self._settle()
        self._cancel(vain)

    def close(self) -> None:
        """Let go of the study as it is: another process, or a later one, goes on with it."""
        with self._lock:
            self._let_go()
        if self._thread.ident is not None:
            self._thread.join()

    # Owner

    def on_measurement(self, measurement: Measurement) -> Stop | None:
        """See `wichtel.fleet.Owner`."""
        with self._lock:
            if self._early is not None:
                self._early.append(measurement)
                return None
            place = place_of(self.spec.id, measurement.run)
            active = self._active.get(place[0]) if place is not None else None
            # A controller tells the nearest owner: of the runs of `a/b`, that may be study `a`.
            if active is None or place is None or place[1] not in active.running:
                return None
            if active.given_up:
                return Stop(active.stopped) if active.stopped else None
            means = active.hear(place[1], measurement.step, measurement.metrics)
            if means is None:
                return None
            self._watcher.on_measurement(active.number, measurement.step, means)
            try:
                reason = self._pruning.reason(active.number, measurement.step, means)
            except Exception as error:  # noqa: BLE001 - as with a searcher: anybody's code
                _log.exception("the pruner of study %r failed", self.spec.name)
                self.end(StudyState.FAILED, f"the pruner failed: {type(error).__name__}: {error}")
                return None
            if not reason:
                return None
            active.stopped = reason
            vain = self._give_up(active, STOPPED + reason)
        self._cancel([word for word in vain if word[0] != measurement.run])
        return Stop(reason)

    def on_end(self, run: Run) -> list[RunSpec]:
        """See `wichtel.fleet.Owner`."""
        vain: list[tuple[str, str]] = []
        with self._lock:
            if self._early is not None:
                self._early.append(run)
                return []
            place = place_of(self.spec.id, run.spec.id)
            ours = place is not None and run.spec.owner == owner_of(self.spec.id) and not self._closed
            active = self._active.get(place[0]) if ours and place is not None else None
            if active is None or place is None or place[1] not in active.running:
                return []
            active.running.discard(place[1])
            active.ended[place[1]] = run
            self._running -= 1
            if active.failing and not active.given_up:
                vain = self._give_up(active, active.fault)
            self._reap(active)
            self._hand_out()
            self._settle()
        self._cancel(vain)
        return []

    # Inside; the lock is held

    def _reap(self, active: Active) -> None:
        """If nothing more is heard of a trial, it has ended."""
        if not active.complete or self._active.pop(active.number, None) is None:
            return
        trial = self._record.end(active)
        self._pruning.end(trial.number)
        self._write(trial, False)
        self._tell(trial)
        if self._ending is None and (reason := self._record.hopeless):
            self.end(StudyState.FAILED, reason)
        if self._budget.used_up:
            self._ready.clear()

    def _queue(self, active: Active) -> None:
        self._ready.append(active)
        self._next = active.number + 1

    def _hand_out(self) -> None:
        """Submit evaluations of suggestions that are ready, as far as there are workers.

        Always from here and with the lock held, so that trials become durable in the order of their numbers, and a kill leaves no gap.
        """
        items: list[Item] = []
        while self._running < self._limit and self._ending is None and not self._closed:
            if not self._waiting:
                if not self._ready or self._awaits_judgement or self._budget.used_up:
                    break
                active = self._ready.popleft()
                earlier = self._record.earlier(active)
                if earlier is not None:
                    items.append(self._copy(active, earlier))
                    continue
                self._active[active.number] = active
                self._waiting.extend((active, evaluation) for evaluation in range(active.evaluations))
                self._watcher.on_begin(active.number, active.config)
            active, evaluation = self._waiting.popleft()
            active.running.add(evaluation)
            self._running += 1
            parent = None if active.parent is None else self._record.source(active.parent)
            if parent in self._forgotten:
                # It trains from the beginning, up to the same budget.
                parent = None
            items.append(run_of(self.spec, active, evaluation, parent=parent, keep=self._promotes))
        self._outbox.put(items)
        self._changed.notify_all()

    @property
    def _awaits_judgement(self) -> bool:
        """Whether the terminators are behind by as many trials as there are workers: the study may have ended for all we know."""
        return bool(self._judges) and len(self._unjudged) + self._judging >= self.spec.workers

    def _copy(self, active: Active, earlier: Trial) -> Trial:
        """Answer from the score cache."""
        trial = self._record.copy(active, earlier)
        self._tell(trial)
        return trial

    def _tell(self, trial: Trial) -> None:
        """Have everybody hear of an ended trial."""
        self._watcher.on_trial(trial)
        news = result_of(trial, self.spec)
        self._news.append(news)
        self._unjudged.append(news)

    def _write_copies(self, trials: list[Trial]) -> Future[None]:
        for trial in trials[:-1]:
            self._write(trial, False)
        return self._write(trials[-1], True)

    def _give_up(self, active: Active, reason: str) -> list[tuple[str, str]]:
        """Submit no more of a trial; returns the runs that are to be canceled, with the reason."""
        active.given_up = True
        self._waiting = deque(entry for entry in self._waiting if entry[0] is not active)
        self._unsent(self._outbox.take_back(run_id(self.spec, active.number, evaluation) for evaluation in active.running))
        if not active.running and not active.ended:
            del self._active[active.number]
        return [(run_id(self.spec, active.number, evaluation), reason) for evaluation in sorted(active.running)]

    def _unsent(self, specs: Iterable[RunSpec]) -> None:
        for spec in specs:
            place = place_of(self.spec.id, spec.id)
            if place is not None:
                self._active[place[0]].running.discard(place[1])
                self._running -= 1

    def _let_go(self, error: BaseException | None = None) -> None:
        if error is not None:
            # The store is away and so is the host: the next one goes on from what is durable.
            _log.warning("study %r is left as it is: %s", self.spec.name, error)
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._changed.notify_all()

    def _settle(self) -> None:
        """See whether the study is over."""
        if self._active or self._outbox or self.done.is_set() or self._closed:
            return
        if self._ending is None:
            if not self._budget.used_up:
                if self._ready or self._asking:
                    return
                if self._next < self.spec.trials and not (self._exhausted and not self._news):
                    return
            self._ending = self._record.verdict()
        if self._timer is not None:
            self._timer.cancel()
        if self._promotes:
            own = [t.number for t in self._record if t.copied_from is None]
            self._fleet.forget([run_id(self.spec, n, e) for n in own for e in range(self.spec.evaluations)])
        # First, so that whoever waits for the end finds it written.
        self._on_done(*self._ending)
        self.done.set()
        self._changed.notify_all()

    # With or without the lock

    def _cancel(self, runs: Iterable[tuple[str, str]]) -> None:
        for run, reason in runs:
            self._fleet.cancel(run, reason)

    # The searcher's thread

    def _wanted(self) -> int:
        """How many suggestions to ask for now."""
        if self._ending is not None or self._budget.used_up:
            return 0
        free = self._limit - self._running - len(self._waiting)
        # Rounded up: a worker that is left over begins the next trial.
        trials = -(-free // self.spec.evaluations) - len(self._ready)
        if trials <= 0 and len(self._ready) > self._prefetch // 2:
            return 0
        if self._exhausted and not self._news:
            return 0
        return max(0, min(trials + self._prefetch, self._batch, self.spec.trials - self._next))

    def _task(self) -> tuple[int, list[Result], list[Result]] | None:
        """Wait for something to do: how many suggestions to ask for, what to tell the searcher first, and what the terminators.

        Returns:
            None when there will be nothing more.
        """
        with self._lock:
            while not (self._closed or self.done.is_set()):
                wanted = self._wanted()
                if wanted or (self._unjudged and self._judges and self._ending is None):
                    self._asking = wanted > 0
                    news, unjudged = self._news, self._unjudged
                    self._unjudged = []
                    self._judging = len(unjudged)
                    if wanted:
                        self._news = []
                    return wanted, news, unjudged
                self._changed.wait()
            return None

    def _ask(self) -> None:
        who = "searcher"
        try:
            while (task := self._task()) is not None:
                wanted, news, unjudged = task
                if self._judges and unjudged:
                    who = "terminator"
                    reason = self._judges.hear(unjudged)
                    if reason:
                        self.end(StudyState.FINISHED, reason)
                        wanted = 0
                suggestions: list[Suggestion] = []
                if wanted:
                    who = "searcher"
                    self._searcher.update(news)
                    suggestions = self._searcher.sample(wanted)
                with self._lock:
                    self._asking = False
                    self._judging = 0
                    if wanted:
                        self._take(suggestions, news)
                        self._exhausted = len(suggestions) < wanted
                    self._hand_out()
                    self._settle()
        except BaseException as error:  # noqa: BLE001 - see below; also one that calls sys.exit
            # A searcher may be anybody's code; a study whose searcher is broken cannot go on, and its user has to know why.
            _log.exception("the %s of study %r failed", who, self.spec.name)
            with self._lock:
                self._asking = False
            self.end(StudyState.FAILED, f"the {who} failed: {type(error).__name__}: {error}")

    def _take(self, suggestions: Sequence[Suggestion], news: Sequence[Result]) -> None:
        """Queue what the searcher suggested after it heard `news`. The lock is held."""
        self._told += sum(r.state is not RunState.RUNNING for r in news)
        if self._ending is not None or self._budget.used_up:
            return
        for suggestion in suggestions:
            self.spec.space.check(suggestion.config)
            if suggestion.parent is not None and suggestion.parent not in self._record:
                raise InvalidInput(f"trial {suggestion.parent} has not ended: nothing goes on from it.", where=f"trial {self._next}")
            if suggestion.state or suggestion.budget is not None:
                # What cannot be written would be refused by the store, and nobody would hear of the trial.
                codec.encode([suggestion.state, suggestion.budget])
            self._queue(
                Active(
                    number=self._next,
                    config=suggestion.config,
                    known=self._told,
                    memory=suggestion.state,
                    budget=suggestion.budget,
                    parent=suggestion.parent,
                    evaluations=self.spec.evaluations,
                )
            )


_NEVER = datetime.max.replace(tzinfo=UTC)
