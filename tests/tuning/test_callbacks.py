"""Callbacks, each with the library that it is for, on small data."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

import wichtel as wt
from wichtel.domain import InvalidInput

os.environ.setdefault("KERAS_BACKEND", "jax")


class Reports:
    """What is reported; stops at a step."""

    def __init__(self, stop_at=None):
        self.steps = []
        self.metrics = []
        self.stop_at = stop_at

    def __call__(self, step, **metrics):
        assert all(type(value) is float for value in metrics.values())
        self.steps.append(step)
        self.metrics.append(metrics)
        if step == self.stop_at:
            raise wt.Stopped("enough")


@pytest.fixture(scope="module")
def cancer():
    features, target = load_breast_cancer(return_X_y=True)
    return train_test_split((features - features.mean(0)) / features.std(0), target, random_state=0)


# Keras


@pytest.fixture(scope="module")
def digits():
    features, target = load_digits(return_X_y=True)
    return features[:200] / 16, target[:200]


def _network(digits, seed=0):
    import keras

    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


def _fit(model, digits, report, *, epochs, **options):
    callbacks = [*options.pop("before", ()), wt.callbacks.keras(report, **options)]
    return model.fit(*digits, epochs=epochs, batch_size=50, validation_split=0.25, callbacks=callbacks, verbose=0, shuffle=False)


def test_keras_reports_each_epoch(digits):
    report = Reports()
    history = _fit(_network(digits), digits, report, epochs=3).history
    assert report.steps == [0, 1, 2]
    assert set(report.metrics[0]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert [m["val_loss"] for m in report.metrics] == history["val_loss"]


def test_keras_stops(digits):
    import keras

    ended = []
    before = keras.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append(1))
    report = Reports(stop_at=1)
    model = _network(digits)
    with pytest.raises(wt.Stopped, match="enough"):
        _fit(model, digits, report, epochs=9, before=[before])
    assert report.steps == [0, 1]
    assert ended, "the other callbacks heard of the end"
    assert np.isfinite(model.evaluate(*digits, verbose=0)[0])
    again = Reports()
    _fit(model, digits, again, epochs=1)
    assert again.steps == [0], "the same model may be fitted again"


# Of Keras' own making, when it writes JAX's arrays.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_goes_on_where_it_was_interrupted(digits, tmp_path):
    straight = Reports()
    _fit(_network(digits), digits, straight, epochs=5)
    interrupted = Reports(stop_at=2)
    with pytest.raises(wt.Stopped):
        _fit(_network(digits), digits, interrupted, epochs=5, checkpoint_path=tmp_path)
    (tmp_path / ".epoch-000004.weights.h5").write_bytes(b"half of it")
    rest = Reports()
    _fit(_network(digits, seed=9), digits, rest, epochs=5, checkpoint_path=tmp_path)
    assert rest.steps == [3, 4]
    together = interrupted.metrics + rest.metrics
    assert [m["loss"] for m in together] == pytest.approx([m["loss"] for m in straight.metrics], rel=1e-5)
    assert [path.name for path in tmp_path.glob("epoch-*")] == ["epoch-000005.weights.h5"]


# Boosting


@pytest.mark.parametrize("stop_at", [None, 3])
def test_lightgbm(cancer, stop_at):
    import lightgbm

    x, x_test, y, y_test = cancer
    report = Reports(stop_at)
    data = lightgbm.Dataset(x, y)
    parameters = {"objective": "binary", "metric": ["auc", "binary_logloss"], "verbose": -1, "num_threads": 1}
    record = {}

    def fit():
        lightgbm.train(
            parameters,
            data,
            num_boost_round=6,
            valid_sets=[data, lightgbm.Dataset(x_test, y_test, reference=data)],
            valid_names=["train", "test"],
            callbacks=[wt.callbacks.lightgbm(report), lightgbm.record_evaluation(record)],
        )

    if stop_at is None:
        fit()
    else:
        with pytest.raises(wt.Stopped):
            fit()
    assert report.steps == list(range(6 if stop_at is None else 4))
    assert set(report.metrics[0]) == {"train_auc", "train_binary_logloss", "test_auc", "test_binary_logloss"}
    assert [m["test_auc"] for m in report.metrics] == record["test"]["auc"]


def test_lightgbms_estimators_and_cross_validation(cancer):
    import lightgbm

    x, x_test, y, y_test = cancer
    report = Reports(stop_at=2)
    with pytest.raises(wt.Stopped):
        lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1).fit(
            x, y, eval_X=x_test, eval_y=y_test, callbacks=[wt.callbacks.lightgbm(report)]
        )
    assert report.metrics[-1].keys() == {"valid_0_binary_logloss"}
    report = Reports()
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1}
    lightgbm.cv(parameters, lightgbm.Dataset(x, y), num_boost_round=2, nfold=2, callbacks=[wt.callbacks.lightgbm(report)])
    assert report.steps == [0, 1]
    assert report.metrics[-1].keys() == {"valid_binary_logloss"}


@pytest.mark.parametrize("stop_at", [None, 3])
def test_xgboost(cancer, stop_at):
    import xgboost

    x, x_test, y, y_test = cancer
    report = Reports(stop_at)
    parameters = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "nthread": 1}
    data, test = xgboost.DMatrix(x, y), xgboost.DMatrix(x_test, y_test)
    record = {}

    def fit():
        xgboost.train(
            parameters,
            data,
            num_boost_round=6,
            evals=[(test, "test")],
            evals_result=record,
            verbose_eval=False,
            callbacks=[wt.callbacks.xgboost(report)],
        )

    if stop_at is None:
        fit()
        assert [m["test_auc"] for m in report.metrics] == record["test"]["auc"]
    else:
        with pytest.raises(wt.Stopped):
            fit()
    assert report.steps == list(range(6 if stop_at is None else 4))
    assert report.metrics[0].keys() == {"test_auc", "test_logloss"}


def test_xgboosts_estimators_and_cross_validation(cancer):
    import xgboost

    x, x_test, y, y_test = cancer
    report = Reports(stop_at=2)
    with pytest.raises(wt.Stopped):
        xgboost.XGBClassifier(n_estimators=5, n_jobs=1, callbacks=[wt.callbacks.xgboost(report)]).fit(
            x, y, eval_set=[(x_test, y_test)], verbose=False
        )
    assert report.metrics[-1].keys() == {"validation_0_logloss"}
    report = Reports()
    parameters = {"objective": "binary:logistic", "nthread": 1}
    with warnings.catch_warnings():
        # Of XGBoost's own making, with the pandas that is installed.
        warnings.simplefilter("ignore")
        xgboost.cv(parameters, xgboost.DMatrix(x, y), num_boost_round=2, nfold=2, callbacks=[wt.callbacks.xgboost(report)])
    assert report.steps == [0, 1]
    assert report.metrics[-1].keys() == {"train_logloss", "test_logloss"}


# scikit-learn


def _estimators():
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import SGDClassifier, SGDRegressor
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neural_network import MLPClassifier

    return [
        RandomForestClassifier(7, random_state=0),
        GradientBoostingRegressor(n_estimators=7, random_state=0),
        HistGradientBoostingClassifier(max_iter=7, random_state=0),
        SGDClassifier(random_state=0),
        SGDRegressor(random_state=0),
        MLPClassifier((4,), random_state=0),
        GaussianNB(),
    ]


@pytest.mark.parametrize("estimator", _estimators(), ids=lambda e: type(e).__name__)
def test_estimators_in_steps(cancer, estimator):
    from sklearn.base import clone

    x, x_test, y, y_test = cancer
    report = Reports()
    made = wt.callbacks.fit_in_steps(clone(estimator), x, y, report, lambda e: {"accuracy": e.score(x_test, y_test)}, steps=4)
    assert report.steps == [0, 1, 2, 3]
    assert report.metrics[-1] == {"accuracy": made.score(x_test, y_test)}
    if hasattr(estimator, "n_estimators"):
        assert np.allclose(made.predict(x_test), clone(estimator).fit(x, y).predict(x_test)), "in steps as at once"
    stopped = Reports(stop_at=1)
    with pytest.raises(wt.Stopped):
        wt.callbacks.fit_in_steps(clone(estimator), x, y, stopped, lambda e: e.score(x_test, y_test), steps=4)
    assert stopped.steps == [0, 1]
    assert stopped.metrics[0].keys() == {"score"}


def test_an_ensemble_smaller_than_its_steps(cancer):
    from sklearn.ensemble import RandomForestClassifier

    x, _x_test, y, _y_test = cancer
    report = Reports()
    made = wt.callbacks.fit_in_steps(RandomForestClassifier(3, random_state=0), x, y, report, lambda e: len(e.estimators_))
    assert [m["score"] for m in report.metrics] == [1, 2, 3]
    assert made.n_estimators == 3


def test_what_can_only_be_fitted_at_once(cancer):
    from sklearn.svm import SVC

    x, _, y, _ = cancer
    with pytest.raises(InvalidInput, match="SVC can only be fitted at once"):
        wt.callbacks.fit_in_steps(SVC(), x, y, Reports(), lambda e: 0.0)
    with pytest.raises(InvalidInput, match="0 steps"):
        wt.callbacks.fit_in_steps(SVC(), x, y, Reports(), lambda e: 0.0, steps=0)


def test_a_library_that_is_not_there():
    with pytest.raises(InvalidInput, match=r"lightning is not installed.*pip install lightning"):
        wt.callbacks.lightning(Reports())


def test_in_a_study(cancer, tmp_path, monkeypatch):
    """Whole: pruned by what the callback reports."""
    monkeypatch.chdir(tmp_path)

    def train(learning_rate, report, data):
        import lightgbm

        x, x_test, y, y_test = data()
        model = lightgbm.LGBMClassifier(n_estimators=10, learning_rate=learning_rate, verbose=-1, n_jobs=1)
        model.fit(x, y, eval_X=x_test, eval_y=y_test, callbacks=[wt.callbacks.lightgbm(report)])

    rates = [{"learning_rate": rate} for rate in (0.3, 0.2, 0.25, 0.15, 1e-6)]
    study = wt.tune(
        train,
        {"learning_rate": wt.Float(1e-6, 0.3, log=True)},
        minimize="valid_0_binary_logloss",
        trials=5,
        pruner="median",
        enqueue=rates,
        engine="inline",
        data=lambda: cancer,
    )
    assert study.trials[-1].state == "STOPPED"
    assert study.best_config["learning_rate"] == 0.3
