"""What recipes do, as a catalogue tells it: their own words, their options, and what they make of a small plan."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from wichtel.domain import Analysis, Expectation, Metadata, Tunable, WichtelError
from wichtel.plans import SourceTree
from wichtel.plans.job import parse_job
from wichtel.recipes.registry import make_recipe, recipe_kind, recipe_names

#: The plan that examples change.
PLAN = b'''"""Will a flight be late?"""

import keras
from keras import layers

from wichtel import plan, tunable

plan.metadata(primary_metric="auc", better="larger")
inputs = plan.features([plan.Categorical("carrier", buckets=64), plan.Numeric("distance")])

width = tunable.Int("width", default=32, candidates=[16, 32, 64])
carrier = layers.Embedding(64, 8)(inputs["carrier"])
x = layers.Concatenate()([carrier, inputs["distance"]])
x = layers.Dense(width, activation="relu")(x)
model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
model.compile("adam", "binary_crossentropy")
'''
JOB = b"""[dataset]
name = "flights"
label = "late"

[windows]
train = [2026-01-01T00:00:00Z, 2026-06-01T00:00:00Z]
evaluation = [2026-06-01T00:00:00Z, 2026-07-01T00:00:00Z]

[training]
batch_size = 1024
sample = 1.0  # share of the examples
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionInfo:
    """An option that a recipe is made with."""

    name: str
    #: As its author wrote it.
    type: str
    help: str
    required: bool
    default: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleInfo:
    """What a recipe made of the plan above."""

    #: How it was made and what it was given, as Python.
    call: str
    diff: str
    summary: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeInfo:
    """A recipe as a catalogue shows it."""

    name: str
    #: One sentence.
    summary: str
    #: Paragraphs.
    help: tuple[str, ...]
    options: tuple[OptionInfo, ...]


def recipes() -> list[RecipeInfo]:
    """All that are installed, by name; one that cannot be loaded is left out."""
    found = []
    for name in recipe_names():
        try:
            found.append(get_recipe(name))
        except Exception:  # noqa: BLE001, S112 -- somebody else's code, at somebody else's import
            continue
    return found


@cache
def get_recipe(name: str) -> RecipeInfo:
    """One recipe.

    Raises:
        NotFound: there is none.
    """
    kind = recipe_kind(name)
    text = inspect.cleandoc(kind.__doc__ or "")
    words, _, rest = text.partition("\nArgs:\n")
    # Of a paragraph; that in code is a word's, too.
    paragraphs = [" ".join(part.split()).replace("``", "`") for part in words.split("\n\n") if part.strip()]
    first, *others = paragraphs or [""]
    return RecipeInfo(
        name=name,
        summary=first,
        help=tuple(others),
        options=tuple(_options(kind, _arguments(rest))),
    )


def _arguments(text: str) -> dict[str, str]:
    """The entries of an ``Args:`` section, by name."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        head, colon, said = line.partition(": ")
        if colon and line.startswith("    ") and not line.startswith("     ") and head.strip().isidentifier():
            name = head.strip()
            found[name] = said.strip()
        elif name and line.startswith("        "):
            found[name] += " " + line.strip()
    return {name: said.replace("``", "`") for name, said in found.items()}


def _options(kind: Any, said: Mapping[str, str]) -> Iterator[OptionInfo]:
    for name, parameter in list(inspect.signature(kind.__init__).parameters.items())[1:]:
        required = parameter.default is inspect.Parameter.empty
        given = "" if parameter.annotation is inspect.Parameter.empty else str(parameter.annotation)
        yield OptionInfo(name=name, type=given, help=said.get(name, ""), required=required, default=None if required else parameter.default)


@cache
def example_of(name: str) -> ExampleInfo | None:
    """What a recipe makes of the plan above; None if it has no example, or fails on it.

    Raises:
        NotFound: there is none.
    """
    example = getattr(recipe_kind(name), "example", None)
    if example is None:
        return None
    options, parameters = example
    try:
        recipe = make_recipe(name, **options)
        edit = recipe.apply(SourceTree({"plan.py": PLAN, "job.toml": JOB}), analysis(), parameters)
    except WichtelError:
        return None
    made = f"{type(recipe).__name__}({', '.join(f'{key}={_shown(value)}' for key, value in options.items())})"
    call = f"{made}.apply(tree, analysis, {_shown(parameters)})"
    return ExampleInfo(call=call, diff=edit.diff, summary=edit.summary, notes=edit.notes)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, str):
        return f'"{value}"'
    return repr(value) if isinstance(value, int | float | bool | None) else f"{type(value).__name__}()"


def analysis() -> Analysis:
    """What loading the plan above finds."""
    return Analysis(
        trainer="keras",
        features=(),
        tunables=(Tunable(name="width", kind="int", default=32, candidates=(16, 32, 64), place="plan.py:11"),),
        metadata=Metadata(primary_metric="auc", better=Expectation.LARGER),
        job=parse_job(JOB),
    )
