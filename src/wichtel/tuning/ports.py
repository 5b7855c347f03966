"""What a searcher and a pruner are. Both are pure: they see what happened and answer with a value; neither keeps time nor does I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from wichtel.domain import Config, Objective, RunState, Space, StudySpec

if TYPE_CHECKING:
    from wichtel.tuning.curves import Curves


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a searcher is made for."""

    space: Space
    objectives: tuple[Objective, ...]
    #: Trial number → its seed, in ``[0, 2**31)``.
    seed: Callable[[int], int]

    @classmethod
    def of(cls, spec: StudySpec) -> Self:
        """The problem that a study poses."""
        return cls(space=spec.space, objectives=spec.objectives, seed=spec.trial_seed)

    def random(self, number: int) -> Random:
        """The random numbers for suggesting trial `number`: the same whenever and wherever it is suggested."""
        return Random(self.seed(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A configuration to evaluate."""

    config: Config
    #: Plain JSON that comes back with the `Result`, also after a restart.
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of trial `number`."""

    number: int
    config: Config
    #: RUNNING when it was begun; SUCCEEDED, STOPPED (by the pruner), FAILED (also: its objective is not finite) or CANCELED when it ended.
    state: RunState
    #: One loss for each objective, smaller is better, all finite; empty unless SUCCEEDED, or STOPPED after a measurement.
    losses: tuple[float, ...] = ()
    #: The last step that it reported, if it reported.
    step: int | None = None
    #: `Suggestion.state`.
    memory: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Searcher(Protocol):
    """Proposes configurations. Made as ``factory(problem, **options)``; called from one thread at a time, and never from the event loop.

    What trial number *n* is given depends only on the problem, on *n*, and on the results heard before it was sampled, in their order;
    a searcher that is told a study's log therefore goes on as the one that wrote it would have.

    A class may say ``learns = False``: its suggestions do not depend on results, and may be asked for far ahead.
    """

    def sample(self, n: int) -> list[Suggestion]:
        """Suggest configurations for the next `n` trials; numbers go on from the highest that was sampled or heard of.

        Fewer than `n` while trials are running means: ask again when one has ended. Fewer with none running ends the study.
        """
        ...

    def update(self, results: Sequence[Result]) -> None:
        """Hear what happened, in order.

        A trial that it did not sample itself (the user's, or one of the log) is first heard of as RUNNING.
        """
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a trial is stopped, and why or why not, in words for its user."""

    stop: bool
    reason: str


@runtime_checkable
class Pruner(Protocol):
    """Stops trials that will not come to anything. Made as ``factory(**options)``.

    Called on the event loop after each measurement of the objective: it has to answer in well under a millisecond, however many trials
    there are.
    """

    def decide(self, curves: Curves, trial: int) -> Decision:
        """Judge trial number `trial`, whose latest measurement is already in `curves`. The same curves give the same decision."""
        ...
