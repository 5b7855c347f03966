"""Values of tunables, written at the top of ``plan.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar

import libcst as cst
from libcst.metadata import MetadataWrapper, QualifiedNameProvider, QualifiedNameSource

from wichtel.domain import Analysis, InvalidInput, did_you_mean
from wichtel.plans import SourceTree
from wichtel.plans.tunable import check_value
from wichtel.recipes.code import after_header, dotted, free_name, import_from, imports, insert, literal, parse
from wichtel.recipes.port import Edit, edited

PLAN = "plan.py"
_SET = {f"wichtel.{room}tunable.Set" for room in ("", "plans.")}
_MODULES = {"wichtel", "wichtel.plans"}


class TunableSet:
    """Put ``tunable.Set({name: value, …})`` before everything that could read a tunable.

    The parameters are the values, by full name; they win over `values`. A ``tunable.Set`` that the plan has already is extended.

    Args:
        values: Tunable → value.
    """

    name: ClassVar[str] = "tunable_set"
    #: Options and parameters of the example in the catalogue.
    example: ClassVar[tuple[Mapping[str, Any], Mapping[str, Any]]] = ({}, {"width": 64})

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self.values = dict(values or {})

    def apply(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> Edit:
        """Edit a plan.

        Raises:
            InvalidInput: no values, an unknown tunable, or a value that it cannot take.
        """
        values = {**self.values, **parameters}
        if not values:
            raise InvalidInput("there are no values to set.", where="tunable_set", hint="Give a value for each tunable that is to change.")
        known = {tunable.name: tunable for tunable in analysis.tunables}
        for name, value in values.items():
            if name not in known:
                raise InvalidInput(f"there is no tunable {name!r}.", where="tunable_set", hint=did_you_mean(name, known))
            check_value(known[name], value, where=f"tunable {name!r} ({known[name].place})")
        plan = _read(parse(PLAN, tree.files[PLAN]))
        rest = dict(values)
        changes = _replacements(plan, rest)
        extended = bool(rest) and _extend(plan, rest, changes)
        module = plan.module.visit(_Replacer(changes)) if changes else plan.module
        if rest and not extended:
            module = _insert(module, rest, tree)
        summary = "set " + ", ".join(f"{name} = {literal(value)}" for name, value in values.items())
        return edited(tree, {PLAN: module.bytes}, summary)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A plan, and the dict displays of the calls of ``tunable.Set`` that are statements of the module itself."""

    module: cst.Module
    displays: tuple[cst.Dict, ...]


def _read(module: cst.Module) -> _Plan:
    if not (calls := _set_calls(module)):
        return _Plan(module, ())
    # To find out what every name means takes far longer than all else; those of the module itself are bound outside of functions.
    names = MetadataWrapper(_outline(module), unsafe_skip_copy=True).resolve(QualifiedNameProvider)
    found = []
    for call, display in calls:
        qualified: Any = names.get(call, ())
        if any(q.source is QualifiedNameSource.IMPORT and q.name in _SET for q in (qualified() if callable(qualified) else qualified)):
            found.append(display)
    return _Plan(module, tuple(found))


def _outline(module: cst.Module) -> cst.Module:
    """The same statements, without what functions and classes consist of."""
    return module.with_changes(
        body=[
            s.with_changes(body=cst.SimpleStatementSuite([cst.Pass()])) if isinstance(s, cst.FunctionDef | cst.ClassDef) else s
            for s in module.body
        ]
    )


def _set_calls(module: cst.Module) -> list[tuple[cst.Call, cst.Dict]]:
    """The calls that may be of ``tunable.Set``, whatever they are of."""
    found = []
    for statement in module.body:
        expression = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
        call = expression.value if isinstance(expression, cst.Expr) else None
        if isinstance(call, cst.Call) and len(call.args) == 1 and isinstance(call.args[0].value, cst.Dict):
            found.append((call, call.args[0].value))
    return found


