"""Trains estimators of the scikit-learn API: scikit-learn's own, LightGBM's, any other of the same methods."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wichtel.domain import PlanError
from wichtel.training.metrics import quality
from wichtel.training.reader import Examples
from wichtel.training.trainer import Task, Trained, parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CURVES = ("log_loss", "auc", "rmse")
#: Reports of a training by boosting.
REPORTS = 10


class SklearnTrainer:
    """Estimators with ``fit`` and ``predict_proba`` (classifiers) or ``predict`` (regressors).

    They see one ``float32`` matrix, its columns in the order of the plan's features; categorical features are bucket numbers. Null is NaN
    for an estimator that takes NaN, else 0.

    - With ``partial_fit``: as Keras models are trained, in slices that are scored before they are learnt from.
    - LightGBM: fitted once on the whole window, told which columns are categorical, deterministic; ten times on the way the evaluation
      window is scored by the trees so far and reported. The time of that is not counted. A step is one boosting round.
    - Others: fitted once, no reports. A step is the whole fit.

    What is fitted once visits the examples once whatever ``passes`` says, and starts again if its worker is lost. The seed and the number
    of threads are set on the estimator and on those inside it.
    """

    name = "sklearn"

    def train(self, task: Task) -> Trained:
        """Train."""
        model = task.model
        classifier = hasattr(model, "predict_proba")
        if classifier and not (task.train.binary and task.evaluation.binary):
            raise PlanError(f"the label {task.job.label!r} is not 0 or 1 everywhere.", where="job.toml", hint="Use a regressor.")
        if classifier and len(np.unique(task.train.labels)) < 2:
            raise PlanError(f"the label {task.job.label!r} has one value in the training window.", where="job.toml")
        _configure(model, task)
        lightgbm = sys.modules.get("lightgbm")
        boosting = lightgbm is not None and isinstance(model, lightgbm.LGBMModel)
        work = _Work(task, classifier=classifier, takes_nan=boosting or _takes_nan(model))
        try:
            if boosting:
                _boost(work)
            elif hasattr(model, "partial_fit"):
                _in_slices(work)
            else:
                _at_once(work)
        except (ValueError, TypeError) as error:
            raise PlanError(f"the model cannot be trained: {str(error).splitlines()[0]}", where="plan.py") from error
        return Trained(
            score=work.score,
            binary=classifier,
            save=lambda path: _save(model, path, boosting=boosting),
            parameters=_boosted_parameters(model) if boosting else _parameters(model, set()),
            examples=work.examples,
            step_seconds=work.steps,
            cpu_seconds=work.cpu,
            seconds=work.seconds,
        )


class _Work:
    """A task on its way through one of the ways to fit."""

    def __init__(self, task: Task, *, classifier: bool, takes_nan: bool) -> None:
        self.task, self.classifier, self.takes_nan = task, classifier, takes_nan
        self.examples = 0
        self.steps: list[float] = []
        self.cpu: list[float] = []
        self.seconds = 0.0

    def matrix(self, examples: Examples, index: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        count = len(examples) if index is None else len(index)
        matrix = np.empty((count, len(self.task.features)), dtype=np.float32)
        for i, feature in enumerate(self.task.features):
            column = examples.features[feature.name]
            matrix[:, i] = column if index is None else column[index]
        return matrix if self.takes_nan else np.nan_to_num(matrix, copy=False, nan=0.0)

    def score(self, examples: Examples, index: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        model, matrix = self.task.model, self.matrix(examples, index)
        found = model.predict_proba(matrix)[:, 1] if self.classifier else model.predict(matrix)
        found = np.asarray(found, dtype=np.float32).reshape(-1)
        if not np.isfinite(found).all():
            raise PlanError(
                "the model's scores are not numbers.", where="plan.py", hint="Lower the learning rate, or standardize the features."
            )
        return found

    def report(self, step: int, labels: NDArray[np.float32], scores: NDArray[np.floating]) -> None:
        self.task.report(step, quality(labels, scores, binary=self.classifier, only=_CURVES))


def _boost(work: _Work) -> None:
    task = work.task
    matrix, labels = work.matrix(task.train), task.train.labels
    ahead = work.matrix(task.evaluation)
    objective = str(task.model.objective or ("binary" if work.classifier else "regression"))
    #: From the sum of the trees to a score; objectives of another form give no curve.
    link: Callable[[Any], Any] | None = {"binary": lambda raw: 1 / (1 + np.exp(-raw)), "regression": lambda raw: raw}.get(objective)
    rounds: list[tuple[float, float]] = []
    raw = np.zeros(len(task.evaluation))
    seen = 0
    mark = (0.0, 0.0)
    ready: tuple[float, float] | None = None

    def now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def before(_env: Any) -> None:
        nonlocal mark, ready
        mark = now()
        ready = ready or mark

    def after(env: Any) -> None:
        nonlocal raw, seen
        wall, cpu = now()
        rounds.append((wall - mark[0], cpu - mark[1]))
        trained = env.iteration + 1
        if trained % max(1, env.end_iteration // REPORTS) and trained != env.end_iteration:
            return
        if link is None:
            task.report(trained, {})
            return
        raw = raw + env.model.predict(ahead, raw_score=True, start_iteration=seen, num_iteration=trained - seen)
        seen = trained
        work.report(trained, task.evaluation.labels, link(raw))

    before.before_iteration = True  # type: ignore[attr-defined]
    before.order = 0  # type: ignore[attr-defined]
    after.order = 100  # type: ignore[attr-defined]
    start = now()
    categorical = [i for i, f in enumerate(task.features) if f.kind == "categorical"]
    # LightGBM refuses names with these characters.
    names = [re.sub(r'[",:\[\]{}\s]', "_", f.name) for f in task.features]
    task.model.fit(matrix, labels, categorical_feature=categorical or "auto", feature_name=names, callbacks=[before, after])
    # Binning, before the first round.
    wall, cpu = (ready[0] - start[0], ready[1] - start[1]) if ready else (0.0, 0.0)
    work.steps = [w for w, _ in rounds]
    chunks = [rounds[p.start : p.stop] for p in parts(len(rounds))]
    work.cpu = [cpu + sum(c for _, c in chunk) / len(chunk) * len(rounds) for chunk in chunks]
    work.seconds = wall + sum(work.steps)
    work.examples = len(labels)


def _in_slices(work: _Work) -> None:
    task = work.task
    batch = min(task.job.batch_size, len(task.train))
    steps = -(-len(task.train) // batch)
    cuts = parts(steps)
    costs: list[tuple[int, float, float]] = []
    known = {"classes": np.array([0.0, 1.0], dtype=np.float32)} if work.classifier else {}
    for number in range(task.job.passes):
        visits = task.visits(number)
        for part, cut in enumerate(cuts):
            index = visits[cut.start * batch : cut.stop * batch]
            # Before the first slice there is nothing to score with.
            scores = work.score(task.train, index) if costs else None
            matrix, labels = work.matrix(task.train, index), task.train.labels[index]
            wall, cpu = time.perf_counter(), time.process_time()
            for first in range(0, len(index), batch):
                task.model.partial_fit(matrix[first : first + batch], labels[first : first + batch], **known)
            costs.append((len(cut), time.perf_counter() - wall, time.process_time() - cpu))
            work.examples += len(index)
            if scores is not None:
                work.report(number * len(cuts) + part + 1, labels, scores)
    work.steps = [wall / n for n, wall, _ in costs]
    work.cpu = [cpu / n * steps * task.job.passes for n, _, cpu in costs]
    work.seconds = sum(wall for _, wall, _ in costs)


def _at_once(work: _Work) -> None:
    task = work.task
    index = task.visits(0)
    matrix, labels = work.matrix(task.train, index), task.train.labels[index]
    wall, cpu = time.perf_counter(), time.process_time()
    task.model.fit(matrix, labels)
    work.seconds = time.perf_counter() - wall
    work.steps = [work.seconds]
    work.cpu = [time.process_time() - cpu]
    work.examples = len(labels)


def _configure(model: Any, task: Task) -> None:
    """Set seed and threads, on the estimator and on those inside it."""
    values: dict[str, Any] = {"random_state": task.seed % 2**31, "n_jobs": task.threads}
    if "lightgbm" in sys.modules and isinstance(model, sys.modules["lightgbm"].LGBMModel):
        # Not among get_params() unless given: one result whatever the number of threads, and no chatter.
        model.set_params(
            deterministic=True, force_row_wise=True, **{k: v for k, v in {"verbose": -1}.items() if k not in model.get_params()}
        )
    known = model.get_params(deep=True) if hasattr(model, "get_params") else {}
    model_values = {name: values[last] for name in known if (last := name.rpartition("__")[2]) in values}
    if model_values:
        model.set_params(**model_values)


def _takes_nan(model: Any) -> bool:
    if "sklearn" not in sys.modules:
        return False
    from sklearn.utils import get_tags

    try:
        return bool(get_tags(model).input_tags.allow_nan)
    except (AttributeError, TypeError):
        # An estimator of the same methods that is not built on scikit-learn's classes says nothing about it.
        return False


def _save(model: Any, path: Path, *, boosting: bool) -> Path:
    if boosting:
        target = path.with_suffix(".txt")
        model.booster_.save_model(target)
        return target
    import cloudpickle

    target = path.with_suffix(".pkl")
    target.write_bytes(cloudpickle.dumps(model))
    return target


def _boosted_parameters(model: Any) -> int:
    """Leaf values and split thresholds of all trees."""
    leaves = [int(tree["num_leaves"]) for tree in model.booster_.dump_model()["tree_info"]]
    return sum(2 * n - 1 for n in leaves)


def _parameters(model: Any, seen: set[int]) -> int:
    """Real numbers in the attributes that fitting made: arrays, nodes of trees, and those of estimators inside."""
    if id(model) in seen:
        return 0
    seen.add(id(model))
    if isinstance(model, np.ndarray) and model.dtype.kind == "f":
        return int(model.size)
    if isinstance(model, list | tuple) or (isinstance(model, np.ndarray) and model.dtype.kind == "O"):
        return sum(_parameters(part, seen) for part in model)
    if hasattr(model, "node_count") and hasattr(model, "value"):
        return int(model.node_count) + int(model.value.size)
    if hasattr(model, "nodes") and isinstance(model.nodes, np.ndarray):
        return int(model.nodes.size)
    if not hasattr(model, "get_params"):
        return 0
    fitted = [v for k, v in vars(model).items() if k.endswith("_") and not k.startswith(("_", "classes_"))]
    inner = [model._predictors] if hasattr(model, "_predictors") else []
    if hasattr(model, "steps"):
        inner += [step for _, step in model.steps]
    return sum(_parameters(v, seen) for v in [*fitted, *inner])
