"""What a tracker is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from wichtel.domain import Config, StudySpec, StudyState, Trial


@runtime_checkable
class Tracker(Protocol):
    """Mirrors a study elsewhere. All calls come from one thread, which is not the study's: it may take its time.

    A tracker that raises is logged and hears nothing more; the study goes on.

    After a crash the study is told again from its beginning: trials that had ended come once more, and others begin anew. A tracker
    therefore finds what it wrote before by the study's id and the trial's number, and does not write it twice.
    """

    def start(self, spec: StudySpec, resumed: bool) -> None:
        """The study begins; or goes on, if it is `resumed`."""
        ...

    def begin_trial(self, trial: int, config: Config) -> None:
        """A trial begins. Not told of one that is answered from an earlier one, or had ended before a crash."""
        ...

    def measure(self, trial: int, step: int, metrics: Mapping[str, float]) -> None:
        """A trial reported. Of a step, all evaluations' means."""
        ...

    def end_trial(self, trial: Trial) -> None:
        """A trial ended, now or before a crash."""
        ...

    def finish(self, state: StudyState, reason: str) -> None:
        """Nothing more comes: the study ended, or (RUNNING) was interrupted and may be resumed."""
        ...
