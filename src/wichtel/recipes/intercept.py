"""Calls of a library function, replaced by calls of another."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider, QualifiedName, QualifiedNameProvider, QualifiedNameSource

from wichtel.domain import Analysis, InvalidInput, PlanError
from wichtel.plans import SourceTree
from wichtel.recipes.code import dotted, free_name, import_from, insert, parse, split_function
from wichtel.recipes.port import Edit, edited

#: Stands after the import of a replacement, so that a later recipe on the same target finds the calls again.
_MARK = "wichtel: instead of "
#: The same functions under another roof.
_ROOFS = ("keras.", "tensorflow.keras.", "keras.api.")


class Intercept:
    """Replace each call ``target(…)`` by ``replacement(…)``, in all Python files of the plan.

    Calls are found by what their names mean, through aliases and local imports, and names that only look alike are left alone. Other uses
    of the target (assigned to a name, subclassed, passed on) are reported, not changed. A call that an earlier interception of the same
    target replaced is replaced again. (Heinzelmännchen, section III-E, figure 5 B.)

    Args:
        target: The function's full name, such as ``"keras.layers.Embedding"``.
        replacement: ``"package.module:name"`` of a function with the same signature.
    """

    name: ClassVar[str] = "intercept"
    #: Options and parameters of the example in the catalogue.
    example: ClassVar[tuple[Mapping[str, Any], Mapping[str, Any]]] = (
        {"target": "keras.layers.Embedding", "replacement": "ourlib.layers:CompactEmbedding"},
        {},
    )

    def __init__(self, target: str, replacement: str) -> None:
        if not isinstance(target, str) or "." not in target or not all(part.isidentifier() for part in target.split(".")):
            raise InvalidInput(
                f"{target!r} is not a function's full name.", where="intercept: target", hint="For instance 'keras.layers.Embedding'."
            )
        self.target = target
        self.module, self.function = split_function(replacement, what="intercept: replacement")

    @property
    def targets(self) -> frozenset[str]:
        """The target's full names."""
        for roof in sorted(_ROOFS, key=len, reverse=True):
            if self.target.startswith(roof):
                return frozenset(other + self.target.removeprefix(roof) for other in _ROOFS)
        return frozenset({self.target})

    def apply(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> Edit:
        """Edit a plan.

        Raises:
            InvalidInput: parameters were given; it has none.
            PlanError: a star import from which the target may come, or a file that is not Python.
            UserError: no call was found.
        """
        if parameters:
            raise InvalidInput(f"it takes no parameters, but got {', '.join(parameters)}.", where=self.name)
        aliases = _Aliases(tree)
        words = {name.rpartition(".")[2] for name in aliases.names_of(self.targets)}
        own = self.module.replace(".", "/")
        changed: dict[str, bytes] = {}
        notes: list[str] = []
        count = 0
        for path, content in tree.files.items():
            # Metadata of LibCST takes about 2 ms a line: files that cannot have a call are left out.
            if not path.endswith(".py") or not any(word.encode() in content for word in words):
                continue
            if path in (f"{own}.py", f"{own}/__init__.py"):
                notes.append(f"{path}: left as it is, since it defines the replacement.")
                continue
            result = _File(path, parse(path, content), self, aliases)
            notes += result.notes
            if result.calls:
                changed[path] = result.rewritten().bytes
                count += len(result.calls)
        calls = f"{count} call{'' if count == 1 else 's'}"
        return edited(tree, changed, f"replace {calls} of {self.target} by {self.function} of {self.module}", notes)


class _Aliases:
    """What the names mean that the plan's own modules import: ``helper.Embedding`` → ``keras.layers.Embedding``."""

    def __init__(self, tree: SourceTree) -> None:
        self.meaning: dict[str, str] = {}
        for path, content in tree.files.items():
            if not path.endswith(".py"):
                continue
            module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            try:
                statements = ast.parse(content).body
            except (SyntaxError, ValueError):
                continue
            for statement in statements:
                if isinstance(statement, ast.Import):
                    for alias in statement.names:
                        if alias.asname:
                            self.meaning[f"{module}.{alias.asname}"] = alias.name
                elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
                    for alias in statement.names:
                        self.meaning[f"{module}.{alias.asname or alias.name}"] = f"{statement.module}.{alias.name}"

    def resolve(self, name: str) -> str:
        """The full name behind `name`, through any number of the plan's own modules."""
        for _ in range(len(self.meaning) + 1):
            parts = name.split(".")
            for length in range(len(parts), 1, -1):
                prefix = ".".join(parts[:length])
                if prefix in self.meaning and self.meaning[prefix] != prefix:
                    name = ".".join([self.meaning[prefix], *parts[length:]])
                    break
            else:
                return name
        return name

    def names_of(self, targets: Iterable[str]) -> set[str]:
        """`targets`, and the names under which modules of the plan have them."""
        wanted = set(targets)
        return wanted | {name for name in self.meaning if self.resolve(name) in wanted}


@dataclass(slots=True)
class _File:
    """One file: the calls to be replaced, and what is left as it is."""

    path: str
    source: cst.Module
    recipe: Intercept
    aliases: _Aliases
    notes: list[str] = field(default_factory=list)
    calls: list[cst.Call] = field(default_factory=list)
    wrapper: MetadataWrapper = field(init=False)
    #: Statement (index) of an earlier interception → the full name of its replacement.
    earlier: dict[int, str] = field(default_factory=dict)
    #: Earlier replacements that are also used otherwise: their import stays.
    kept: set[str] = field(default_factory=set)
    #: The local name of this very replacement, if an earlier recipe imported it.
    local: str | None = None

    def __post_init__(self) -> None:
        self.wrapper = MetadataWrapper(self.source)
        ours = f"{self.recipe.module}.{self.recipe.function}"
        for index, statement in enumerate(self.wrapper.module.body):
            imported = _marked(statement, self.recipe.targets)
            if imported is not None and imported[0] == ours:
                self.local = imported[1]
            elif imported is not None:
                self.earlier[index] = imported[0]
        finder = _Finder(self)
        self.wrapper.visit(finder)

    def line(self, node: cst.CSTNode) -> str:
        """``file:line`` of a node."""
        position: Any = self.wrapper.resolve(PositionProvider)[node]
        return f"{self.path}:{position.start.line}"

    def rewritten(self) -> cst.Module:
        """The file with its calls replaced and the replacement imported."""
        module = self.wrapper.module
        local = self.local or free_name(self.recipe.function, module)
        replaced: set[cst.CSTNode] = {*self.calls}
        dropped = sorted(i for i, name in self.earlier.items() if name not in self.kept)
        index = dropped[0] if dropped else self._import_index()
        result = module.visit(_Caller(replaced, local))
        if self.local is None:
            statement = import_from(self.recipe.module, self.recipe.function, local, _MARK + self.recipe.target)
            if dropped:
                first = cst.ensure_type(result.body[index], cst.SimpleStatementLine)
                statement = statement.with_changes(leading_lines=first.leading_lines)
            result = insert(result, index, statement)
            dropped = [i + 1 for i in dropped]
        return result.with_changes(body=[s for i, s in enumerate(result.body) if i not in dropped])

    def _import_index(self) -> int:
        """Where the import goes: after the statement that first imports what a replaced call is made from.

        Not at the top: the replacement may import the framework, and a plan may set its backend before it does so itself.
        """
        roots = {(dotted(call.func) or "").partition(".")[0] for call in self.calls}
        body = self.wrapper.module.body
        first_call = next(i for i, statement in enumerate(body) if _contains(statement, self.calls))
        binding = next((i for i, statement in enumerate(body) if _binds(statement, roots)), first_call)
        if first_call == binding and not isinstance(body[binding], cst.FunctionDef):
            return binding
        return binding + 1


class _Finder(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (QualifiedNameProvider, ParentNodeProvider)

    def __init__(self, file: _File) -> None:
        super().__init__()
        self.file = file
        self.wanted = {*file.recipe.targets, *file.earlier.values()}
        self.word = file.recipe.target.rpartition(".")[2]
        self.stars: list[cst.ImportFrom] = []

    def visit_Import(self, node: cst.Import) -> bool:  # noqa: N802 - LibCST's name
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:  # noqa: N802
        if isinstance(node.names, cst.ImportStar):
            package = self.file.aliases.resolve(dotted(node.module) or "")
            if any(target.startswith(f"{package}.") for target in self.file.recipe.targets):
                raise PlanError(
                    f"the star import from {package} may bring {self.file.recipe.target} in; calls cannot be told apart.",
                    where=self.file.line(node),
                    hint=f"Write: from {package} import {self.word}",
                )
            self.stars.append(node)
        return False

    def visit_Call(self, node: cst.Call) -> None:  # noqa: N802
        names = self._names(node.func)
        # Only a pure chain: the qualified name of the outer call in `f(1)(2)` is that of `f`, too.
        if dotted(node.func) is not None and names & self.wanted:
            self.file.calls.append(node)
            others = ", ".join(sorted(names - self.wanted))
            if others:
                self._note(node, f"{dotted(node.func)} may also be {others} here; replaced.")
            for replaced in sorted(names & set(self.file.earlier.values())):
                self._note(node, f"replaces the earlier replacement {replaced}, whose effect is lost.")
        elif names & {"getattr", "builtins.getattr"} and len(node.args) >= 2:
            text = node.args[1].value
            if isinstance(text, cst.SimpleString) and text.evaluated_value == self.word:
                self._note(node, f"not replaced: getattr(…, {text.value}) may be {self.file.recipe.target}.")
        elif isinstance(node.func, cst.Name) and node.func.value == self.word and self.stars and not self._qualified(node.func):
            self._note(node, f"not replaced: {self.word} may come from the star import at {self.file.line(self.stars[-1])}.")

    def visit_Attribute(self, node: cst.Attribute) -> None:  # noqa: N802
        self._reference(node)

    def visit_Name(self, node: cst.Name) -> None:  # noqa: N802
        self._reference(node)

    def _reference(self, node: cst.Attribute | cst.Name) -> None:
        names = self._names(node)
        if not names & self.wanted:
            return
        parent = self._parent(node)
        if isinstance(parent, cst.Call) and parent.func is node:
            return
        if isinstance(parent, cst.Annotation | cst.AssignTarget | cst.Del) or (isinstance(parent, cst.Attribute) and parent.attr is node):
            return
        self.file.kept |= names & self.wanted
        how = "its attribute is used" if isinstance(parent, cst.Attribute) else "it is used as a value"
        if isinstance(parent, cst.Assign | cst.AnnAssign | cst.NamedExpr):
            how = "it gets another name by assignment"
        elif isinstance(parent, cst.Arg):
            outer = self._parent(parent)
            if isinstance(outer, cst.ClassDef):
                how = f"the class {outer.name.value} inherits from it"
            elif isinstance(outer, cst.Call):
                function = dotted(outer.func)
                how = "partial() takes it" if function in ("partial", "functools.partial") else f"it is passed to {function or 'a call'}"
        self._note(node, f"not replaced: {how} ({dotted(node)}).")

    def _names(self, node: cst.CSTNode) -> set[str]:
        """The full names that `node` may have, if it may be something imported or built in."""
        found = self._qualified(node)
        if not any(q.source in (QualifiedNameSource.IMPORT, QualifiedNameSource.BUILTIN) for q in found):
            return set()
        return {self.file.aliases.resolve(q.name) if q.source is QualifiedNameSource.IMPORT else q.name for q in found}

    def _qualified(self, node: cst.CSTNode) -> Collection[QualifiedName]:
        found: Any = self.get_metadata(QualifiedNameProvider, node, ())
        names: Collection[QualifiedName] = found() if callable(found) else found
        return names

    def _parent(self, node: cst.CSTNode) -> cst.CSTNode:
        parent: cst.CSTNode = self.get_metadata(ParentNodeProvider, node)
        return parent

    def _note(self, node: cst.CSTNode, text: str) -> None:
        self.file.notes.append(f"{self.file.line(node)}: {text}")


class _Caller(cst.CSTTransformer):
    """Give calls another callee, and leave all else as it is written."""

    def __init__(self, calls: set[cst.CSTNode], callee: str) -> None:
        super().__init__()
        self.calls = calls
        self.callee = callee

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:  # noqa: N802
        if original_node not in self.calls:
            return updated_node
        old = updated_node.func
        return updated_node.with_changes(func=cst.Name(self.callee, lpar=old.lpar, rpar=old.rpar))


def _marked(statement: cst.BaseStatement | cst.BaseSmallStatement, targets: frozenset[str]) -> tuple[str, str] | None:
    """Full and local name of what an earlier interception of one of `targets` imports here."""
    if not isinstance(statement, cst.SimpleStatementLine) or statement.trailing_whitespace.comment is None:
        return None
    _, mark, target = statement.trailing_whitespace.comment.value.partition(_MARK)
    small = statement.body[0]
    if not mark or target.strip() not in targets or not isinstance(small, cst.ImportFrom) or isinstance(small.names, cst.ImportStar):
        return None
    alias = small.names[0]
    return f"{dotted(small.module)}.{alias.name.value}", alias.evaluated_alias or str(alias.name.value)


def _contains(statement: cst.CSTNode, calls: Iterable[cst.Call]) -> bool:
    wanted = set(calls)

    def inside(node: cst.CSTNode) -> bool:
        return node in wanted or any(map(inside, node.children))

    return inside(statement)


def _binds(statement: cst.CSTNode, names: set[str]) -> bool:
    """Whether one of `names` is imported somewhere in `statement`."""
    if isinstance(statement, cst.Import):
        return any((alias.evaluated_alias or alias.evaluated_name.partition(".")[0]) in names for alias in statement.names)
    if isinstance(statement, cst.ImportFrom):
        if isinstance(statement.names, cst.ImportStar):
            return False
        return any((alias.evaluated_alias or alias.name.value) in names for alias in statement.names)
    return any(_binds(child, names) for child in statement.children)
