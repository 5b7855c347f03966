"""What every recipe must do. Copy `tests/recipes/test_recipes.py` to face your own with it."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wichtel.domain import Analysis
from wichtel.plans import SourceTree, read_job
from wichtel.recipes import Edit, Recipe, recipe_names


def check_recipe(recipe: Recipe, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any], folder: Path) -> Edit:
    """Apply `recipe` to a plan that it changes, and assert what holds for every recipe.

    Args:
        recipe: The one under test.
        tree: A plan that the recipe, with these parameters, changes.
        analysis: Of the plan.
        parameters: The recipe's.
        folder: An empty folder for ``git apply``.

    Returns:
        The edit, for whatever else is to be asserted of it.

    Raises:
        AssertionError: the recipe breaks the contract.
    """
    assert isinstance(recipe, Recipe)
    assert recipe.name == "chain" or recipe.name in recipe_names() or recipe.name.isidentifier()
    before, given = dict(tree.files), dict(parameters)
    edit = recipe.apply(tree, analysis, parameters)
    assert dict(tree.files) == before, "the given plan was changed"
    assert dict(parameters) == given, "the parameters were changed"
    assert edit.before == tree
    assert edit.tree.digest != tree.digest
    assert edit.summary
    assert "\n" not in edit.summary
    again = recipe.apply(tree, analysis, parameters)
    assert again.tree.digest == edit.tree.digest, "two applications differ"
    assert again.notes == edit.notes
    for path, content in edit.tree.files.items():
        if path.endswith(".py") and tree.files.get(path) != content:
            ast.parse(content)
    read_job(edit.tree)
    check_diff(edit.before, edit.tree, folder)
    return edit


def check_diff(before: SourceTree, after: SourceTree, folder: Path) -> None:
    """Assert that ``git apply`` of the diff turns `before` into exactly `after`."""
    before.write_to(folder)
    subprocess.run(["git", "apply", "-"], input=before.diff(after).encode(), cwd=folder, check=True, capture_output=True)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == dict(after.files)
