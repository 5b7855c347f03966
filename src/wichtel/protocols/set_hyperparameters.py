"""`SetHyperparameters`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from wichtel.domain import Analysis, InvalidInput
from wichtel.plans import SourceTree
from wichtel.protocols.basic import Basic
from wichtel.protocols.parameter import ParameterSpec
from wichtel.recipes import Edit, TunableSet


class SetHyperparameters(Basic):
    """Give tunables of the plan the values that you name, and see whether the model is better for it."""

    name: ClassVar[str] = "SetHyperparameters"
    parameters: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(name="values", type="table", required=True, help='Tunable → value, such as {"width": 64}.'),
    )
    needs: ClassVar[tuple[str, ...]] = ("tunables in plan.py",)

    def check(self, given: Mapping[str, Any], analysis: Analysis) -> dict[str, Any]:
        """As `Protocol.check`; also that the model has these tunables and they take these values."""
        parameters = super().check(given, analysis)
        if not parameters["values"]:
            raise InvalidInput("no value to set.", where="parameter 'values'", hint='Name tunables: {"width": 64}.')
        TunableSet.check(analysis, parameters["values"])
        return parameters

    def edit(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> Edit:
        """Put the values at the top of the plan."""
        return TunableSet().apply(tree, analysis, {"values": parameters["values"]})