def _replacements(plan: _Plan, rest: dict[str, Any]) -> dict[cst.CSTNode, cst.CSTNode]:
    """The new expressions of values that stand in the plan already, which are taken out of `rest`."""
    changes: dict[cst.CSTNode, cst.CSTNode] = {}
    done = set()
    for display in plan.displays:
        for element in display.elements:
            key = (
                element.key.evaluated_value if isinstance(element, cst.DictElement) and isinstance(element.key, cst.SimpleString) else None
            )
            if isinstance(element, cst.DictElement) and isinstance(key, str) and key in rest:
                changes[element.value] = cst.parse_expression(literal(rest[key]))
                done.add(key)
    for key in done:
        del rest[key]
    return changes


class _Replacer(cst.CSTTransformer):
    def __init__(self, changes: dict[cst.CSTNode, cst.CSTNode]) -> None:
        self.changes = changes

    def on_leave(self, original_node: cst.CSTNode, updated_node: Any) -> Any:
        return self.changes.get(original_node, updated_node)


def _extend(plan: _Plan, values: Mapping[str, Any], changes: dict[cst.CSTNode, cst.CSTNode]) -> bool:
    """Add values to the first ``tunable.Set`` of the plan, besides `changes`; False if it has none, or one that stands after other code."""
    module, displays = plan.module, plan.displays
    if not displays:
        return False
    for statement in module.body[after_header(module) :]:
        if not isinstance(statement, cst.SimpleStatementLine):
            return False
        first = statement.body[0]
        if isinstance(first, cst.Expr) and isinstance(first.value, cst.Call) and first.value.args[:1]:
            if first.value.args[0].value is displays[0]:
                break
            return False
        if not isinstance(first, cst.Import | cst.ImportFrom):
            return False
    display = displays[0]
    source = "{\n" + "".join(f"    {literal(name)}: {literal(value)},\n" for name, value in values.items()) + "}"
    new = cst.ensure_type(cst.parse_expression(source), cst.Dict)
    old = [e.with_changes(value=changes.get(e.value, e.value)) for e in display.elements]
    if not old:
        changes[display] = new
        return True
    # Where the elements stand on lines of their own, the new ones do too.
    between = new.elements[0].comma if len(new.elements) > 1 else cst.Comma(whitespace_after=_new_line())
    last = old[-1].comma
    joined = [*old[:-1], old[-1].with_changes(comma=between), *new.elements[:-1], new.elements[-1].with_changes(comma=last)]
    changes[display] = display.with_changes(elements=joined)
    return True


def _new_line() -> cst.ParenthesizedWhitespace:
    return cst.ParenthesizedWhitespace(indent=True, last_line=cst.SimpleWhitespace("    "))


def _insert(module: cst.Module, values: Mapping[str, Any], tree: SourceTree) -> cst.Module:
    index, local = _place(module, tree)
    statements = []
    if local is None:
        # If the plan itself imports it further down, importing it earlier takes the name from nothing else.
        local = "tunable" if imports(module, _MODULES, "tunable") else free_name("tunable", module)
        statements.append(import_from("wichtel", "tunable", local))
    lines = "".join(f"    {literal(name)}: {literal(value)},\n" for name, value in values.items())
    call = cst.parse_statement(f"{local}.Set({{\n{lines}}})\n")
    assert isinstance(call, cst.SimpleStatementLine)
    return insert(module, index, *statements, call)


def _place(module: cst.Module, tree: SourceTree) -> tuple[int, str | None]:
    """Where the call goes, and the local name of ``tunable`` there, if it is imported by then.

    That is after the plan's own import of it, if nothing but imports of libraries stands before; modules of the plan could read tunables.
    """
    own = {PurePosixPath(path).parts[0].removesuffix(".py") for path in tree.files}
    start = after_header(module)
    for i, statement in enumerate(module.body[start:], start):
        if not isinstance(statement, cst.SimpleStatementLine):
            break
        for small in statement.body:
            if isinstance(small, cst.ImportFrom) and not small.relative and not isinstance(small.names, cst.ImportStar):
                if dotted(small.module) in _MODULES:
                    for alias in small.names:
                        if alias.name.value == "tunable" and len(statement.body) == 1:
                            return i + 1, alias.evaluated_alias or "tunable"
                packages = [dotted(small.module) or ""]
            elif isinstance(small, cst.Import):
                packages = [alias.evaluated_name for alias in small.names]
            else:
                return start, None
            if any(package.partition(".")[0] in own for package in packages):
                return start, None
    return start, None
