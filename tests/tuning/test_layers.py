"""Keras models without some of their layers."""

from __future__ import annotations

import os

import numpy as np
import pytest

from wichtel.domain import UserError
from wichtel.tuning.ablation.layers import make_without, without_layers

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")

# Of Keras' own making, when it reads JAX's arrays.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _sequential(size=8, *, built=True):
    layers = [
        keras.layers.Conv2D(2, 3, name="conv_1"),
        keras.layers.Conv2D(2, 3, name="conv_2"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(4, name="hidden"),
        keras.layers.Dense(3, name="out"),
    ]
    return keras.Sequential([keras.Input((size, size, 1)), *layers] if built else layers)


def _names(model):
    return [layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def test_by_name_and_by_prefix():
    model = _sequential()
    model.compile("sgd", "mse")
    made = without_layers(model, ["conv_2"])
    assert _names(made) == ["conv_1", "flat", "hidden", "out"]
    assert made.compiled
    assert made.optimizer.name.startswith("sgd")
    made = without_layers(model, ["conv*", "hidden"])
    assert _names(made) == ["flat", "out"]
    assert made.output_shape == (None, 3)
    assert made.layers[-1].kernel.shape == (64, 3), "the next layer takes what comes now"
    assert _names(model) == ["conv_1", "conv_2", "flat", "hidden", "out"], "the model itself is as it was"
    assert _names(without_layers(_sequential(built=False), ["conv*"])) == ["flat", "hidden", "out"]
    assert make_without(_sequential, ["conv*"], size=6).input_shape == (None, 6, 6, 1)


def test_what_keeps_its_shape_keeps_its_weights():
    model = _sequential()
    made = without_layers(model, ["conv_2"])
    for name, same in (("conv_1", True), ("out", True), ("hidden", False)):
        before, after = (keras.ops.convert_to_numpy(m.get_layer(name).kernel.value) for m in (model, made))
        assert (before.shape == after.shape and np.array_equal(before, after)) is same


def _functional():
    inputs = keras.Input((6,), name="in")
    x = keras.layers.Dense(6, activation="relu", name="block_1")(inputs)
    y = keras.layers.Dropout(0.5, name="drop")(x)
    y = keras.layers.Dense(6, name="block_2")(y)
    z = keras.layers.Add(name="add")([x, y])
    return keras.Model(inputs, keras.layers.Dense(2, name="out")(z))


def test_functional_models_are_rewired():
    model = _functional()
    model.get_layer("block_2").set_weights([np.eye(6), np.zeros(6)])
    made = without_layers(model, ["drop"])
    assert "drop" not in _names(made)
    data = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    assert np.allclose(made(data), model(data)), "without training, dropout does nothing"
    assert sorted(_names(without_layers(model, ["block*"]))) == ["add", "drop", "out"]


@pytest.mark.parametrize(
    ("make", "patterns", "message"),
    [
        (_sequential, ["cnv_1"], "layer 'cnv_1': the model has no such layer.*Did you mean 'conv_1'"),
        (_sequential, ["out"], "'out' gives the model's output"),
        (_sequential, ["*"], "no other layers"),
        (_functional, ["add"], "layer 'add': it joins several inputs"),
        (_functional, ["out"], "'out' gives the model's output"),
        (lambda: keras.layers.Dense(3), ["x"], "Dense is a model of its own kind"),
    ],
)
def test_what_cannot_be_left_out(make, patterns, message):
    with pytest.raises(UserError, match=message):
        without_layers(make(), patterns)


def test_layers_that_do_not_fit_together_any_more():
    inputs = keras.Input((6,))
    x = keras.layers.Dense(4, name="narrow")(inputs)
    y = keras.layers.Dense(4, name="other")(inputs)
    model = keras.Model(inputs, keras.layers.Add()([x, y]))
    with pytest.raises(UserError, match="layer 'narrow': without it the other layers do not fit together"):
        without_layers(model, ["narrow"])
