"""What searchers, pruners and terminators are. All are pure: they see what happened and answer with a value, keep no time and do no I/O."""

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
    #: The length of `Result.violations`.
    constraints: int = 0
    #: How many trials there will be at most.
    trials: int = 100
    #: How many of them run at once, at most.
    workers: int = 1
    #: Trial number → its seed, in ``[0, 2**31)``.
    seed: Callable[[int], int]

    @classmethod
    def of(cls, spec: StudySpec) -> Self:
        """The problem that a study poses."""
        return cls(
            space=spec.space,
            objectives=spec.objectives,
            constraints=len(spec.constraints),
            trials=spec.trials,
            workers=max(1, spec.workers // spec.evaluations),
            seed=spec.trial_seed,
        )

    def random(self, number: int) -> Random:
        """The random numbers for suggesting trial `number`: the same whenever and wherever it is suggested."""
        return Random(self.seed(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A configuration to evaluate."""

    config: Config
    #: How far to train, handed to the function as ``budget``; None: the function decides.
    budget: float | None = None
    #: The trial from whose checkpoint this one goes on; it has ended.
    parent: int | None = None
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
    #: One number for each constraint: how far it is broken, 0 if it holds; infinite if it was not measured. Empty if `losses` is.
    violations: tuple[float, ...] = ()
    #: The last step that it reported, if it reported.
    step: int | None = None
    #: `Suggestion.budget`.
    budget: float | None = None
    #: `Suggestion.parent`.
    parent: int | None = None
    #: `Suggestion.state`.
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def feasible(self) -> bool:
        """Whether it has losses and breaks no constraint."""
        return bool(self.losses) and not any(self.violations)


@runtime_checkable
class Searcher(Protocol):
    """Proposes configurations. Made as ``factory(problem, **options)``; called from one thread at a time, and never from the event loop.

    What trial number *n* is given depends only on the problem, on *n*, and on the results heard before it was sampled, in their order;
    a searcher that is told a study's log therefore goes on as the one that wrote it would have.

    A class may say more about itself:

    - ``learns = False``: its suggestions do not depend on results, and may be asked for far ahead.
    - ``promotes = True``: a suggestion may name a `Suggestion.parent`; the checkpoints of ended trials are kept until the study ends.
    - ``explanation``, a string of an instance: what it is doing and why, for the user.
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
    """Whether a trial or a study is stopped, and why or why not, in words for its user."""

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


@runtime_checkable
class Terminator(Protocol):
    """Ends a study that will not come to more. Made as ``factory(problem, **options)``, asked after each trial, never on the event loop."""

    def decide(self, results: Sequence[Result]) -> Decision:
        """Judge the study by its ended trials, in the order of their ends; `results` only ever grows. The same give the same decision."""
        ...
