"""Studies and their trials."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from numbers import Integral, Real
from typing import Any, Self

from wichtel.domain.errors import InvalidInput, one_of
from wichtel.domain.metric import Expectation
from wichtel.domain.run import Resources, RetryPolicy
from wichtel.domain.seed import seed_of
from wichtel.domain.space import Config, Space
from wichtel.domain.states import RunState, StudyState

#: More than any fleet has, and few enough that a service can hold their runs in memory.
_MOST_WORKERS = 100_000
_MOST_EVALUATIONS = 10_000


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


_BOUND = re.compile(r"\s*(?P<metric>.+?)\s*(?P<sign><=|>=)\s*(?P<value>\S+)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricBound:
    """What a metric has to be for a trial to be *feasible*: at most `high`, at least `low`, or both.

    Raises:
        InvalidInput: neither is given, or they exclude each other.

    >>> MetricBound.parse("latency <= 0.1").violation({"latency": 0.15}) > 0
    True
    """

    metric: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        where = f"constraint on {self.metric!r}"
        if not self.metric or (self.low is None and self.high is None):
            raise InvalidInput("it needs a metric and a bound.", where=where, hint='For example "latency <= 0.1".')
        for bound in (self.low, self.high):
            if bound is not None and not math.isfinite(bound):
                raise InvalidInput(f"bound {bound!r} is not finite.", where=where)
        if self.low is not None and self.high is not None and self.low > self.high:
            raise InvalidInput(f"nothing is both at least {self.low} and at most {self.high}.", where=where)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"metric <= number"`` or ``"metric >= number"``.

        Raises:
            InvalidInput: it is something else.
        """
        found = _BOUND.fullmatch(text)
        try:
            value = float(found["value"]) if found else math.nan
        except ValueError:
            value = math.nan
        if found is None or math.isnan(value):
            raise InvalidInput(f"{text!r} is no constraint.", where="constraints", hint='Write "metric <= number" or "metric >= number".')
        return cls(metric=found["metric"], **{"high" if found["sign"] == "<=" else "low": value})

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.metric} <= {self.high:g}"
        return f"{self.metric} >= {self.low:g}" if self.high is None else f"{self.low:g} <= {self.metric} <= {self.high:g}"

    def violation(self, metrics: Mapping[str, float]) -> float:
        """How far `metrics` is out of bounds, in the metric's unit; 0 if it is not, infinite if the metric is missing or NaN."""
        value = metrics.get(self.metric, math.nan)
        if math.isnan(value):
            return math.inf
        below = 0.0 if self.low is None else self.low - value
        above = 0.0 if self.high is None else value - self.high
        return max(0.0, below, above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """A searcher, pruner or terminator by its registered name, with its options."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """One search. Each evaluation of a trial becomes a run of `entry` with ``{**payload, "config": …, "trial": number, …}``.

    Raises:
        InvalidInput: a number that makes no sense, such as no trials or no workers, or so many that nobody could carry it.
    """

    id: str
    #: The user's name for it; calling again with it resumes. Unique.
    name: str
    space: Space
    objectives: tuple[Objective, ...]
    entry: str
    payload: dict[str, Any] = field(default_factory=dict)
    #: A trial that breaks one of these is infeasible, and worse than any that is feasible.
    constraints: tuple[MetricBound, ...] = ()
    searcher: Algorithm = field(default_factory=lambda: Algorithm(name="auto"))
    pruner: Algorithm | None = None
    #: Each may end the study early.
    terminators: tuple[Algorithm, ...] = ()
    #: The study ends with this many trials,
    trials: int = 100
    #: or when it has run this long: no trial is begun after that, and those at work are canceled,
    max_seconds: float | None = None
    #: or when its trials have cost this much: no trial is begun after that.
    max_cost: float | None = None
    #: The metric that says what a trial cost, if there is a `max_cost`.
    cost_metric: str = "cost"
    #: Most evaluations at once.
    workers: int = 1
    #: Each trial is evaluated on each of so many folds
    folds: int = 1
    #: and so many times with different seeds; its metrics are the means of all.
    repeats: int = 1
    seed: int = 0
    #: Configurations to evaluate before the searcher is asked.
    enqueued: tuple[Config, ...] = ()
    #: Where the first of these come from, if they are another study's, in words.
    origins: tuple[str, ...] = ()
    #: Numbers that describe the data set, by which similar studies are found.
    meta: dict[str, float] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    priority: int = 0
    quota_group: str = "default"
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    #: Limit on one trial.
    timeout_seconds: float | None = None
    #: Whether trials of one study that fail for the user's reason end it: the share of failed trials (of at least 5) above which they do.
    max_failed_share: float = 0.5

    def __post_init__(self) -> None:
        where = f"study {self.name!r}"
        if not self.id or not self.name:
            raise InvalidInput("a study needs an id and a name.", where=where)
        self._check_numbers(where)
        if not self.objectives:
            raise InvalidInput("a study needs an objective.", where=where)
        names = [o.metric for o in self.objectives]
        if len(set(names)) < len(names):
            raise InvalidInput(f"an objective stands there twice: {', '.join(names)}.", where=where)
        for config in self.enqueued:
            self.space.check(config)

    def _check_numbers(self, where: str) -> None:
        for name in ("trials", "workers", "folds", "repeats", "seed", "priority"):
            if not isinstance(getattr(self, name), Integral):
                raise InvalidInput(f"{name} is {getattr(self, name)!r}, which is no whole number.", where=where)
        if self.trials < 1:
            raise InvalidInput(f"a study of {self.trials} trials finds nothing.", where=where)
        if self.workers < 1:
            raise InvalidInput(f"{self.workers} workers cannot work.", where=where)
        if self.folds < 1 or self.repeats < 1:
            raise InvalidInput(f"{self.folds} folds × {self.repeats} repeats is no evaluation.", where=where)
        for number, most, what in (
            (self.trials, 2**31 - 1, "trials"),
            (self.workers, _MOST_WORKERS, "workers"),
            (self.evaluations, _MOST_EVALUATIONS, "evaluations of each trial"),
        ):
            if number > most:
                raise InvalidInput(f"{number:,} {what} are more than {most:,}.", where=where)
        if not -(2**31) <= self.priority < 2**31:
            raise InvalidInput(f"priority {self.priority} does not fit into 32 bits.", where=where)
        for name in ("max_seconds", "max_cost", "timeout_seconds"):
            limit = getattr(self, name)
            if limit is not None and not (_is_number(limit) and limit > 0):
                raise InvalidInput(f"{name} is {limit!r}, but must be positive.", where=where)
        if not (_is_number(self.max_failed_share) and 0 <= self.max_failed_share <= 1):
            raise InvalidInput(f"max_failed_share is {self.max_failed_share!r}, which is no share.", where=where, hint="Between 0 and 1.")
        for name, value in self.meta.items():
            if not (_is_number(value) and math.isfinite(value)):
                raise InvalidInput(f"{name!r} is {value!r}, which is no finite number.", where=f"{where}, meta")

    @property
    def evaluations(self) -> int:
        """Runs of one trial."""
        return self.folds * self.repeats

    def trial_seed(self, number: int, evaluation: int = 0) -> int:
        """The seed of an evaluation of trial `number`: the same on every resume, in every order. In ``[0, 2**31)``."""
        return seed_of(self.seed, number, evaluation) if evaluation else seed_of(self.seed, number)


def _is_number(value: object) -> bool:
    """Of whatever library."""
    return isinstance(value, Real)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration on trial. Its number counts from 0; see `run` for what carries it out."""

    study: str
    number: int
    config: Config
    state: RunState = RunState.PENDING
    #: How far it was to train, in the terms of the searcher that gave it (epochs, examples); None: the function decides.
    budget: float | None = None
    #: The number of the trial whose checkpoint it started from.
    parent: int | None = None
    #: Where the configuration comes from if not from the searcher: "enqueued", or a trial of another study.
    origin: str = ""
    #: The last value of each metric that it reported or returned; with several evaluations, their means.
    metrics: dict[str, float] = field(default_factory=dict)
    #: With several evaluations, the values of each metric in their order, for those that have one.
    samples: dict[str, list[float]] = field(default_factory=dict)
    #: Name → digest in the artifact store, of the files that it returned.
    artifacts: dict[str, str] = field(default_factory=dict)
    #: Why it was stopped, failed, or answered without running.
    reason: str = ""
    #: The number of the earlier trial with the same configuration whose metrics these are.
    copied_from: int | None = None
    #: What the searcher needs to remember of this suggestion.
    searcher_state: dict[str, Any] = field(default_factory=dict)
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None

    def run(self, evaluation: int | None = None) -> str:
        """``<study id>/<number>``, the id of its run; with several evaluations, ``…/<evaluation>``, from 0."""
        return f"{self.study}/{self.number}" if evaluation is None else f"{self.study}/{self.number}/{evaluation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study as the store knows it. All times are aware, UTC."""

    spec: StudySpec
    state: StudyState = StudyState.PENDING
    #: Why it ended, in words.
    reason: str = ""
    created: datetime
    #: If it was extended after it had ended, later by the time for which it lay there.
    started: datetime | None = None
    ended: datetime | None = None
