"""Runs: pieces of work that a worker carries out, in one or more attempts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wichtel.domain.errors import InvalidInput
from wichtel.domain.states import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one run occupies while it runs.

    Raises:
        InvalidInput: an amount that is negative or not finite.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    #: Limit on resident memory; None for no limit.
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.cpus < 0 or self.gpus < 0 or (self.memory_bytes is not None and self.memory_bytes <= 0):
            raise InvalidInput(f"{self} has a negative amount.")
        if not (math.isfinite(self.cpus) and math.isfinite(self.gpus)):
            raise InvalidInput(f"{self} has an amount that is not finite.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a run is tried again after its *worker* was lost. A run that fails for the user's reason is not retried."""

    max_attempts: int = 4

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise InvalidInput(f"a run of {self.max_attempts} attempts is never run.", where="retry")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What is to be run. Submitting the same `id` twice is submitting it once.

    `entry` is ``"module:function"``; a worker imports it and calls ``function(payload, context)``, whose plain-JSON result is the run's.

    Raises:
        InvalidInput: a priority of more than 32 bits.
    """

    id: str
    entry: str
    payload: dict[str, Any] = field(default_factory=dict)
    #: Who is told of measurements and the end, as ``kind/id`` (``study/s-1``); empty for nobody.
    owner: str = ""
    seed: int = 0
    resources: Resources = field(default_factory=Resources)
    #: Within its quota group larger goes first; within one priority, first come, first served.
    priority: int = 0
    quota_group: str = "default"
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_seconds: float | None = None
    #: The run whose kept checkpoint is copied to this one's before its first attempt.
    checkpoint_from: str = ""
    #: Whether its checkpoint is kept when it ends, until `Controller.forget`.
    keep_checkpoint: bool = False

    def __post_init__(self) -> None:
        if not -(2**31) <= self.priority < 2**31:
            raise InvalidInput(f"priority {self.priority} does not fit into 32 bits.", where=f"run {self.id!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as the store knows it. All times are aware, UTC."""

    spec: RunSpec
    state: RunState = RunState.PENDING
    #: The number of the latest attempt, from 1; 0 before the first.
    attempt: int = 0
    worker: str = ""
    result: Any = None
    #: `WichtelError.to_json` of why it failed, or the reason it was stopped under ``"message"``.
    error: dict[str, Any] | None = None
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
