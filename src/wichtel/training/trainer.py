"""The contract between a training and the framework that carries it out, and the trainers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wichtel.domain import Feature, InvalidInput, Job, Order, did_you_mean
from wichtel.training.reader import Examples

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Parts of a pass: each is scored before it is learnt from, then reported.
SLICES = 20
#: Trainings of one model that a comparison takes by default, where the seed moves the metrics: enough to see by how much.
REPLICATES = 3
#: Of trainers whose models hardly depend on the seed, or say so (boosted trees, most of scikit-learn), one does.
_STEADY = ("sklearn",)
#: Examples of the batch whose scoring is timed.
INFERENCE_BATCH = 256

GROUP = "wichtel.trainers"
_BUILT_IN = {"keras": "wichtel.training.keras:KerasTrainer", "sklearn": "wichtel.training.sklearn:SklearnTrainer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a trainer is given."""

    #: As the plan made it: not trained.
    model: Any
    features: tuple[Feature, ...]
    job: Job
    #: Of everything random in this training.
    seed: int
    train: Examples
    #: For a curve while training; never to learn from.
    evaluation: Examples
    #: How many threads may compute.
    threads: int
    #: A folder that outlives this attempt.
    checkpoints: Path
    #: To be called now and then, with a rising step.
    report: Callable[[int, Mapping[str, float]], None]

    def visits(self, number: int) -> NDArray[np.int64]:
        """The order in which pass `number`, from 0, visits the training examples, as indices."""
        if self.job.order is Order.TIME:
            return np.arange(len(self.train), dtype=np.int64)
        return np.random.default_rng([self.seed, number]).permutation(len(self.train))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a trainer gives back."""

    #: From examples to scores ``[n]``: probabilities if `binary`, else predictions of the label.
    score: Callable[[Examples], NDArray[np.float32]]
    binary: bool
    #: Writes the model to a file whose path it returns, given a path without suffix.
    save: Callable[[Path], Path]
    parameters: int
    #: Examples learnt from, each pass counted.
    examples: int
    #: Wall time of one step, measured repeatedly; without compilation.
    step_seconds: Sequence[float]
    #: Processor time of the whole training, estimated from each of its parts; without compilation, scoring and reports.
    cpu_seconds: Sequence[float]
    #: Wall time of all steps.
    seconds: float


class Trainer(Protocol):
    """Trains the models of one framework.

    The same task gives the same model: everything random is drawn from `Task.seed`.
    """

    name: str

    def train(self, task: Task) -> Trained:
        """Train ``task.model``.

        Raises:
            PlanError: the plan's model cannot be trained: not compiled, a wrong shape, a loss that is not a number.
        """


def default_replicates(trainer: str) -> int:
    """How many trainings a verdict on a model of that trainer should rest on, if nobody says."""
    return 1 if trainer in _STEADY else REPLICATES


@cache
def _registered() -> dict[str, str]:
    plugins = {point.name: point.value for point in entry_points(group=GROUP)}
    # Wichtel's own come first: a plug-in adds names and takes none.
    return {**plugins, **_BUILT_IN}


def trainer_names() -> list[str]:
    """The names that `make_trainer` knows."""
    return sorted(_registered())


def make_trainer(name: str) -> Trainer:
    """The trainer of that name, one of Wichtel's or of the entry-point group ``wichtel.trainers``.

    Raises:
        InvalidInput: unknown, or its package is not installed.
    """
    known = _registered()
    if name not in known:
        raise InvalidInput(f"there is no trainer {name!r}.", hint=did_you_mean(name, known))
    module, _, attribute = known[name].partition(":")
    try:
        made: Trainer = getattr(import_module(module), attribute)()
    except ImportError as error:
        raise InvalidInput(f"it does not load: {error}.", where=f"trainer {name!r}", hint="Is its package installed?") from error
    return made


def parts(steps: int) -> list[range]:
    """`steps` steps cut into at most `SLICES` parts of about the same size."""
    bounds = np.linspace(0, steps, min(SLICES, steps) + 1).round().astype(int)
    return [range(a, b) for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
