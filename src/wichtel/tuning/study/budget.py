"""What ends a study before it has all its trials: its time, its cost, and its terminators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from wichtel.domain import StudySpec, Trial
from wichtel.tuning.ports import Result, Terminator


class Budget:
    """What a study may still use up.

    Args:
        started: When the study did, whatever process it was in; aware.
    """

    def __init__(self, spec: StudySpec, started: datetime) -> None:
        self._spec = spec
        self._started = started
        #: What its trials have cost.
        self.spent = 0.0

    def note(self, trial: Trial) -> None:
        """Count an ended trial; one that was copied cost nothing."""
        if self._spec.max_cost is None or trial.copied_from is not None:
            return
        name = self._spec.cost_metric
        values = trial.samples.get(name) or ([trial.metrics[name]] if name in trial.metrics else [])
        self.spent += sum(value for value in values if math.isfinite(value))

    @property
    def used_up(self) -> str:
        """Why no more trials are begun; empty while they are."""
        limit = self._spec.max_cost
        if limit is None or self.spent < limit:
            return ""
        return f"its trials have cost {self.spent:g} of {limit:g}"

    def seconds_left(self) -> float | None:
        """Until the time is up; None if there is no limit."""
        if self._spec.max_seconds is None or math.isinf(self._spec.max_seconds):
            return None
        return self._spec.max_seconds - (datetime.now(UTC) - self._started).total_seconds()

    @property
    def time_is_up(self) -> str:
        """The reason for the user."""
        return f"its {self._spec.max_seconds:g} s are up"


class Judges:
    """The terminators of a study, and what they have heard."""

    def __init__(self, terminators: Sequence[Terminator]) -> None:
        self._terminators = tuple(terminators)
        self._results: list[Result] = []

    def __bool__(self) -> bool:
        return bool(self._terminators)

    def hear(self, ended: Sequence[Result]) -> str:
        """Ask all of them, after these ended; returns the reason of the first that wants to end the study, empty if none does."""
        self._results += ended
        for terminator in self._terminators:
            decision = terminator.decide(self._results)
            if decision.stop:
                return decision.reason or "its terminator gave no reason"
        return ""


def runs_ahead(spec: StudySpec, learns: bool, most: int) -> int:
    """How many runs are submitted beyond the workers of a study, at most `most`; `learns`: its searcher does."""
    if spec.max_cost is not None or (spec.workers == 1 and (learns or spec.terminators)):
        return 0
    if learns:
        return min(most, max(1, spec.workers // 4))
    # A study that ends early cancels what it submitted.
    return min(most, spec.workers) if spec.terminators or spec.max_seconds is not None else most
