"""`SetHyperparameters`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from wichtel.domain import Analysis, InvalidInput, did_you_mean
from wichtel.plans import SourceTree
from wichtel.plans.tunable import check_value
from wichtel.protocols.basic import Basic
from wichtel.protocols.parameter import ParameterSpec
from wichtel.recipes import Edit, TunableSet


class SetHyperparameters(Basic):
    """Give tunables of the plan the values that you name, and see whether the model is better for it."""

    name: ClassVar[str] = "SetHyperparameters"
    recipes: ClassVar[tuple[str, ...]] = ("tunable_set",)
    parameters: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(name="values", type="table", required=True, holds="values", help='Tunable → value, such as {"width": 64}.'),
    )
    needs: ClassVar[tuple[str, ...]] = ("tunables in plan.py",)

    def check(self, given: Mapping[str, Any], analysis: Analysis) -> dict[str, Any]:
        """As `Protocol.check`; also that the model has these tunables and they take these values."""
        parameters = super().check(given, analysis)
        if not parameters["values"]:
            raise InvalidInput("no value to set.", where="parameter 'values'", hint='Name tunables: {"width": 64}.')
        known = {t.name: t for t in analysis.tunables}
        for name, value in parameters["values"].items():
            if name not in known:
                raise InvalidInput(f"the plan has no tunable {name!r}.", where="parameter 'values'", hint=did_you_mean(name, known))
            check_value(known[name], value, where=f"parameter 'values', {name!r}")
        return parameters

    def lacks(self, analysis: Analysis) -> InvalidInput | None:
        """Tunables, if there are none."""
        if analysis.tunables:
            return None
        hint = 'Wrap a value: width = tunable.Int("width", default=32, candidates=[16, 32, 64]).'
        return InvalidInput("the plan has no tunables.", where="plan.py", hint=hint)

    def edit(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> Edit:
        """Put the values at the top of the plan."""
        return TunableSet().apply(tree, analysis, parameters["values"])
