"""Trainings in real fresh processes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from wichtel.domain import Dataset, InvalidInput, PlanError, Resources
from wichtel.plans import SourceTree
from wichtel.store import Artifacts, codec
from wichtel.training import METRICS, ingest
from wichtel.training.entries import train
from wichtel.training.metrics import quality

Fit = Callable[..., dict[str, Any]]

START = datetime(2020, 1, 1, tzinfo=UTC)


def data(n: int = 3000) -> pl.DataFrame:
    """One example a minute: the label depends on city, size and chance."""
    rng = np.random.default_rng(7)
    city, size = rng.integers(0, 6, n), rng.normal(50, 10, n)
    chance = 1 / (1 + np.exp(-(np.array([-2, -1, 0, 0, 1, 2])[city] + (size - 50) / 8)))
    return pl.DataFrame(
        {
            "t": [START + timedelta(minutes=i) for i in range(n)],
            "city": [f"city {c}" for c in city],
            "size": [None if i % 40 == 0 else s for i, s in enumerate(size)],
            "late": [None if i % 100 == 0 else int(x) for i, x in enumerate(rng.random(n) < chance)],
            "delay": size * 2 + city,
        }
    )


def job(label: str = "late", extra: str = "") -> str:
    day = [(START + timedelta(minutes=m)).isoformat() for m in (0, 2000, 2500, 3000)]
    return f"""
[dataset]
name = "d"
label = "{label}"
[windows]
train = [{day[0]}, {day[1]}]
evaluation = [{day[1]}, {day[2]}]
holdout = [{day[2]}, {day[3]}]
{extra}
"""


@dataclass
class Context:
    """A run's context without a fleet."""

    root: Path
    artifacts: Artifacts
    seed: int = 5
    stop_at: int | None = None
    run_id: str = "r"
    attempt: int = 1
    resume: bool = False
    resources: Resources = field(default_factory=Resources)
    reports: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    @property
    def scratch(self) -> Path:
        (self.root / "scratch").mkdir(parents=True, exist_ok=True)
        return self.root / "scratch"

    @property
    def checkpoint_path(self) -> Path:
        (self.root / "checkpoint").mkdir(parents=True, exist_ok=True)
        return self.root / "checkpoint"

    def report(self, step: int, **metrics: float) -> None:
        self.reports.append((step, metrics))
        if self.stop_at is not None and step >= self.stop_at:
            raise StopIteration

    def check(self) -> None:
        pass


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="session")
def artifacts(folder: Path) -> Artifacts:
    return Artifacts(folder / "artifacts")


@pytest.fixture(scope="session")
def dataset(folder: Path, artifacts: Artifacts) -> Dataset:
    data().write_parquet(folder / "d.parquet")
    return ingest([folder / "d.parquet"], name="d", time_column="t", artifacts=artifacts, owner="me", now=START)


@pytest.fixture
def context(tmp_path: Path, artifacts: Artifacts) -> Context:
    return Context(root=tmp_path, artifacts=artifacts)


@pytest.fixture
def fit(dataset: Dataset, artifacts: Artifacts, context: Context) -> Callable[..., dict[str, Any]]:
    def carry_out(plan: str, job_toml: str | None = None, **payload: Any) -> dict[str, Any]:
        tree = SourceTree({"plan.py": plan.encode(), "job.toml": (job_toml or job()).encode()})
        given = payload.pop("context", context)
        return train({"tree": tree.save(artifacts), "dataset": codec.to_plain(dataset), **payload}, given)

    return carry_out


RESOURCES = {name for name, metric in METRICS.items() if metric.kind == "resource"}

LIGHTGBM = """
import lightgbm
from wichtel import plan, tunable
plan.metadata(primary_metric="auc", better="larger")
plan.features([plan.Categorical("city", buckets=32), plan.Numeric("size")])
plan.metric("late_share", lambda labels, scores: labels.mean(), better="larger")
model = lightgbm.LGBMClassifier(n_estimators=tunable.Int("trees", default=20, min=1, max=50), min_child_samples=5)
"""

#: An estimator of no framework: it knows the share of each bucket of the first column.
OWN = """
import numpy
from wichtel import plan, tunable

class Shares:
    def fit(self, x, y):
        self.shares_ = numpy.array([y[x[:, 0] == b].mean() if (x[:, 0] == b).any() else 0.5 for b in range(32)])
    def predict(self, x):
        return self.predict_proba(x)[:, 1] > 0.5
    def predict_proba(self, x):
        p = self.shares_[x[:, 0].astype(int)]
        return numpy.stack([1 - p, p], axis=1)

plan.metadata(primary_metric="auc", better="larger")
plan.features([plan.Categorical("city", buckets=32), plan.Numeric("size")])
plan.metric("late_share", lambda labels, scores: labels.mean(), better="larger")
weight = tunable.Int("weight", default=1, min=1, max=9)
model = Shares()
"""

