"""Trains compiled Keras models, slice by slice."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wichtel.domain import PlanError
from wichtel.training.metrics import quality
from wichtel.training.reader import Examples
from wichtel.training.trainer import INFERENCE_BATCH, Task, Trained, parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Checkpoints are not written more often than this.
CHECKPOINT_SECONDS = 2.0


@dataclass(slots=True)
class _Progress:
    """What a checkpoint holds beside the variables."""

    #: Slices learnt, over all passes.
    done: int = 0
    examples: int = 0
    #: Per slice: steps, wall seconds, processor seconds.
    costs: list[tuple[int, float, float]] = field(default_factory=list)


class KerasTrainer:
    """Keras 3, on any backend.

    A pass is cut into `trainer.SLICES` slices; each is scored before it is learnt from. All steps have the same shape, so that nothing is
    compiled twice: of a pass, the first ``n mod batch_size`` visits are left out (in time order, the oldest). Compilation happens in one
    step on a scratch state that is put back, so that measurements are the same with a cold and a warm compilation cache. A checkpoint holds
    weights, the optimizer's state, the random state and the position, so a retried training ends as an undisturbed one would.
    """

    name = "keras"

    def train(self, task: Task) -> Trained:
        """Train; continues from the newest checkpoint of an earlier attempt."""
        model = task.model
        if not model.compiled or model.optimizer is None:
            raise PlanError("the model is not compiled.", where="plan.py", hint="Call model.compile(optimizer, loss).")
        if not model.built:
            model(_inputs(task.train, np.arange(1)))
        shape = getattr(model, "output_shape", (None, 1))
        if not isinstance(shape, tuple) or shape[1:] not in ((), (1,)):
            raise PlanError(
                f"the model's output has the shape {shape}; one score per example is needed.",
                where="plan.py",
                hint="End with keras.layers.Dense(1, ...).",
            )
        scorer = _Scoring(model, task)
        batch = min(task.job.batch_size, len(task.train))
        cuts = parts(len(task.train) // batch)
        model.optimizer.build(model.trainable_variables)
        state = [*model.variables, *model.optimizer.variables]
        checkpoint = _Checkpoint(
            task.checkpoints, state, identity=[task.seed, len(task.train), batch, task.job.passes, task.job.order.value]
        )
        # Before anything is restored: what the step of compilation changes is put back.
        before = [np.array(v) for v in state]
        try:
            self._learn(model, task, np.arange(batch), batch)
        except (ValueError, TypeError) as error:
            raise PlanError(
                f"the model cannot be trained: {_first_line(error)}", where="plan.py", hint="Check shapes and dtypes."
            ) from error
        _assign(state, before)
        progress = checkpoint.load() or _Progress()
        width = max(map(len, cuts)) * batch
        for number in range(task.job.passes):
            visits = task.visits(number)[len(task.train) % batch :]
            for part, cut in enumerate(cuts):
                step = number * len(cuts) + part + 1
                if step <= progress.done:
                    continue
                index = visits[cut.start * batch : cut.stop * batch]
                scores = scorer.score(task.train, index, width)
                wall, cpu = time.perf_counter(), time.process_time()
                loss = self._learn(model, task, index, batch)
                progress.costs.append((len(cut), time.perf_counter() - wall, time.process_time() - cpu))
                progress.examples += len(index)
                progress.done = step
                if not np.isfinite(loss):
                    raise PlanError(
                        f"the loss became {loss} in slice {part + 1} of {len(cuts)} of pass {number + 1}.",
                        where="plan.py",
                        hint="Lower the learning rate, or standardize the features.",
                    )
                task.report(step, {"loss": loss, **quality(task.train.labels[index], scores, binary=scorer.binary, only=_CURVES)})
                checkpoint.save(progress)
        steps = sum(s for s, _, _ in progress.costs)
        return Trained(
            score=lambda examples: scorer.score(
                examples, np.arange(len(examples)), INFERENCE_BATCH if len(examples) == INFERENCE_BATCH else width
            ),
            binary=scorer.binary,
            save=lambda path: _save(model, path),
            parameters=int(sum(np.prod(v.shape) for v in model.trainable_variables)),
            examples=progress.examples,
            step_seconds=[wall / n for n, wall, _ in progress.costs],
            cpu_seconds=[cpu / n * steps for n, _, cpu in progress.costs],
            seconds=sum(wall for _, wall, _ in progress.costs),
        )

    def _learn(self, model: Any, task: Task, index: NDArray[np.int64], batch: int) -> float:
        """Learn from the examples at `index`, a multiple of `batch`; the mean loss."""
        x = _inputs(task.train, index)
        history = model.fit(x, task.train.labels[index], batch_size=batch, epochs=1, shuffle=False, verbose=0)
        return float(history.history["loss"][-1])


_CURVES = ("log_loss", "auc", "rmse")


class _Scoring:
    """Scores examples in batches of one shape; the last is filled up with its first example."""

    def __init__(self, model: Any, task: Task) -> None:
        self.model = model
        self.binary = task.train.binary and task.evaluation.binary
        loss = getattr(model, "loss", None)
        #: The model gives log-odds.
        self.logits = self.binary and bool(getattr(loss, "from_logits", False))

    def score(self, examples: Examples, index: NDArray[np.int64], width: int) -> NDArray[np.float32]:
        scores = []
        for start in range(0, len(index), width):
            part = index[start : start + width]
            filled = np.concatenate([part, np.repeat(part[:1], width - len(part))]) if len(part) < width else part
            scores.append(np.asarray(self.model.predict_on_batch(_inputs(examples, filled)), dtype=np.float32).reshape(-1)[: len(part)])
        found = np.concatenate(scores)
        if self.logits:
            found = (0.5 * (1 + np.tanh(found / 2))).astype(np.float32)
        if not np.isfinite(found).all():
            raise PlanError(
                "the model's scores are not numbers.", where="plan.py", hint="Lower the learning rate, or standardize the features."
            )
        if self.binary and not ((found >= 0) & (found <= 1)).all():
            raise PlanError(
                f"the model's scores lie between {found.min():g} and {found.max():g}; for labels of 0 and 1 they must be probabilities.",
                where="plan.py",
                hint="End with a sigmoid, or use keras.losses.BinaryCrossentropy(from_logits=True).",
            )
        return found


class _Checkpoint:
    """Variables and progress in one file, replaced in one go."""

    def __init__(self, folder: Path, state: list[Any], identity: list[Any]) -> None:
        self._path = folder / "keras.npz"
        self._state = state
        #: A checkpoint of other examples or another model is no use.
        self._identity = [*identity, [list(v.shape) for v in state]]
        # The first slice is kept at once: it shows that the place can be written.
        self._saved = -CHECKPOINT_SECONDS

    def save(self, progress: _Progress) -> None:
        if time.monotonic() - self._saved < CHECKPOINT_SECONDS:
            return
        head = json.dumps({"identity": self._identity, "progress": asdict(progress)})
        temporary = self._path.with_suffix(".tmp")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, np.array(head), *(np.array(v) for v in self._state))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        self._saved = time.monotonic()

    def load(self) -> _Progress | None:
        if not self._path.exists():
            return None
        with np.load(self._path) as file:
            head = json.loads(str(file["arr_0"]))
            if head["identity"] != json.loads(json.dumps(self._identity)):
                return None
            _assign(self._state, [file[f"arr_{i + 1}"] for i in range(len(self._state))])
        progress = _Progress(**head["progress"])
        progress.costs = [(int(n), float(w), float(c)) for n, w, c in progress.costs]
        return progress


def _inputs(examples: Examples, index: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    # A network cannot do anything with NaN: null is 0, after the transform.
    columns = {name: column[index] for name, column in examples.features.items()}
    return {name: np.nan_to_num(c, copy=False, nan=0.0) if c.dtype.kind == "f" else c for name, c in columns.items()}


def _assign(state: list[Any], values: list[NDArray[Any]]) -> None:
    for variable, value in zip(state, values, strict=True):
        variable.assign(value)


def _save(model: Any, path: Path) -> Path:
    target = path.with_suffix(".keras")
    model.save(target)
    return target


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:500] if lines else type(error).__name__
