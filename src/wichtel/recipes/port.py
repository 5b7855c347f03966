"""The contract of a recipe, and what it hands back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from wichtel.domain import Analysis, UserError
from wichtel.plans import SourceTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A changed plan.

    Raises:
        UserError: nothing changed; an experiment on it would compare a model with itself.
    """

    before: SourceTree
    tree: SourceTree
    #: What was done, in one line.
    summary: str
    #: What was left as it is and why, each with ``file:line``; and what a reader of the diff should know.
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.before.files == self.tree.files:
            reasons = " ".join(self.notes)
            raise UserError(f"the recipe changes nothing ({self.summary}).", hint=reasons or "Is it meant for another model?")

    @property
    def diff(self) -> str:
        """The unified diff from the plan to the changed plan, for ``git apply``."""
        return self.before.diff(self.tree)


@runtime_checkable
class Recipe(Protocol):
    """A program that edits a plan. Pure: the same arguments give the same edit, and nothing of the plan is executed."""

    @property
    def name(self) -> str:
        """Its registered name."""

    def apply(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> Edit:
        """Edit a plan.

        Args:
            tree: The plan; it is not changed.
            analysis: What loading the plan found.
            parameters: The recipe's own, such as a trial's configuration.

        Raises:
            UserError: a parameter is wrong, the plan has a form that cannot be edited safely, or nothing would change.
        """


def edited(tree: SourceTree, files: Mapping[str, bytes], summary: str, notes: Iterable[str] = ()) -> Edit:
    """The edit that replaces `files`."""
    return Edit(before=tree, tree=tree.with_files(files), summary=summary, notes=tuple(notes))
