"""What the catalogue tells of recipes."""

from __future__ import annotations

import pytest

from wichtel.domain import NotFound
from wichtel.recipes import example_of, get_recipe, recipe_names, recipes


def test_each_has_words_of_its_own_options_with_help_and_an_example() -> None:
    found = recipes()
    assert [r.name for r in found] == list(recipe_names())
    for r in found:
        assert r.summary.endswith("."), r.name
        assert all(option.help for option in r.options), r.name
        example = example_of(r.name)
        assert example is not None, r.name
        assert example.diff.startswith("diff --git"), r.name


def test_an_example_says_how_it_was_made() -> None:
    example = example_of("tunable_set")
    assert example is not None
    assert example.call == 'TunableSet().apply(tree, analysis, {"width": 64})'
    assert '+    "width": 64,' in example.diff


def test_an_unknown_one_is_not_found() -> None:
    with pytest.raises(NotFound, match="there is no recipe 'tunable_sets'"):
        get_recipe("tunable_sets")
