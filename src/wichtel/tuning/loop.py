"""The study loop: owner of a study's runs. Asks the searcher, hears of measurements, asks the pruner, writes trials, knows when to end."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from wichtel.domain import InvalidInput, Measurement, Run, RunSpec, RunState, StudySpec, StudyState, SystemFault, Trial
from wichtel.fleet.ports import Stop
from wichtel.tuning.curves import Curves
from wichtel.tuning.log import Active, active_of, begun, number_of, owner_of, replay, result_of, run_of, trial_of
from wichtel.tuning.ports import Pruner, Result, Searcher

_log = logging.getLogger(__name__)

#: Trials of which most have to fail before a study is given up early.
_ENOUGH = 5
#: Suggestions of a searcher that does not learn are made this many at a time.
_BATCH = 64


class Fleet(Protocol):
    """What a study needs of a controller."""

    def submit(self, specs: Iterable[RunSpec]) -> object:
        """Have these carried out; one that was submitted before is not carried out again."""

    def cancel(self, run_id: str, reason: str) -> object:
        """End a run."""


class StudyLoop:
    """One study on its way. An `Owner` for the controller's thread; suggestions are made on a thread of its own.

    Args:
        write: Makes a trial durable, in the order of calls; at once if told so, else when it suits.
        ahead: Runs submitted beyond ``spec.workers``, so that a worker need not wait for the next; only of a searcher that does not learn,
            and only right where the fleet has no more workers than the study may use.
        on_trial: Told of each trial that ends, on the thread that hears of it.
        on_done: Told once, when the last trial has ended.

    Raises:
        InvalidInput: more than one objective.
    """

    def __init__(
        self,
        spec: StudySpec,
        searcher: Searcher,
        pruner: Pruner | None,
        fleet: Fleet,
        write: Callable[[Trial, bool], Future[None]],
        *,
        ahead: int = 0,
        on_trial: Callable[[Trial], None] = lambda _: None,
        on_done: Callable[[StudyState, str], None] = lambda _state, _reason: None,
    ) -> None:
        if len(spec.objectives) != 1:
            raise InvalidInput("a study of several objectives is not possible yet.", where=f"study {spec.name!r}", hint="Name one.")
        self.spec = spec
        self.done = threading.Event()
        self._objective = spec.objectives[0]
        self._searcher = searcher
        self._pruner = pruner
        self._curves = Curves((self._objective,))
        self._fleet = fleet
        self._write = write
        self._on_trial = on_trial
        self._on_done = on_done
        learns = getattr(searcher, "learns", True)
        self._limit = spec.workers + (0 if learns else ahead)
        # With one worker, a suggestion that waits for all results is worth more than one that is there at once, and is reproducible.
        self._prefetch = _BATCH if not learns else 0 if spec.workers == 1 else max(1, spec.workers // 4)

        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._active: dict[int, Active] = {}
        self._trials: dict[int, Trial] = {}
        #: Configuration → the trial that evaluated it.
        self._scores: dict[str, int] = {}
        self._ready: deque[Active] = deque()
        self._news: list[Result] = []
        self._next = 0
        self._order = 0
        self._told = 0
        self._crashed = 0
        self._exhausted = False
        self._asking = False
        #: Copies whose row may not be durable yet: no later trial may become durable before them, or their number would be lost.
        self._unsaved: list[Future[None]] = []
        self._ending: tuple[StudyState, str] | None = None
        self._closed = False
        #: What was heard between attaching and `start`; None from then on.
        self._early: list[Measurement | Run] | None = []
        self._thread = threading.Thread(target=self._ask, name=f"study {spec.name}", daemon=True)

    # Life

    def restore(self, trials: Sequence[Trial], runs: Sequence[Run], measurements: Sequence[Measurement]) -> None:
        """Take up what an earlier process left. Call before `start`, and attach before reading the store: what is heard meanwhile is kept.

        Args:
            trials: Those that have ended.
            runs: Those of the study; also ones whose trial is written.
            measurements: Of all runs if there is a pruner, else at least of those that have no trial yet.
        """
        with self._lock:
            for trial in trials:
                self._note(trial)
                self._order = max(self._order, trial.searcher_state.get("order", -1) + 1)
            left = [run for run in runs if number_of(run.spec.id) not in self._trials]
            for run in left:
                active = active_of(run.spec)
                self._active[active.number] = active
            for m in measurements:
                number = number_of(m.run)
                self._measure(m, number)
            for number in self._trials:
                self._curves.end(number)
            # Their ends were heard in this order, if they were.
            for run in sorted((r for r in left if r.state.ended), key=lambda r: r.ended or r.created):
                self._end(self._active.pop(number_of(run.spec.id)), run)
            self._news = replay(self._trials.values(), self._active.values(), self.spec.objectives)
            self._told = self._order - sum(r.state is not RunState.RUNNING for r in self._news)
            self._next = max([*self._trials, *self._active], default=-1) + 1

    def start(self) -> None:
        """Begin, or go on."""
        with self._lock:
            for number, config in enumerate(self.spec.enqueued[: self.spec.trials]):
                if number >= self._next:
                    self._ready.append(Active(number, config, None, {}))
                    self._news.append(begun(number, config, {}))
                    self._next = number + 1
            early, self._early = self._early or [], None
            for word in early:
                if isinstance(word, Run):
                    self.on_end(word)
                else:
                    self.on_measurement(word)
            self._hand_out()
            self._settle()
        self._thread.start()

    def end(self, state: StudyState, reason: str) -> None:
        """End the study before its time: its runs are canceled, and `done` follows when they have ended."""
        with self._lock:
            if self._ending is not None:
                return
            self._ending = (state, reason)
            self._ready.clear()
            active = [f"{self.spec.id}/{n}" for n in self._active]
            self._settle()
        for run in active:
            self._fleet.cancel(run, reason)

    def close(self) -> None:
        """Let go of the study as it is: another process, or a later one, goes on with it."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    # Owner

    def on_measurement(self, measurement: Measurement) -> Stop | None:
        """See `wichtel.fleet.Owner`."""
        number = number_of(measurement.run)
        with self._lock:
            if self._early is not None:
                self._early.append(measurement)
                return None
            ours = measurement.run == f"{self.spec.id}/{number}" and number in self._active
            if not ours or not self._measure(measurement, number) or self._pruner is None:
                return None
            try:
                decision = self._pruner.decide(self._curves, number)
            except Exception as error:  # noqa: BLE001 - as with a searcher: anybody's code
                _log.exception("the pruner of study %r failed", self.spec.name)
                self.end(StudyState.FAILED, f"the pruner failed: {type(error).__name__}: {error}")
                return None
        return Stop(decision.reason) if decision.stop else None

    def on_end(self, run: Run) -> list[RunSpec]:
        """See `wichtel.fleet.Owner`."""
        with self._lock:
            if self._early is not None:
                self._early.append(run)
                return []
            # A controller tells the nearest owner: of the runs of `a/b`, that may be study `a`.
            ours = run.spec.owner == owner_of(self.spec.id) and not self._closed
            active = self._active.pop(number_of(run.spec.id), None) if ours else None
            if active is None:
                return []
            trial = self._end(active, run)
            self._news.append(result_of(trial, self.spec.objectives))
            self._hand_out()
            self._settle()
            return []

    # Inside; the lock is held

    def _measure(self, measurement: Measurement, number: int) -> bool:
        """Note a measurement; whether it says something new about the objective."""
        active = self._active.get(number)
        if active is not None:
            active.metrics.update(measurement.metrics)
            active.step = measurement.step
        value = measurement.metrics.get(self._objective.metric)
        return value is not None and self._curves.add(number, measurement.step, value)

    def _end(self, active: Active, run: Run) -> Trial:
        trial = trial_of(self.spec, active, run, self._order)
        self._order += 1
        self._curves.end(trial.number)
        self._write(trial, False)
        self._note(trial)
        self._on_trial(trial)
        crashed, ended = self._crashed, len(self._trials)
        if self._ending is None and ended >= _ENOUGH and crashed > self.spec.max_failed_share * ended:
            self.end(StudyState.FAILED, f"{crashed} of {ended} trials failed; the last: {self._last_failure()}")
        return trial

    def _note(self, trial: Trial) -> None:
        self._trials[trial.number] = trial
        self._crashed += bool(trial.searcher_state.get("crashed"))
        if trial.state in (RunState.SUCCEEDED, RunState.STOPPED):
            self._scores.setdefault(self.spec.space.key(trial.config), trial.number)

    def _hand_out(self) -> None:
        """Submit the runs of suggestions that are ready, as far as there are workers.

        Always from here and with the lock held, so that runs become durable in the order of their numbers, and a kill leaves no gap.
        """
        specs: list[RunSpec] = []
        while self._ready and len(self._active) < self._limit and self._ending is None:
            active = self._ready.popleft()
            earlier = self._scores.get(self.spec.space.key(active.config))
            if earlier is None:
                self._active[active.number] = active
                specs.append(run_of(self.spec, active))
            else:
                self._copy(active, self._trials[earlier])
        if specs and self._unsaved:
            try:
                for future in self._unsaved:
                    future.result()
            except SystemFault as fault:
                # The store is away and so is the host: the next one goes on from what is durable.
                _log.warning("study %r is left as it is: %s", self.spec.name, fault)
                self._closed = True
                self._changed.notify_all()
                return
            self._unsaved.clear()
        if specs:
            self._fleet.submit(specs)
        self._changed.notify_all()

    def _copy(self, active: Active, earlier: Trial) -> None:
        """Answer from the score cache."""
        now = datetime.now(UTC)
        state = {"known": active.known, "order": self._order, "state": active.memory, "step": earlier.searcher_state.get("step")}
        source = earlier.number if earlier.copied_from is None else earlier.copied_from
        trial = replace(
            earlier,
            number=active.number,
            config=active.config,
            reason=f"the same configuration as trial {source}",
            copied_from=source,
            searcher_state=state,
            created=now,
            started=now,
            ended=now,
        )
        self._order += 1
        self._unsaved.append(self._write(trial, True))
        self._note(trial)
        self._news.append(result_of(trial, self.spec.objectives))
        self._on_trial(trial)

    def _settle(self) -> None:
        """See whether the study is over."""
        if self._active or self.done.is_set() or self._closed:
            return
        if self._ending is None:
            if self._ready or self._asking:
                return
            if self._next < self.spec.trials and not (self._exhausted and not self._news):
                return
            self._ending = self._verdict()
        self.done.set()
        self._changed.notify_all()
        self._on_done(*self._ending)

    def _verdict(self) -> tuple[StudyState, str]:
        ended = len(self._trials)
        if not self._scores:
            return StudyState.FAILED, f"none of {ended} trials has a result; the last: {self._last_failure()}"
        if self._crashed > self.spec.max_failed_share * ended:
            return StudyState.FAILED, f"{self._crashed} of {ended} trials failed; the last: {self._last_failure()}"
        if ended < self.spec.trials:
            return StudyState.FINISHED, f"the searcher has no more configurations after {ended} trials"
        return StudyState.FINISHED, f"all {ended} trials are done"

    def _last_failure(self) -> str:
        failed = [t for t in self._trials.values() if t.state is RunState.FAILED]
        reason = max(failed, key=lambda t: t.searcher_state.get("order", 0)).reason if failed else "it was canceled"
        # The rest is a traceback, which stands with the trial.
        return reason.partition("\n")[0]

    # The searcher's thread

    def _wanted(self) -> int:
        """How many suggestions to ask for now."""
        if self._ending is not None:
            return 0
        free = self._limit - len(self._active) - len(self._ready)
        if free <= 0 and len(self._ready) > self._prefetch // 2:
            return 0
        if self._exhausted and not self._news:
            return 0
        return max(0, min(free + self._prefetch, self.spec.trials - self._next))

    def _ask(self) -> None:
        try:
            while True:
                with self._lock:
                    while not (wanted := self._wanted()) and not (self._closed or self.done.is_set()):
                        self._changed.wait()
                    if self._closed or self.done.is_set():
                        return
                    news, self._news = self._news, []
                    self._asking = True
                self._searcher.update(news)
                suggestions = self._searcher.sample(wanted)
                with self._lock:
                    self._asking = False
                    self._told += sum(r.state is not RunState.RUNNING for r in news)
                    for suggestion in suggestions:
                        self.spec.space.check(suggestion.config)
                        self._ready.append(Active(self._next, suggestion.config, self._told, suggestion.state))
                        self._next += 1
                    self._exhausted = len(suggestions) < wanted
                    if not self._closed:
                        self._hand_out()
                    self._settle()
        except Exception as error:  # noqa: BLE001 - see below
            # A searcher may be anybody's code; a study whose searcher is broken cannot go on, and its user has to know why.
            _log.exception("the searcher of study %r failed", self.spec.name)
            with self._lock:
                self._asking = False
            self.end(StudyState.FAILED, f"the searcher failed: {type(error).__name__}: {error}")
