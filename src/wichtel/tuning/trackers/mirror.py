"""Feeds trackers from a thread of its own, so that the slowest of them costs the study nothing."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from wichtel.domain import Algorithm, Config, InvalidInput, StudySpec, StudyState, Trial
from wichtel.tuning.registry import make_tracker
from wichtel.tuning.trackers.port import Tracker

_log = logging.getLogger(__name__)

#: Measurements that may wait for a slow tracker; from there on, only the latest of each trial waits.
_MOST = 10_000
#: How long the end of a study waits for its trackers.
_PATIENCE_SECONDS = 60.0

_Call = Callable[[Tracker], None]


class Trackers:
    """Tells trackers of a study, in the order of events. As a context manager it starts them and, at the end, waits for them (a minute).

    Begun and ended trials are never left out. When more than 10,000 measurements wait, those of one trial are merged into its latest; it is
    logged once.

    Args:
        trackers: Names of registered ones, `Algorithm` for names with options, or objects.
        spec: The study.
        resumed: Whether it ran before.

    Raises:
        InvalidInput: there is no such tracker, or its options do not do.
    """

    def __init__(self, trackers: Sequence[str | Algorithm | Tracker], spec: StudySpec, resumed: bool = False) -> None:
        self._spec = spec
        self._resumed = resumed
        self._trackers = [_made(tracker) for tracker in trackers]
        self._changed = threading.Condition()
        self._queue: deque[tuple[int | None, _Call]] = deque()
        self._waiting = 0
        self._latest: dict[int, tuple[int, dict[str, float]]] = {}
        self._thinned = False
        self._closed = False
        self._end = (StudyState.RUNNING, "it was interrupted")
        self._thread = threading.Thread(target=self._work, name=f"trackers of {spec.name}", daemon=True)

    def resume(self, trials: Sequence[Trial]) -> None:
        """These had ended before."""
        for trial in trials:
            self(trial)

    def begun(self, number: int, config: Config) -> None:
        """A trial has begun."""
        self._put(None, lambda tracker: tracker.begin_trial(number, config))

    def measured(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        """A trial has reported."""
        if not self._trackers:
            return
        with self._changed:
            merged = self._latest.get(number)
            if merged is None and self._waiting < _MOST:
                self._waiting += 1
                copied = dict(metrics)
                self._queue.append((number, lambda tracker: tracker.measure(number, step, copied)))
                self._changed.notify()
                return
            self._latest[number] = (step, {**(merged[1] if merged else {}), **metrics})
            if self._thinned:
                return
            self._thinned = True
        _log.warning("the trackers of study %r are slow: they get fewer measurements", self._spec.name)

    def __call__(self, trial: Trial) -> None:
        """A trial has ended."""
        if not self._trackers:
            return
        with self._changed:
            self._flush(trial.number)
        self._put(None, lambda tracker: tracker.end_trial(trial))

    def finished(self, state: StudyState, reason: str) -> None:
        """The study has ended."""
        self._end = (state, reason)

    def __enter__(self) -> Self:
        if self._trackers:
            # Before anything that was resumed.
            self._queue.appendleft((None, lambda tracker: tracker.start(self._spec, self._resumed)))
            self._thread.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if not self._trackers:
            return
        state, reason = self._end
        with self._changed:
            for number in list(self._latest):
                self._flush(number)
            self._queue.append((None, lambda tracker: tracker.finish(state, reason)))
            self._closed = True
            self._changed.notify()
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            _log.warning("the trackers of study %r are not done after %g s: what they lack is given up", self._spec.name, _PATIENCE_SECONDS)

    # Inside

    def _put(self, number: int | None, call: _Call) -> None:
        if self._trackers:
            with self._changed:
                self._queue.append((number, call))
                self._changed.notify()

    def _flush(self, number: int) -> None:
        merged = self._latest.pop(number, None)
        if merged is not None:
            step, metrics = merged
            self._queue.append((None, lambda tracker: tracker.measure(number, step, metrics)))

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._latest and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    for number in list(self._latest):
                        self._flush(number)
                if not self._queue:
                    return
                measured, call = self._queue.popleft()
                self._waiting -= measured is not None
            for tracker in list(self._trackers):
                try:
                    call(tracker)
                except Exception:  # noqa: BLE001 - anybody's code, and no reason to lose a study
                    _log.exception("the tracker %s of study %r is given up", _name(tracker), self._spec.name)
                    self._trackers.remove(tracker)
            if not self._trackers:
                with self._changed:
                    self._queue.clear()
                    self._latest.clear()
                return


def _made(given: str | Algorithm | Tracker) -> Tracker:
    if isinstance(given, str):
        given = Algorithm(name=given)
    if isinstance(given, Algorithm):
        return make_tracker(given)
    if isinstance(given, Tracker) and not isinstance(given, type):
        return given
    hint = "It needs start, begin_trial, measure, end_trial and finish; pass an instance."
    raise InvalidInput(f"{given!r} is no tracker.", where="trackers", hint=hint)


def _name(tracker: Any) -> str:
    return f"{type(tracker).__module__}.{type(tracker).__qualname__}"
