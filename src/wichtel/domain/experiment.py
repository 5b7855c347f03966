"""Registrations and the experiments they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wichtel.domain.errors import InvalidInput
from wichtel.domain.failure import Failure
from wichtel.domain.intent import Intent, Verdict
from wichtel.domain.states import ExperimentState, ExperimentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentConfig:
    """Everything that decides what an experiment does. Filled in from metadata and intent; every field can be overridden."""

    #: Resolved for the model: no placeholder is left.
    intent: Intent
    #: The protocol's own, complete with defaults.
    parameters: dict[str, Any] = field(default_factory=dict)
    #: The baseline is retrained if it was trained longer ago than this.
    baseline_max_age_days: float = 30.0
    #: Trainings of baseline and of candidate, each with a seed of its own.
    replicates: int = 1
    seed: int = 0
    priority: int = 0
    #: Where each value came from: field → ``user``, ``protocol``, ``model``; ``default`` if it is not named.
    origin: dict[str, str] = field(default_factory=dict)
    #: The experiment that this one repeats; empty for most.
    rerun_of: str = ""

    def __post_init__(self) -> None:
        where = "experiment configuration"
        if not 1 <= self.replicates <= 100:
            raise InvalidInput(f"replicates is between 1 and 100, not {self.replicates}.", where=where)
        if not self.baseline_max_age_days >= 0:
            raise InvalidInput("baseline_max_age_days is not negative.", where=where)
        # What a database and JSON hold.
        if not -1_000_000 <= self.priority <= 1_000_000:
            raise InvalidInput(f"priority is between -1,000,000 and 1,000,000, not {self.priority}.", where=where)
        if not -(2**63) <= self.seed < 2**63:
            raise InvalidInput(f"the seed {self.seed} takes more than 64 bits.", where=where)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResult:
    """What an experiment found."""

    baseline: str
    #: Version of the proposed model.
    candidate: str
    verdict: Verdict
    #: Artifact digest of the unified diff from target to candidate; empty when the source is unchanged.
    diff: str = ""
    #: What the recipe did not touch and why.
    untouched: tuple[str, ...] = ()
    #: Trainings that this experiment asked for.
    models_trained: int = 0
    baseline_metrics: dict[str, float] = field(default_factory=dict)
    candidate_metrics: dict[str, float] = field(default_factory=dict)
    study: str = ""
    #: Best configurations of a search, best first, with their metrics.
    best: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One protocol on one model. All times are aware, UTC."""

    id: str
    registration: str
    model: str
    #: The version it starts from, fixed at registration.
    target: str
    protocol: str
    config: ExperimentConfig
    owner: str
    quota_group: str
    state: ExperimentState = ExperimentState.ENQUEUED
    status: ExperimentStatus | None = None
    #: Why it ended as it did, in words.
    cause: str = ""
    #: How often it was scheduled; part of the workflow's id, so that a stale workflow is known as such.
    generation: int = 0
    #: Empty until the workflow has started.
    workflow: str = ""
    result: ExperimentResult | None = None
    #: Of one that failed: what happened, where, and what to do.
    failure: Failure | None = None
    created: datetime
    started: datetime | None = None
    #: When the first step of its workflow began.
    began: datetime | None = None
    finished: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """An experiment without how it was configured and what it found."""

    id: str
    model: str
    protocol: str
    state: ExperimentState
    status: ExperimentStatus | None
    cause: str
    started: datetime | None
    finished: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How the experiments of a registration stand."""

    #: Status, or state of those that have not finished → how many.
    counts: dict[str, int]
    #: Whose share they take, in the order of names.
    teams: tuple[str, ...]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    @property
    def unfinished(self) -> int:
        """How many of them have not finished."""
        return sum(self.counts.get(state, 0) for state in ExperimentState if state is not ExperimentState.FINISHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Models × protocols, as somebody asked for them."""

    id: str
    owner: str
    models: tuple[str, ...]
    protocols: tuple[str, ...]
    experiments: tuple[str, ...]
    created: datetime
    canceled: datetime | None = None
