"""Keras models without some of their layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from wichtel.domain import UserError, did_you_mean


def make_without(make: Callable[..., Any], patterns: Sequence[str], *args: Any, **kwargs: Any) -> Any:
    """What `make` makes of the other arguments, without the layers that `patterns` name."""
    return without_layers(make(*args, **kwargs), patterns)


def without_layers(model: Any, patterns: Sequence[str]) -> Any:
    """A Keras model like `model` but for the layers with these names: what flows into one of them goes on to those behind it.

    Layers that keep their shape begin with the weights that they have in `model`, the others with new ones. If `model` is compiled, so is
    it; losses and metrics of one's own must be registered with Keras for that, so better compile in the training function.

    Args:
        model: Sequential or functional; a layer that is left out must have one input and one output.
        patterns: Names of layers; ``*`` in one stands for any characters, so that ``conv*`` names all that begin with ``conv``.

    Raises:
        UserError: it is another kind of model, no layer has the name, all or the last of them have, or the others do not fit together.
    """
    import keras

    if not isinstance(model, keras.Sequential) and not _functional(model):
        hint = "Make it a keras.Sequential or a functional keras.Model, or make the part a component that its function can leave out."
        raise UserError(f"{type(model).__name__} is a model of its own kind, whose layers cannot be left out.", where="layers", hint=hint)
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    names = [layer.name for layer in layers]
    off = {name for name in names for pattern in patterns if fnmatchcase(name, pattern)}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError("the model has no such layer.", where=f"layer {pattern!r}", hint=did_you_mean(pattern, names))
    if len(off) == len(names):
        raise UserError("the model has no other layers.", where=_said(patterns))
    outputs = {tensor._keras_history.operation.name for tensor in model.outputs} if model.built and model.outputs else {names[-1]}
    if last := outputs & off:
        raise UserError(f"the layer {min(last)!r} gives the model's output.", where=_said(patterns), hint="Leave another one out.")
    try:
        made = _sequential(model, layers, off) if isinstance(model, keras.Sequential) else _rewired(model, off)
    except (ValueError, TypeError) as error:
        raise UserError(f"without it the other layers do not fit together: {error}", where=_said(patterns)) from error
    _copy_weights(model, made)
    if model.compiled:
        made.compile_from_config(model.get_compile_config())
    return made


def _functional(model: Any) -> bool:
    # `keras.Model` gives one when it is called with inputs and outputs, but exports no name for it.
    return type(model).__name__ == "Functional"


def _sequential(model: Any, layers: list[Any], off: set[str]) -> Any:
    import keras

    inputs = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in model.inputs] if model.built else []
    return keras.Sequential([*inputs, *(_again(layer) for layer in layers if layer.name not in off)], name=model.name)


def _rewired(model: Any, off: set[str]) -> Any:
    import keras

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name not in off:
            return layer(*args, **kwargs)
        if len(args) != 1 or isinstance(args[0], list | tuple | dict):
            raise UserError("it joins several inputs, and nobody knows which is to go on.", where=f"layer {layer.name!r}")
        return args[0]

    return keras.models.clone_model(model, clone_function=_again, call_function=call)


def _again(layer: Any) -> Any:
    """A layer like this one, not built yet: its input may have another shape now."""
    return type(layer).from_config(layer.get_config())


def _copy_weights(model: Any, made: Any) -> None:
    import keras

    if not (model.built and made.built):
        return
    before = {layer.name: layer for layer in model.layers}
    for layer in made.layers:
        known = before.get(layer.name)
        shapes = [tuple(w.shape) for w in layer.weights]
        if known is not None and shapes and shapes == [tuple(w.shape) for w in known.weights]:
            for mine, theirs in zip(layer.weights, known.weights, strict=True):
                mine.assign(keras.ops.copy(theirs.value))


def _said(patterns: Sequence[str]) -> str:
    return "layers " + ", ".join(map(repr, patterns)) if len(patterns) > 1 else f"layer {patterns[0]!r}"