LOGISTIC = """
from sklearn.linear_model import SGDClassifier
from wichtel import plan
plan.metadata(primary_metric="log_loss", better="smaller")
plan.features([plan.Categorical("city", buckets=8), plan.Numeric("size", transform="standardize")])
model = SGDClassifier(loss="log_loss")
"""

RIDGE = """
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from wichtel import plan
plan.metadata(primary_metric="{metric}", better="smaller")
plan.features([plan.Categorical("city", buckets=8), plan.Numeric("size")])
model = make_pipeline(StandardScaler(), Ridge())
"""

KERAS = """
import keras
from wichtel import plan, tunable
plan.metadata(primary_metric="auc", better="larger")
inputs = plan.features([plan.Categorical("city", buckets=32), plan.Numeric("size", transform="standardize")])
city = keras.layers.Embedding(32, 4)(inputs["city"])
x = keras.layers.Concatenate()([city, keras.layers.Reshape((1,))(inputs["size"])])
x = keras.layers.Dropout(0.2)(keras.layers.Dense(8, activation="relu")(x))
model = keras.Model(inputs, keras.layers.Dense(1, activation={activation!r})(x))
model.compile(keras.optimizers.Adam(tunable.Float("rate", default=0.01, min=1e-4, max=1e9)), {loss})
"""


def keras_plan(activation: str | None = "sigmoid", loss: str = "'binary_crossentropy'") -> str:
    return KERAS.format(activation=activation, loss=loss)


def predictions(artifacts: Artifacts, digest: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(artifacts.get(digest))) as file:
        return dict(file)


def test_lightgbm_is_trained_scored_and_measured(fit: Fit, context: Context, artifacts: Artifacts) -> None:
    result = fit(LIGHTGBM, windows=["evaluation", "holdout"], keep=True)
    metrics, holdout = result["metrics"], result["holdout"]
    assert set(metrics) >= RESOURCES | {"auc", "log_loss", "accuracy", "calibration", "calibration_error", "late_share"}
    assert metrics["auc"] > 0.8
    assert holdout["auc"] > 0.75
    assert not set(holdout) & RESOURCES
    assert metrics["training_examples"] == result["examples"] == 1980
    assert all(metrics[name] > 0 for name in RESOURCES)
    for name, values in result["samples"].items():
        assert len(values) >= 5
        assert metrics[name] == pytest.approx(np.median(values))
    assert artifacts.size(result["model"]) == metrics["model_bytes"]
    assert result["versions"]["lightgbm"]
    # The curve: the evaluation window under the trees so far, the last under all of them.
    assert [step for step, _ in context.reports] == list(range(2, 21, 2))
    assert context.reports[-1][1]["auc"] == pytest.approx(metrics["auc"])
    for window, found in (("evaluation", metrics), ("holdout", holdout)):
        kept = predictions(artifacts, result["predictions"][window])
        assert kept["row"].dtype == np.int64
        assert quality(kept["label"], kept["score"], binary=True).items() <= found.items()


def test_the_same_seed_gives_the_same_model_and_a_trial_keeps_nothing(fit: Fit) -> None:
    once, again = fit(LIGHTGBM, settings={"trees": 7}), fit(LIGHTGBM, settings={"trees": 7})
    other = fit(LIGHTGBM)
    for result in (once, again, other):
        assert result["predictions"] == {}
        assert result["model"] is None
        assert result["holdout"] is None
    measured = RESOURCES - {"parameters", "model_bytes", "training_examples"}
    assert {k: v for k, v in once["metrics"].items() if k not in measured} == {
        k: v for k, v in again["metrics"].items() if k not in measured
    }
    assert other["metrics"]["auc"] != once["metrics"]["auc"]
    assert other["metrics"]["parameters"] > once["metrics"]["parameters"]


def test_partial_fit_scores_each_slice_before_it_learns_it(fit: Fit, context: Context) -> None:
    result = fit(LOGISTIC, job(extra="[training]\nbatch_size = 50\npasses = 2\norder = 'shuffled'"))
    assert result["metrics"]["auc"] > 0.7
    assert result["examples"] == 2 * 1980
    assert [step for step, _ in context.reports] == list(range(2, 41))
    assert result["encoding"]["size"][0] == pytest.approx(50, abs=1)


