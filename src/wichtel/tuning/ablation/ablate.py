"""Ablation studies: what each component of a training contributes, found by leaving it out.

Leave one component out (LOCO): the training as it is, then without each component in turn, and on request without each pair; each
several times with different seeds (Meister et al., "MAGGY"; Meyes et al., "Ablation studies in artificial neural networks"). Underneath
it is a study like any other, whose one parameter says what is left out; so it is parallel, and resumes if it has a name.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Any

from wichtel.domain import Choice, InvalidInput, Space, UserError, did_you_mean, flatten, nest, seed_of
from wichtel.tuning.ablation.contributions import JOINED, NOTHING, PARAMETER, AblationResult
from wichtel.tuning.ablation.layers import make_without
from wichtel.tuning.function import INJECTED, Function, check_function, name_of

_WHERE = "ablate"


def ablate(
    function: Function,
    *,
    features: Sequence[str] = (),
    layers: Sequence[str] = (),
    components: Mapping[str, str | Mapping[str, Any]] | None = None,
    parameters: Mapping[str, Any] | None = None,
    pairs: bool = False,
    seeds: int = 3,
    maximize: str | None = None,
    minimize: str | None = None,
    config: Mapping[str, Any] | None = None,
    model: Any = None,
    data: Any = None,
    seed: int = 0,
    workers: int = 1,
    engine: str = "local",
    name: str | None = None,
    store: str | None = None,
    gpus: float = 0.0,
    timeout_seconds: float | None = None,
    progress: bool | str | None = None,
) -> AblationResult:
    """Measure what each component contributes to a metric, by training without it.

    `function` is one as for `tune`; it asks for the model and the data by the names ``model`` and ``data``, and calls what it is given
    without arguments of which it would have to know. The same seeds are used for the training as it is and for each one without
    something, so that differences between them are compared seed by seed.

    An ablation that fails, because the other layers do not fit together say, is told in the result, and the others go on.

    Args:
        function: The training function.
        features: Columns. `data` is called with ``without=(name, …)``: the ones to leave out; ``()`` for none.
        layers: Layers of the Keras model that `model` makes, each by its name; one with ``*``, such as ``conv*``, is a group of layers
            that are left out together.
        components: Anything else that can be switched off: its name → the keyword that is set to False, or a dict of keywords and what
            they are set to. A keyword goes to whichever of `model`, `data` and `function` takes it.
        parameters: Hyperparameters: name → the value that means off, such as ``{"dropout": 0.0}``.
        pairs: Whether each pair of all these is left out, too.
        seeds: How many times each training is run.
        maximize: The metric, if larger is better. Either this or `minimize`.
        minimize: The metric, if smaller is better.
        config: The hyperparameters of the training as it is, flat or nested; the best of a study for example. Others have their defaults.
        model: A function that makes the model.
        data: A function that makes the data sets.
        seed: Decides all others.
        workers: Trainings at the same time.
        engine: As for `tune`.
        name: As for `tune`: kept under this name, and resumed by the same call.
        store: As for `tune`.
        gpus: Graphics processors of one training, as for `tune`.
        timeout_seconds: Limit on one training.
        progress: As for `tune`.

    Raises:
        InvalidInput: there is nothing to leave out, or a component that nobody takes.
        UserError: the training as it is fails.

    Example:
        >>> import wichtel as wt
        >>> def train(seed, momentum=0.9, bias=True):
        ...     return 0.5 + 0.3 * (momentum > 0) + 0.1 * bias
        >>> result = wt.ablate(train, components={"bias": "bias"}, parameters={"momentum": 0}, maximize="accuracy", engine="inline")
        >>> [(row.component, round(row.contribution, 3)) for row in result.rows[1:]]
        [('parameter momentum', 0.3), ('component bias', 0.1)]
    """
    from wichtel.tuning.tuner import tune

    if seeds < 1:
        raise InvalidInput(f"{seeds} seeds are no training.", where=_WHERE)
    if not isinstance(maximize or minimize, str) or (maximize and minimize):
        raise InvalidInput("say what is better: maximize=… or minimize=… with one metric's name.", where=_WHERE)
    fixed = flatten(config or {})
    parts = dict(_parts(features, layers, components or {}, parameters or {}))
    if not parts:
        raise InvalidInput("there is nothing to leave out.", where=_WHERE, hint="Name features, layers, components or parameters.")
    _check_generators(features, layers, model, data)
    placed = {label: _place(label, part, function, model, data, fixed) for label, part in parts.items()}
    own = {name for part in placed.values() for name in part.function}
    ablated = Ablated(function, fixed, placed, seed=seed, features=bool(features), own=frozenset(own))
    names = [*fixed, *(own - fixed.keys())]
    check_function(function, Space(dict.fromkeys(names)) if names else None, model=model, data=data)
    labels = [*parts, *(map(JOINED.join, combinations(parts, 2)) if pairs else ())]
    study = tune(
        ablated,
        {PARAMETER: Choice([NOTHING, *labels])},
        maximize=maximize or (),
        minimize=minimize or (),
        trials=len(labels) + 1,
        workers=workers,
        searcher="grid",
        repeats=seeds,
        model=model,
        data=data,
        seed=seed,
        engine=engine,
        name=name,
        store=store,
        gpus=gpus,
        timeout_seconds=timeout_seconds,
        max_failed_share=1.0,
        progress=progress,
    )
    return AblationResult(study)


@dataclass(frozen=True, slots=True)
class Part:
    """One component, and how it is left out."""

    features: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    #: Keywords that switch it off, wherever they belong;
    keywords: Mapping[str, Any] = field(default_factory=dict)
    # and by who takes them.
    function: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


class Ablated:
    """A training function without what its argument ``without`` names; all else that it asks for goes on to the function inside.

    Args:
        function: The one inside.
        config: Its hyperparameters, flat.
        parts: Label → what it takes to leave that component out.
        seed: Decides the seeds of all evaluations: the n-th of each trial has the same.
        features: Whether the data generator is told which features to leave out.
        own: Names that `parts` may set in the function.
    """

    def __init__(
        self, function: Function, config: Mapping[str, Any], parts: Mapping[str, Part], *, seed: int, features: bool, own: frozenset[str]
    ) -> None:
        # So that whoever sends it sees what is inside.
        self.__wrapped__ = function
        self.__name__ = self.__qualname__ = name_of(function)
        self._config = dict(config)
        self._parts = dict(parts)
        self._seed = seed
        self._features = features
        self._own = own

    @property
    def __signature__(self) -> inspect.Signature:
        fixed = {name.partition(".")[0] for name in (*self._config, *self._own)}
        offered = {*INJECTED, "model", "data"} - fixed - {"repeat"}
        inside = inspect.signature(self.__wrapped__).parameters.values()
        asked = [
            p.replace(kind=p.KEYWORD_ONLY, annotation=p.empty)
            for p in inside
            if p.name in offered and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        ours = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in (PARAMETER, "repeat")]
        return inspect.Signature([*asked, *ours])

    def __call__(self, *, without: str, repeat: int, **given: Any) -> Any:
        """Train without what `without` names: labels of parts, joined."""
        parts = [self._parts[label] for label in without.split(JOINED)] if without != NOTHING else []
        inside = inspect.signature(self.__wrapped__).parameters
        config = dict(self._config)
        for part in parts:
            config |= part.function
        if "seed" in given:
            given["seed"] = seed_of(self._seed, repeat)
        if "repeat" in inside and "repeat" not in config:
            given["repeat"] = repeat
        if given.get("data") is not None:
            keywords = {k: v for part in parts for k, v in part.data.items()}
            if self._features:
                keywords["without"] = tuple(name for part in parts for name in part.features)
            given["data"] = partial(given["data"], **keywords) if keywords else given["data"]
        if given.get("model") is not None:
            keywords = {k: v for part in parts for k, v in part.model.items()}
            made = partial(given["model"], **keywords) if keywords else given["model"]
            patterns = [pattern for part in parts for pattern in part.layers]
            given["model"] = partial(make_without, made, patterns) if patterns else made
        return self.__wrapped__(**nest(config), **given)


def _parts(
    features: Sequence[str], layers: Sequence[str], components: Mapping[str, str | Mapping[str, Any]], parameters: Mapping[str, Any]
) -> Iterator[tuple[str, Part]]:
    """Each component by its label."""
    for names, what in ((features, "features"), (layers, "layers")):
        if isinstance(names, str):
            raise InvalidInput(f"{what} is a list of names, not {names!r}.", where=_WHERE)
        if len(set(names)) < len(names):
            raise InvalidInput(f"one of the {what} stands there twice.", where=_WHERE)
    for name in (*features, *layers, *components, *parameters):
        if not isinstance(name, str) or not name or JOINED in name:
            raise InvalidInput(f"{name!r} is no name of a component.", where=_WHERE)
    yield from ((f"feature {name}", Part(features=(name,))) for name in features)
    yield from ((f"layer {name}", Part(layers=(name,))) for name in layers)
    for name, off in components.items():
        if not isinstance(off, str | Mapping) or not off:
            hint = "Give the keyword that is set to False, or a dict of keywords and their values."
            raise InvalidInput(f"component {name!r} is switched off by {off!r}.", where=_WHERE, hint=hint)
        yield f"component {name}", Part(keywords={off: False} if isinstance(off, str) else dict(off))
    yield from ((f"parameter {name}", Part(keywords={name: off})) for name, off in parameters.items())


def _check_generators(features: Sequence[str], layers: Sequence[str], model: Any, data: Any) -> None:
    if features and not _takes(data, "without", anyhow=True):
        hint = "Give data=…, a function with the parameter without: the names of features to leave out."
        raise InvalidInput("nobody leaves features out.", where=_WHERE, hint=hint)
    if layers and model is None:
        raise InvalidInput("there is no model whose layers to leave out.", where=_WHERE, hint="Give model=…, a function that makes one.")


def _place(label: str, part: Part, function: Function, model: Any, data: Any, config: Mapping[str, Any]) -> Part:
    """`part` with its keywords given to who takes them.

    Raises:
        InvalidInput: nobody does, or it is off anyway.
    """
    takers: dict[str, dict[str, Any]] = {"function": {}, "model": {}, "data": {}}
    for name, off in part.keywords.items():
        places = {"function": function, "model": model, "data": data}
        found = [who for who, place in places.items() if _takes(place, name) or (who == "function" and name in config)]
        found = found or [who for who, place in places.items() if _takes(place, name, anyhow=True)]
        if not found:
            known = {n for place in places.values() for n in _parameters(place)}
            raise InvalidInput(f"nobody takes {name!r}.", where=f"{_WHERE}, {label}", hint=did_you_mean(name, {*known, *config}))
        for who in found:
            now = _now(places[who], name, config if who == "function" else {})
            if len(part.keywords) == 1 and type(now) is type(off) and now == off:
                raise InvalidInput(f"{name!r} is {off!r} anyway.", where=f"{_WHERE}, {label}", hint="Say in config=… what it is else.")
            takers[who][name] = off
    return Part(part.features, part.layers, part.keywords, **takers)


def _parameters(thing: Any) -> Mapping[str, inspect.Parameter]:
    if not callable(thing):
        return {}
    try:
        return inspect.signature(thing).parameters
    except (TypeError, ValueError):
        return {}


def _takes(thing: Any, name: str, *, anyhow: bool = False) -> bool:
    """Whether it has a parameter of that name; `anyhow`, also whether it takes any."""
    known = _parameters(thing)
    return name.partition(".")[0] in known or (anyhow and any(p.kind is p.VAR_KEYWORD for p in known.values()))


def _now(thing: Any, name: str, config: Mapping[str, Any]) -> Any:
    """The value in the training as it is, if that is known."""
    if name in config:
        return config[name]
    found = _parameters(thing).get(name)
    return None if found is None or found.default is found.empty else found.default


def is_ablation(space: Space) -> bool:
    """Whether a study of this space is an ablation study."""
    choice = space.get(PARAMETER)
    return len(space) == 1 and isinstance(choice, Choice) and choice.options[0] == NOTHING


def read_ablation(study: Any) -> AblationResult:
    """The ablation study that a `StudyResult` is of.

    Raises:
        UserError: it is none.
    """
    if not is_ablation(study.spec.space):
        raise UserError("it is no ablation study.", where=f"study {study.spec.name!r}", hint="See wichtel.ablate.")
    return AblationResult(study)
