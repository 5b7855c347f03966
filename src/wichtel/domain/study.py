"""Studies and their trials."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wichtel.domain.errors import InvalidInput, one_of
from wichtel.domain.metric import Expectation
from wichtel.domain.run import Resources, RetryPolicy
from wichtel.domain.seed import seed_of
from wichtel.domain.space import Config, Space
from wichtel.domain.states import RunState, StudyState


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The metric that a study optimises."""

    metric: str
    better: Expectation

    def __post_init__(self) -> None:
        object.__setattr__(self, "better", one_of(Expectation, self.better, where=f"objective {self.metric!r}"))
        if not self.metric:
            raise InvalidInput("an objective needs a metric.")

    def loss(self, value: float) -> float:
        """`value`, turned so that smaller is better."""
        return -value if self.better is Expectation.LARGER else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """A searcher or pruner by its registered name, with its options."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """One search. Each trial becomes a run of `entry` with ``{**payload, "config": …, "trial": number}``.

    Raises:
        InvalidInput: no trials or no workers.
    """

    id: str
    #: The user's name for it; calling again with it resumes. Unique.
    name: str
    space: Space
    objectives: tuple[Objective, ...]
    entry: str
    payload: dict[str, Any] = field(default_factory=dict)
    searcher: Algorithm = field(default_factory=lambda: Algorithm(name="tpe"))
    pruner: Algorithm | None = None
    trials: int = 100
    #: Most trials at once.
    workers: int = 1
    seed: int = 0
    #: Configurations to evaluate before the searcher is asked.
    enqueued: tuple[Config, ...] = ()
    resources: Resources = field(default_factory=Resources)
    priority: int = 0
    quota_group: str = "default"
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    #: Limit on one trial.
    timeout_seconds: float | None = None
    #: Whether trials of one study that fail for the user's reason end it: the share of failed trials (of at least 5) above which they do.
    max_failed_share: float = 0.5

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise InvalidInput(f"a study of {self.trials} trials finds nothing.", where=f"study {self.name!r}")
        if self.workers < 1:
            raise InvalidInput(f"{self.workers} workers cannot work.", where=f"study {self.name!r}")
        if not self.objectives:
            raise InvalidInput("a study needs an objective.", where=f"study {self.name!r}")
        for config in self.enqueued:
            self.space.check(config)

    def trial_seed(self, number: int) -> int:
        """The seed of trial `number`: the same on every resume, in every order. In ``[0, 2**31)``."""
        return seed_of(self.seed, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration's evaluation, from 0. Its run is ``<study id>/<number>``."""

    study: str
    number: int
    config: Config
    state: RunState = RunState.PENDING
    #: The last value of each metric that it reported or returned.
    metrics: dict[str, float] = field(default_factory=dict)
    #: Why it was stopped, failed, or answered without running.
    reason: str = ""
    #: The number of the earlier trial with the same configuration whose metrics these are.
    copied_from: int | None = None
    #: What the searcher needs to remember of this suggestion.
    searcher_state: dict[str, Any] = field(default_factory=dict)
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def run(self) -> str:
        """The id of its run."""
        return f"{self.study}/{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study as the store knows it. All times are aware, UTC."""

    spec: StudySpec
    state: StudyState = StudyState.PENDING
    #: Why it ended, in words.
    reason: str = ""
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