def test_regression(fit: Fit) -> None:
    result = fit(RIDGE.format(metric="rmse"), job("delay"))
    assert set(result["metrics"]) == RESOURCES | {"rmse", "mae"}
    assert result["metrics"]["parameters"] > 0


def test_half_of_the_examples(fit: Fit) -> None:
    assert fit(OWN, job(extra="[training]\nsample = 0.5"))["examples"] == pytest.approx(990, abs=100)


def test_keras_is_trained_and_continues_after_a_loss(fit: Fit, context: Context, artifacts: Artifacts, tmp_path: Path) -> None:
    once = job(extra="[training]\nbatch_size = 64\npasses = 2\norder = 'shuffled'")
    result = fit(keras_plan(), once, windows=["evaluation", "holdout"], keep=True)
    metrics = result["metrics"]
    assert metrics["auc"] > 0.8
    assert set(metrics) >= RESOURCES
    assert metrics["parameters"] == 32 * 4 + 5 * 8 + 8 + 8 + 1
    # 30 batches of 64 in each pass; the oldest 60 examples are left out.
    assert result["examples"] == 2 * 1920
    assert [step for step, _ in context.reports] == list(range(1, 41))
    assert set(context.reports[0][1]) == {"loss", "log_loss", "auc"}
    kept = predictions(artifacts, result["predictions"]["holdout"])
    assert quality(kept["label"], kept["score"], binary=True).items() <= result["holdout"].items()

    # Lost after step 15, and again.
    interrupted = Context(root=tmp_path / "other", artifacts=artifacts, stop_at=15)
    with pytest.raises(StopIteration):
        fit(keras_plan(), once, context=interrupted)
    resumed = Context(root=tmp_path / "other", artifacts=artifacts, attempt=2, resume=True)
    again = fit(keras_plan(), once, context=resumed)
    assert resumed.reports[0][0] > 1
    assert again["metrics"]["auc"] == pytest.approx(metrics["auc"], abs=1e-6)
    assert again["examples"] == result["examples"]


def test_keras_log_odds_become_probabilities(fit: Fit) -> None:
    result = fit(
        keras_plan(None, "keras.losses.BinaryCrossentropy(from_logits=True)"), job(extra="[training]\nbatch_size = 64\npasses = 3")
    )
    assert result["metrics"]["log_loss"] < 0.69


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('metric="auc"', 'metric="acu"', "reports no metric 'acu'.*Did you mean 'auc'"),
        ('"city"', '"cty"', "Did you mean 'city'"),
        ('Numeric("size")', 'Numeric("city_", transform="log1p")', "Did you mean 'city'"),
        ('Numeric("size")', 'Categorical("size", buckets=9)', "not text, integer or bool"),
        ("labels.mean()", "labels.men()", "plan.py:16: computing the metric 'late_share' failed"),
        ("x[:, 0].astype", "x[:, 7].astype", "plan.py:11: scoring examples failed: IndexError"),
        ("def fit(self, x, y):", "def fit(self, x, y):\n        raise ValueError('no way')", "the model cannot be trained: no way"),
        ("def fit(self, x, y):", "def fit(self, x, y):\n        y.men()", "plan.py:7: training the model failed: AttributeError"),
    ],
)
def test_mistakes_are_told_in_words(fit: Fit, old: str, new: str, message: str) -> None:
    assert old in OWN
    with pytest.raises(InvalidInput, match=message) as caught:
        fit(OWN.replace(old, new))
    assert "Traceback" not in str(caught.value)


def test_an_unknown_tunable_is_refused(fit: Fit) -> None:
    with pytest.raises(PlanError, match="Did you mean 'weight'"):
        fit(OWN, settings={"wieght": 3})


def test_a_loss_that_is_not_a_number_is_said_at_once(fit: Fit) -> None:
    plan = keras_plan(None, "'mse'").replace("optimizers.Adam", "optimizers.SGD").replace('"auc"', '"rmse"')
    with pytest.raises(PlanError, match=r"the loss became .* Lower the learning rate"):
        fit(plan, job("delay", "[training]\nbatch_size = 64"), settings={"rate": 1e9})


def test_scores_that_are_no_probabilities_are_refused(fit: Fit) -> None:
    with pytest.raises(PlanError, match="must be probabilities"):
        fit(keras_plan(None, "'mse'"))


def test_a_label_that_is_no_class_is_refused(fit: Fit) -> None:
    with pytest.raises(PlanError, match="'delay' is not 0 or 1 everywhere"):
        fit(OWN, job("delay"))


def test_unknown_windows_are_refused(fit: Fit) -> None:
    with pytest.raises(InvalidInput, match="windows are among"):
        fit(OWN, windows=["tomorrow"])
