"""How a study stands, from what was heard of it."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wichtel.domain import Config, StudySpec, StudyState, Trial
from wichtel.tuning.results.ranking import Front

#: Ended trials that are remembered.
_RECENT = 5


@dataclass(slots=True)
class Work:
    """A trial that has begun and not ended."""

    config: Config
    #: On the monotonic clock.
    began: float
    step: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)


class Board:
    """The figures that views show. Not thread-safe: whoever has it holds the lock that goes with it."""

    def __init__(self, spec: StudySpec, explanation: str = "") -> None:
        self.spec = spec
        self.explanation = explanation
        #: Ended trials by how they ended: the state in lower case, or ``"copied"``.
        self.counts: Counter[str] = Counter()
        self.front = Front(spec)
        #: By number, in the order in which they began. The fleet may hold more than work at once.
        self.work: dict[int, Work] = {}
        self.recent: deque[Trial] = deque(maxlen=_RECENT)
        #: How the study ended.
        self.end: tuple[StudyState, str] | None = None
        self.began = time.monotonic()
        self._resumed = 0

    def resume(self, trials: Sequence[Trial]) -> None:
        """These had ended before."""
        for trial in trials:
            self._count(trial)
        self._resumed += len(trials)
        self.began = time.monotonic()

    def begun(self, number: int, config: Config) -> None:
        """A trial has begun."""
        self.work[number] = Work(config, time.monotonic())

    def measured(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        """A trial has reported."""
        work = self.work.get(number)
        if work is not None:
            work.step = step
            work.metrics.update(metrics)

    def ended(self, trial: Trial) -> None:
        """A trial has ended."""
        self.work.pop(trial.number, None)
        self.recent.append(trial)
        self._count(trial)

    @property
    def done(self) -> int:
        """How many trials have ended."""
        return self.counts.total()

    @property
    def elapsed(self) -> float:
        """Seconds since it began, or was resumed."""
        return time.monotonic() - self.began

    @property
    def left(self) -> float | None:
        """About how many seconds remain, at the pace so far; None before there is one."""
        here = self.done - self._resumed
        if not here:
            return None
        left = self.elapsed / here * max(0, self.spec.trials - self.done)
        if self.spec.max_seconds is not None:
            left = min(left, max(0.0, self.spec.max_seconds - self.elapsed))
        return left

    def headline(self) -> str:
        """The best so far, in words; empty if there is none."""
        best = self.front.trials
        if not best:
            return ""
        broken = "" if self.front.feasible else ", which breaks a constraint"
        if len(self.spec.objectives) == 1:
            metric = self.spec.objectives[0].metric
            return f"best {metric} {best[0].metrics[metric]:.6g} (trial {best[0].number}{broken})"
        parts = []
        for objective in self.spec.objectives:
            values = [t.metrics[objective.metric] for t in best]
            parts.append(f"{objective.metric} {min(values, key=objective.loss):.6g}")
        noun = "trial" if len(best) == 1 else "trials"
        return f"front of {len(best)} {noun}{broken}; best {', '.join(parts)}"

    def _count(self, trial: Trial) -> None:
        self.counts["copied" if trial.copied_from is not None else trial.state.lower()] += 1
        self.front.add(trial)


def plain(text: str) -> str:
    """The first line of other people's text, with what a terminal would obey shown instead."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text.partition("\n")[0])


def figures(values: Mapping[str, object]) -> str:
    """``name=value`` for each, with floats rounded."""
    return ", ".join(f"{name}={v:.6g}" if isinstance(v, float) else f"{name}={v}" for name, v in values.items())


def clock(seconds: float) -> str:
    """``m:ss`` or ``h:mm:ss``.

    >>> clock(83), clock(3723)
    ('1:23', '1:02:03')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
