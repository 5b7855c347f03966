"""Models, their versions, the job that trains them, and what an analysis of the plan found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

from wichtel.domain.errors import InvalidInput, one_of
from wichtel.domain.metric import Expectation, Metric
from wichtel.domain.run import Resources

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def check_name(name: str, *, what: str) -> str:
    """Return `name` if it can name a `what`: letters, digits, ``. _ -``, parts separated by ``/``, at most 200 characters.

    Raises:
        InvalidInput: it cannot.
    """
    if not isinstance(name, str) or len(name) > 200 or not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot name a {what}.",
            hint="Use letters, digits, '.', '_', '-', in parts separated by '/', such as 'flights/late'.",
        )
    return name


class Order(StrEnum):
    """In which order a training pass visits the examples."""

    TIME = "time"
    SHUFFLED = "shuffled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The examples with ``start <= time < end``.

    Raises:
        InvalidInput: times without a zone, or an end that is not after the start.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise InvalidInput("the times of a window need a time zone.", where=f"window {self.start} to {self.end}")
        if self.start >= self.end:
            raise InvalidInput("it ends before it starts.", where=f"window {self.start} to {self.end}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How a model is trained; ``job.toml`` in words of Python.

    Raises:
        InvalidInput: a value out of range, or windows that overlap or are not in order.
    """

    dataset: str
    #: The column to be predicted.
    label: str
    train: Window
    evaluation: Window
    #: Seen by no trial of a search; the winner is judged on it.
    holdout: Window | None = None
    order: Order = Order.TIME
    batch_size: int = 1024
    passes: int = 1
    #: Share of the training examples that is visited, drawn by a hash of the example.
    sample: float = 1.0
    seed: int = 0
    resources: Resources = field(default_factory=Resources)
    priority: int = 0
    #: Limits on loading the plan, and on one training.
    load_seconds: float = 60.0
    train_seconds: float = 86_400.0

    def __post_init__(self) -> None:
        where = "job.toml"
        object.__setattr__(self, "order", one_of(Order, self.order, where=where))
        if self.batch_size < 1 or self.passes < 1:
            raise InvalidInput("batch_size and passes are at least 1.", where=where)
        if not -1_000_000 <= self.priority <= 1_000_000:
            raise InvalidInput(f"priority is between -1,000,000 and 1,000,000, not {self.priority}.", where=where)
        if not 0 < self.sample <= 1:
            raise InvalidInput(f"sample {self.sample} is not in (0, 1].", where=where)
        if self.load_seconds <= 0 or self.train_seconds <= 0:
            raise InvalidInput("the limits are positive.", where=where)
        windows = [("train", self.train), ("evaluation", self.evaluation)]
        if self.holdout is not None:
            windows.append(("holdout", self.holdout))
        for (name, a), (later, b) in pairwise(windows):
            if b.start < a.end:
                raise InvalidInput(
                    f"the {later} window starts before the {name} window ends.",
                    where=where,
                    hint="A model must be scored on examples that come after those it learnt from.",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunable:
    """A value that a plan says may be changed, under its full name (``tower/width``)."""

    name: str
    #: ``int``, ``float``, ``bool`` or ``choice``.
    kind: str
    default: int | float | bool | str | None
    candidates: tuple[int | float | bool | str | None, ...] | None = None
    min: float | None = None
    max: float | None = None
    log: bool = False
    #: The values of other tunables with which it was seen; empty if always.
    when: dict[str, list[int | float | bool | str | None]] = field(default_factory=dict)
    #: ``file:line`` of the declaration.
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """An input of a model."""

    name: str
    #: ``categorical`` or ``numeric``.
    kind: str
    buckets: int | None = None
    #: ``log1p``, ``standardize`` or nothing.
    transform: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What the authors of a model told about it (onboarding)."""

    primary_metric: str
    better: Expectation
    #: Quality metrics that the plan defines itself, beside the trainer's.
    metrics: tuple[Metric, ...] = ()
    #: Anything that recipes look for: the main tower, the first dense layer, the owner of the loss.
    hints: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "better", one_of(Expectation, self.better, where="metadata"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What loading and tracing a plan found."""

    #: The trainer that takes it: ``keras``, ``sklearn``.
    trainer: str
    features: tuple[Feature, ...]
    tunables: tuple[Tunable, ...]
    metadata: Metadata
    job: Job
    #: The global of ``plan.py`` that holds the model.
    model_name: str = "model"
    #: Number of trainable numbers, if known before training.
    parameters: int | None = None
    warnings: tuple[str, ...] = ()
    #: Package → version, of what the model was analysed with.
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A named, owned model. `head` is the version that experiments start from."""

    name: str
    owner: str
    #: The owning team; its share of the service is the quota group of this name.
    team: str
    head: str
    created: datetime
    #: Since when it is put away: kept with its history, and open to nothing new. None if it is not.
    archived: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A snapshot of a model's source tree. Its `id` is derived from model, tree and lineage: made twice, it is made once."""

    id: str
    model: str
    #: Digest of the source tree.
    tree: str
    analysis: Analysis
    parent: str | None = None
    #: The recipe that made it from its parent, in words; empty for what a user added.
    recipe: str = ""
    #: The experiment that made it; empty for what a user added.
    experiment: str = ""
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Registered examples: Parquet in time order."""

    name: str
    #: Artifact digest of the Parquet file.
    digest: str
    time_column: str
    #: Column → type, as Arrow names it.
    columns: dict[str, str]
    rows: int
    start: datetime
    end: datetime
    owner: str = ""
    created: datetime
