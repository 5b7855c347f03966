"""`TrainModel`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from wichtel.domain import Analysis
from wichtel.plans import SourceTree
from wichtel.protocols.basic import Basic


class TrainModel(Basic):
    """Train the model again, unchanged, with a fresh seed: is its quality reproducible, and does new software leave it neutral?"""

    name: ClassVar[str] = "TrainModel"

    def edit(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> None:
        """No edit: the candidate has the source of its target."""
