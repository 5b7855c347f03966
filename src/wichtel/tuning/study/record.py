"""The trials of a study that have ended: the score cache, and what they say about the study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from wichtel.domain import RunState, StudySpec, StudyState, Trial
from wichtel.tuning.study.active import Active
from wichtel.tuning.study.budget import Budget
from wichtel.tuning.study.log import trial_of

#: Trials of which most have to fail before a study is given up early.
_ENOUGH = 5


class Record:
    """Ended trials, by number.

    Args:
        budget: Counts what they cost.
    """

    def __init__(self, spec: StudySpec, budget: Budget) -> None:
        self._spec = spec
        self._budget = budget
        self._trials: dict[int, Trial] = {}
        #: Configuration and budget → the trial that evaluated it, not from another's checkpoint.
        self._scores: dict[tuple[str, float | None], int] = {}
        self._scored = 0
        self._crashed = 0
        self._forgiven = (0, 0)
        #: How many ends there were; also of trials whose row was lost.
        self.order = 0

    def __contains__(self, number: int) -> bool:
        return number in self._trials

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials.values())

    def __len__(self) -> int:
        return len(self._trials)

    def note(self, trial: Trial) -> None:
        """Take up a trial that ended before."""
        self._trials[trial.number] = trial
        self.order = max(self.order, trial.searcher_state.get("order", -1) + 1)
        self._crashed += bool(trial.searcher_state.get("crashed"))
        self._budget.note(trial)
        if trial.state in (RunState.SUCCEEDED, RunState.STOPPED):
            self._scored += 1
            if trial.parent is None:
                self._scores.setdefault((self._spec.space.key(trial.config), trial.budget), trial.number)

    def forgive(self, trials: Sequence[Trial]) -> None:
        """Those of `trials` that failed do not count against the study any more."""
        self._forgiven = (sum(bool(t.searcher_state.get("crashed")) for t in trials), len(trials))

    def end(self, active: Active) -> Trial:
        """Make a trial of evaluations that have ended."""
        trial = trial_of(self._spec, active, self.order)
        self.note(trial)
        return trial

    def earlier(self, active: Active) -> Trial | None:
        """The trial that answers for `active`; one that goes on from a checkpoint is always evaluated."""
        if active.parent is not None or not self._scores:
            return None
        number = self._scores.get((self._spec.space.key(active.config), active.budget))
        return None if number is None else self._trials[number]

    def copy(self, active: Active, earlier: Trial) -> Trial:
        """Answer for `active` with what an earlier trial found."""
        now = datetime.now(UTC)
        state = {"known": active.known, "order": self.order, "state": active.memory, "step": earlier.searcher_state.get("step")}
        source = self.source(earlier.number)
        trial = replace(
            earlier,
            number=active.number,
            config=active.config,
            origin=active.origin,
            reason=f"the same configuration as trial {source}",
            copied_from=source,
            searcher_state=state,
            created=now,
            started=now,
            ended=now,
        )
        self.note(trial)
        return trial

    def source(self, number: int) -> int:
        """The trial that was evaluated for trial `number`: itself, or the one that it is a copy of."""
        copied = self._trials[number].copied_from if number in self._trials else None
        return number if copied is None else copied

    @property
    def hopeless(self) -> str:
        """Why the study is given up early; empty while it is not."""
        crashed, ended = self._failures()
        return self._too_many() if ended >= _ENOUGH and crashed > self._spec.max_failed_share * ended else ""

    def verdict(self) -> tuple[StudyState, str]:
        """How a study of just these trials has ended."""
        ended = len(self._trials)
        if not self._scored:
            return StudyState.FAILED, f"none of {ended} trials has a result; the last: {self._last_failure()}"
        crashed, among = self._failures()
        if crashed > self._spec.max_failed_share * among:
            return StudyState.FAILED, self._too_many()
        if ended >= self._spec.trials:
            return StudyState.FINISHED, f"all {ended} trials are done"
        return StudyState.FINISHED, self._budget.used_up or f"the searcher has no more configurations after {ended} trials"

    def _failures(self) -> tuple[int, int]:
        """How many trials crashed, of how many that ended."""
        return self._crashed - self._forgiven[0], len(self._trials) - self._forgiven[1]

    def _too_many(self) -> str:
        crashed, ended = self._failures()
        return f"{crashed} of {ended} trials failed; the last: {self._last_failure()}"

    def _last_failure(self) -> str:
        failed = [t for t in self._trials.values() if t.state is RunState.FAILED]
        reason = max(failed, key=lambda t: t.searcher_state.get("order", 0)).reason if failed else "it was canceled"
        # The rest is a traceback, which stands with the trial.
        return reason.partition("\n")[0]
