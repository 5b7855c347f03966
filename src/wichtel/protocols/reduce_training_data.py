"""`ReduceTrainingData`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from wichtel.domain import Analysis
from wichtel.plans import SourceTree
from wichtel.protocols.basic import Basic
from wichtel.protocols.parameter import ParameterSpec
from wichtel.recipes import Edit, JobEdit


class ReduceTrainingData(Basic):
    """Train on a share of the examples: often most of the cost goes and the quality stays."""

    name: ClassVar[str] = "ReduceTrainingData"
    intent: ClassVar[str] = "optimize_resources"
    recipes: ClassVar[tuple[str, ...]] = ("job_edit",)
    parameters: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(name="share", type="float", default=0.5, low=0.001, high=0.999, help="Share of the present examples that is kept."),
    )

    def edit(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> Edit:
        """Multiply ``training.sample`` in job.toml."""
        share = round(analysis.job.sample * parameters["share"], 6)
        return JobEdit().apply(tree, analysis, {"training.sample": share})
