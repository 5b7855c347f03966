"""Several recipes, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from wichtel.domain import Analysis, InvalidInput, did_you_mean
from wichtel.plans import SourceTree
from wichtel.recipes.job_edit import JobEdit
from wichtel.recipes.port import Edit, Recipe
from wichtel.recipes.tunable_set import TunableSet


class Chain:
    """Apply each recipe to what the one before it made.

    The parameters are those of the members, by name: ``{"tunable_set": {"width": 64}, "job_edit": {"training.sample": 0.5}}``.
    All members see the analysis of the plan that the chain started from.

    Args:
        recipes: The members, in their order.
    """

    name: ClassVar[str] = "chain"
    #: Options and parameters of the example in the catalogue.
    example: ClassVar[tuple[Mapping[str, Any], Mapping[str, Any]]] = (
        {"recipes": (TunableSet(), JobEdit())},
        {"tunable_set": {"width": 64}, "job_edit": {"training.sample": 0.5}},
    )

    def __init__(self, recipes: Sequence[Recipe]) -> None:
        if not recipes:
            raise InvalidInput("a chain needs a recipe.", where="chain")
        self.recipes = tuple(recipes)

    def apply(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> Edit:
        """Edit a plan.

        Raises:
            InvalidInput: parameters for a recipe that is not in the chain.
            UserError: a member refuses or changes nothing.
        """
        names = [recipe.name for recipe in self.recipes]
        for name in parameters:
            if name not in names:
                raise InvalidInput(f"there is no recipe {name!r} in the chain.", where="chain", hint=did_you_mean(name, names))
        edits: list[Edit] = []
        for recipe in self.recipes:
            edits.append(recipe.apply(edits[-1].tree if edits else tree, analysis, parameters.get(recipe.name, {})))
        return Edit(
            before=tree,
            tree=edits[-1].tree,
            summary="; ".join(edit.summary for edit in edits),
            notes=tuple(note for edit in edits for note in edit.notes),
        )
