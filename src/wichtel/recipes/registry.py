"""Recipes by name: the built-in ones, and those of installed packages (entry-point group ``wichtel.recipes``)."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from wichtel.domain import InvalidInput, NotFound, did_you_mean
from wichtel.recipes.port import Recipe

GROUP = "wichtel.recipes"

_BUILT_IN = {
    "chain": "wichtel.recipes.chain:Chain",
    "intercept": "wichtel.recipes.intercept:Intercept",
    "job_edit": "wichtel.recipes.job_edit:JobEdit",
    "rewrite": "wichtel.recipes.rewrite:Rewrite",
    "tunable_set": "wichtel.recipes.tunable_set:TunableSet",
}


def recipe_names() -> tuple[str, ...]:
    """The names of all recipes, sorted."""
    return tuple(sorted({*_BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))}))


def recipe_kind(name: str) -> Any:
    """What makes the recipes of that name: its class.

    Raises:
        NotFound: there is none.
    """
    from pkgutil import resolve_name

    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return entry.load()
    if name not in _BUILT_IN:
        raise NotFound(f"there is no recipe {name!r}.", hint=did_you_mean(name, recipe_names()))
    return resolve_name(_BUILT_IN[name])


def make_recipe(name: str, **options: Any) -> Recipe:
    """The recipe of that name, made with `options`.

    Raises:
        NotFound: there is none.
        InvalidInput: it does not take these options.
    """
    try:
        recipe = recipe_kind(name)(**options)
    except TypeError as error:
        raise InvalidInput(f"{error}.", where=f"recipe {name!r}") from error
    if not isinstance(recipe, Recipe):
        raise InvalidInput("it has no name or no apply.", where=f"recipe {name!r}", hint="See wichtel.recipes.Recipe.")
    return recipe
