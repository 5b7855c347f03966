"""Ablation studies: `wt.ablate` on real data, with real models."""

from __future__ import annotations

import os
import random

import pytest

import wichtel as wt
from wichtel.domain import InvalidInput, UserError
from wichtel.tuning.ablation.ablate import ablate

os.environ.setdefault("KERAS_BACKEND", "jax")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _rows(result):
    return {row.component: row for row in result.rows}


# Features, in worker processes


def _diabetes(without=(), *, scaled=True):
    from sklearn.datasets import load_diabetes

    frame, target = load_diabetes(return_X_y=True, as_frame=True, scaled=scaled)
    return frame.drop(columns=list(without)), target


def _regress(data, seed, *, alpha=0.001):
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import train_test_split

    x, x_test, y, y_test = train_test_split(*data(), random_state=seed)
    return Ridge(alpha=alpha).fit(x, y).score(x_test, y_test)


def test_features_are_left_out_one_at_a_time():
    result = wt.ablate(_regress, features=["bmi", "age", "s5"], data=_diabetes, maximize="r2", seeds=5, workers=2, timeout_seconds=60)
    rows = _rows(result)
    assert rows.keys() == {"nothing", "feature bmi", "feature age", "feature s5"}
    assert rows["feature bmi"].contribution > rows["feature age"].contribution
    assert rows["feature s5"].contribution > rows["feature age"].contribution
    assert result.rows[0].component == "nothing"
    assert result.rows[-1].component == "feature age"
    for row in result.rows[1:]:
        assert row.contribution == pytest.approx(rows["nothing"].mean - row.mean)
        assert row.interval[0] < row.contribution < row.interval[1]
        assert row.std > 0
        # By pairs, a difference is known better than from the two means.
        assert row.spread < row.std + rows["nothing"].std
    assert result.study.spec.repeats == 5


# Layers


def _digits(count=300):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images[:count].reshape(-1, 8, 8) / 16, labels[:count]


def _network(width=8):
    import keras

    return keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(width, activation="relu", name="hidden_1"),
            keras.layers.Dense(width, activation="relu", name="hidden_2"),
            keras.layers.Dense(10, activation="softmax", name="out"),
        ]
    )


def _classify(model, data, seed):
    import keras

    keras.utils.set_random_seed(seed)
    images, labels = data()
    made = model()
    # Of models this small, compiling each takes longer than training it.
    made.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    made.fit(images[:200], labels[:200], batch_size=100, verbose=0)
    return {"loss": made.evaluate(images[200:], labels[200:], batch_size=100, verbose=0), "parameters": made.count_params()}


def test_layers_are_left_out_by_name_and_by_prefix():
    result = wt.ablate(
        _classify,
        layers=["hidden_2", "hid*", "flat", "hiden"],
        model=_network,
        data=_digits,
        minimize="loss",
        seeds=2,
        engine="inline",
    )
    rows = _rows(result)
    sizes = {str(t.config["without"]): t.metrics.get("parameters") for t in result.study.trials}
    assert sizes["nothing"] == (64 * 8 + 8) + (8 * 8 + 8) + (8 * 10 + 10)
    assert sizes["layer hidden_2"] == (64 * 8 + 8) + (8 * 10 + 10)
    assert sizes["layer hid*"] == 64 * 10 + 10
    for name in ("layer hidden_2", "layer hid*"):
        assert rows[name].contribution == pytest.approx(rows[name].mean - rows["nothing"].mean), "of a loss, smaller is better"
    assert "no such layer" in rows["layer hiden"].reason
    assert rows["layer flat"].mean is None, "what comes out no longer goes with the labels"
    assert {row.component for row in result.rows[-2:]} == {"layer flat", "layer hiden"}
    assert "2 failed" in result.warnings[-1]


# Components and parameters


def _train(seed, momentum=0.9, norm=True, optimizer=None, augment=False, data=None, report=None):
    noise = random.Random(seed).gauss(0, 0.01)
    better = 0.2 * (momentum > 0) + 0.1 * norm + (0.05 if norm and momentum > 0 else 0)
    return {"accuracy": 0.5 + better + noise + (data() if data else 0) + (optimizer or {}).get("decay", 0), "seed": seed}


def _ablate(**changes):
    options = {
        "components": {"batch norm": "norm"},
        "parameters": {"momentum": 0.0},
        "maximize": "accuracy",
        "engine": "inline",
        "pairs": True,
    } | changes
    return ablate(options.pop("function", _train), **options)


def test_components_parameters_and_pairs():
    result = _ablate()
    rows = _rows(result)
    assert [row.component for row in result.rows[1:]] == [
        "component batch norm + parameter momentum",
        "parameter momentum",
        "component batch norm",
    ]
    assert rows["parameter momentum"].contribution == pytest.approx(0.25)
    assert rows["component batch norm"].contribution == pytest.approx(0.15)
    both = rows["component batch norm + parameter momentum"]
    assert both.contribution == pytest.approx(0.35)
    assert both.interaction == pytest.approx(-0.05)
    assert both.without == ("component batch norm", "parameter momentum")
    assert rows["nothing"].std > 0
    assert both.spread == pytest.approx(0, abs=1e-9), "the same seeds make the same noise"
    assert both.certain
    assert len({tuple(t.samples["seed"]) for t in result.study.trials}) == 1
    assert len(set(result.study.trials[0].samples["seed"])) == 3
    assert result.warnings == []


