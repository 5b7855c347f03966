"""A call on the finished model, at the end of ``plan.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import libcst as cst

from wichtel.domain import Analysis, InvalidInput
from wichtel.plans import SourceTree
from wichtel.recipes.code import free_name, import_from, imports, literal, parse, split_function
from wichtel.recipes.port import Edit, edited
from wichtel.recipes.tunable_set import PLAN


class Rewrite:
    """Append ``function(model, **arguments)``, which changes the model in place.

    Nothing after it can undo the change. The function is imported from a library, not pasted; whoever launches the model writes the
    change into the plan by hand. (Heinzelmännchen, section III-E, figure 5 A.) The parameters are further arguments.

    Args:
        function: ``"package.module:name"``.
        arguments: Keyword arguments of the call, plain values.
    """

    name: ClassVar[str] = "rewrite"
    #: Options and parameters of the example in the catalogue.
    example: ClassVar[tuple[Mapping[str, Any], Mapping[str, Any]]] = ({"function": "ourlib.pruning:prune"}, {"share": 0.3})

    def __init__(self, function: str, arguments: Mapping[str, Any] | None = None) -> None:
        self.module, self.function = split_function(function, what="rewrite: function")
        self.arguments = dict(arguments or {})

    def apply(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> Edit:
        """Edit a plan.

        Raises:
            InvalidInput: an argument that is no identifier or no plain value.
        """
        arguments = {**self.arguments, **parameters}
        for name in arguments:
            if not name.isidentifier():
                raise InvalidInput(f"{name!r} cannot name an argument.", where=f"rewrite: {self.function}")
        module = parse(PLAN, tree.files[PLAN])
        statements: list[cst.BaseStatement] = []
        if imports(module, {self.module}, self.function):
            local = self.function
        else:
            local = free_name(self.function, module)
            statements.append(import_from(self.module, self.function, local))
        rendered = "".join(f", {name}={literal(value)}" for name, value in arguments.items())
        call = cst.ensure_type(cst.parse_statement(f"{local}({analysis.model_name}{rendered})\n"), cst.SimpleStatementLine)
        module = module.with_changes(body=[*module.body, *statements, call])
        shown = ", ".join(f"{name}={literal(value)}" for name, value in arguments.items())
        return edited(
            tree,
            {PLAN: module.bytes},
            f"call {self.function}({shown}) on the finished model",
            [f"{PLAN}: the appended call works as it is; before a launch, write its effect into the definition of the model."],
        )
