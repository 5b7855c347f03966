"""The Basic template: one recipe, one proposed model (heinzelmaennchen, figure 3)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from wichtel.domain import Analysis
from wichtel.plans import SourceTree
from wichtel.protocols.port import Protocol, Services
from wichtel.protocols.template import FAILED, Inputs, Steps
from wichtel.recipes import Edit
from wichtel.workflows import Graph, Step, StepContext


class Basic(Protocol):
    """Apply a recipe, train the proposed model, compare it with the baseline on the evaluation window.

    A subclass says what the recipe is: `edit`.
    """

    kind: ClassVar[str] = "basic"

    @abstractmethod
    def edit(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> Edit | None:
        """The proposed model's source; None if it is the base's.

        Args:
            tree: The base's source.
            analysis: What loading it found.
            parameters: The protocol's, complete.
        """

    def graph(self, services: Services) -> Graph:
        """Branch and analyse the base; then train the baseline if need be, and beside it the proposed model; compare; report."""
        s = Steps(self, services)

        def apply_recipe(ctx: StepContext, inputs: Inputs) -> dict[str, Any]:
            """Make the proposed model's source from the base's."""
            parameters = s.experiment(ctx, inputs).config.parameters
            base = inputs["branch_base"]["tree"]
            edit = self.edit(s.load(base), s.analysis(inputs), parameters)
            if edit is None:
                return {"tree": base, "diff": "", "notes": [], "summary": "trained again, unchanged"}
            return s.save_edit(edit)

        return Graph(
            name=f"protocol/{self.name}",
            on_failure=FAILED,
            steps=(
                Step("branch_base", s.branch_base),
                Step("analyse_base", s.analyse_base, after=("branch_base",), poll=s.await_analysis),
                Step("baseline", s.baseline, after=("analyse_base",), poll=s.await_trainings),
                Step("apply_recipe", apply_recipe, after=("analyse_base",)),
                Step("initialise", s.initialise, after=("apply_recipe",), poll=s.await_analysis),
                Step("train_candidate", s.train_candidate, after=("initialise",), poll=s.await_candidate),
                Step(
                    "fetch_metrics",
                    partial(s.fetch_metrics, window="evaluation"),
                    after=("baseline", "train_candidate"),
                    poll=s.await_metrics,
                ),
                Step("report", s.report, after=("fetch_metrics",)),
            ),
        )