def test_it_begins_with_a_configuration():
    result = _ablate(
        config={"optimizer": {"decay": 0.1}, "momentum": 0.5}, parameters={"momentum": 0, "optimizer.decay": 0}, components={}, pairs=False
    )
    rows = _rows(result)
    assert rows["parameter optimizer.decay"].contribution == pytest.approx(0.1)
    assert rows["parameter momentum"].contribution == pytest.approx(0.25)
    assert result.rows[0].mean == pytest.approx(0.95, abs=0.03)


def test_keywords_go_to_who_takes_them():
    def data(rows=10, shuffled=True):
        return rows / 100 + 0.01 * shuffled

    result = _ablate(components={"data": {"rows": 0, "norm": False}}, parameters={"shuffled": False}, pairs=False, data=data, seeds=1)
    rows = _rows(result)
    assert rows["component data"].contribution == pytest.approx(0.1 + 0.15)
    assert rows["parameter shuffled"].contribution == pytest.approx(0.01)
    assert rows["component data"].interval is None
    assert result.warnings == ["With one seed, nobody knows how much of a contribution is chance."]


def test_the_result_shows_itself():
    result = _ablate(name="a <b>")
    assert repr(result).startswith("<ablation study 'a <b>': accuracy over 3 seeds\n  nothing")
    assert "a &lt;b&gt;" in result._repr_html_()
    frame = result.to_dataframe()
    assert list(frame.index) == [row.component for row in result.rows]
    assert frame.loc["parameter momentum", "contribution"] == pytest.approx(0.25)
    bars, heat = result.plot().to_dict()["data"]
    assert list(bars["y"]) == ["parameter momentum", "component batch norm"]
    assert heat["z"][0][1] == heat["z"][1][0] == pytest.approx(0.35)
    assert result.study.plot.ablation().to_dict()["data"][0]["type"] == "bar"
    assert len(_ablate(pairs=False).plot().to_dict()["data"]) == 1
    study = wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, minimize="loss", trials=1, engine="inline")
    with pytest.raises(UserError, match="it is no ablation study"):
        study.plot.ablation()


def test_a_study_with_a_name_is_not_run_again():
    calls = []

    def train(seed, momentum=0.9):
        calls.append(seed)
        return momentum

    options = {"function": train, "components": {}, "pairs": False, "name": "again", "seeds": 2}
    first = _ablate(**options)
    assert len(calls) == 4
    assert _ablate(**options).rows == first.rows
    assert len(calls) == 4
    assert first.warnings == ["All seeds gave the same: does the function use its seed? Then the spread is not that of chance."]


def test_the_others_go_on_when_most_fail():
    def train(seed, a=1, b=1, c=1, d=1, e=1, f=1):
        if min(a, b, c, d, e) == 0:
            raise ValueError("nothing works without it")
        return a + f

    result = _ablate(function=train, components={}, parameters=dict.fromkeys("abcdef", 0), pairs=False, seeds=1)
    rows = _rows(result)
    assert rows["parameter f"].contribution == 1
    assert sum(row.mean is None for row in result.rows) == 5
    assert "ValueError: nothing works without it" in rows["parameter a"].reason
    assert "nothing works without it" in repr(result)
    assert result.to_dataframe().loc["parameter a", "reason"].startswith("ValueError")


def test_without_a_baseline_there_is_nothing_to_compare():
    def train(momentum=0.9):
        raise ValueError("no data")

    with pytest.raises(UserError, match="no data"):
        _ablate(function=train, components={}, seeds=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"components": {}, "parameters": {}}, "nothing to leave out"),
        ({"maximize": None}, "say what is better"),
        ({"minimize": "loss"}, "say what is better"),
        ({"seeds": 0}, "0 seeds"),
        ({"parameters": {"momentun": 0}}, "nobody takes 'momentun'.*Did you mean 'momentum'"),
        ({"parameters": {"momentum": 0.9}}, "'momentum' is 0.9 anyway"),
        ({"components": {"augmentation": "augment"}}, "'augment' is False anyway"),
        ({"components": {"x": 3}}, "'x' is switched off by 3"),
        ({"components": {"a + b": "norm"}}, "'a [+] b' is no name"),
        ({"features": ["age"]}, "nobody leaves features out.*without"),
        ({"features": "age"}, "features is a list"),
        ({"features": ["age", "age"], "data": _diabetes}, "stands there twice"),
        ({"layers": ["conv"]}, "no model whose layers"),
        ({"model": _network}, "does not ask for the model"),
        ({"function": lambda momentum, x: 1, "components": {}}, "nobody provides its parameter 'x'"),
    ],
)
def test_mistakes_are_told_before_anything_starts(changes, message):
    with pytest.raises(InvalidInput, match=message):
        _ablate(**changes)
