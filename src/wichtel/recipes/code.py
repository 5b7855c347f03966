"""Python source as LibCST sees it: reading it, finding places in it, writing literals and imports."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from itertools import zip_longest
from typing import Any

import libcst as cst

from wichtel.domain import InvalidInput, PlanError

_FUNCTION = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


def parse(path: str, content: bytes) -> cst.Module:
    """Parse a file.

    Raises:
        PlanError: it is not Python, or LibCST would not give it back byte for byte (1.9 drops blank lines before an indented comment at the
            end of a file).
    """
    try:
        module = cst.parse_module(content)
    except cst.ParserSyntaxError as error:
        raise PlanError(f"is not valid Python: {error.message}.", where=f"{path}:{error.raw_line}") from error
    except (UnicodeDecodeError, LookupError) as error:
        raise PlanError(f"cannot be decoded: {error}.", where=path) from error
    if module.bytes != content:
        pairs = zip_longest(content.splitlines(), module.bytes.splitlines())
        line = next((number for number, (old, new) in enumerate(pairs, 1) if old != new), 1)
        raise PlanError(
            "cannot be edited without touching this line, too.", where=f"{path}:{line}", hint="Remove odd comments and blank lines."
        )
    return module


def split_function(function: str, *, what: str) -> tuple[str, str]:
    """``"package.module:name"`` in its two halves.

    Raises:
        InvalidInput: it has another form.
    """
    match = _FUNCTION.fullmatch(function) if isinstance(function, str) else None
    if match is None:
        raise InvalidInput(f"{function!r} is not of the form 'package.module:name'.", where=what)
    return match[1], match[2]


def dotted(node: cst.BaseExpression | None) -> str | None:
    """``a.b.c`` for a pure chain of names, else None."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        left = dotted(node.value)
        return None if left is None else f"{left}.{node.attr.value}"
    return None


def after_header(module: cst.Module) -> int:
    """Index of the first statement that is neither the docstring nor an import from ``__future__``."""
    index = 0
    for i, statement in enumerate(module.body):
        if not isinstance(statement, cst.SimpleStatementLine):
            break
        first = statement.body[0]
        is_docstring = i == 0 and isinstance(first, cst.Expr) and isinstance(first.value, cst.SimpleString | cst.ConcatenatedString)
        is_future = isinstance(first, cst.ImportFrom) and dotted(first.module) == "__future__"
        if not is_docstring and not is_future:
            break
        index = i + 1
    return index


def names_in(module: cst.Module) -> set[str]:
    """Every identifier of a module, however it is used."""
    found: set[str] = set()

    class Collector(cst.CSTVisitor):
        def visit_Name(self, node: cst.Name) -> None:  # noqa: N802 - LibCST's name
            found.add(node.value)

    module.visit(Collector())
    return found


def free_name(wanted: str, module: cst.Module) -> str:
    """`wanted`, or a name like it that the module does not use."""
    taken = names_in(module)
    name, number = wanted, 1
    while name in taken:
        name = f"wichtel_{wanted}" if number == 1 else f"wichtel_{wanted}_{number}"
        number += 1
    return name


def import_from(package: str, name: str, local: str, comment: str = "") -> cst.SimpleStatementLine:
    """``from package import name [as local]  # comment``."""
    alias = f" as {local}" if local != name else ""
    statement = cst.parse_statement(f"from {package} import {name}{alias}{f'  # {comment}' if comment else ''}\n")
    assert isinstance(statement, cst.SimpleStatementLine)
    return statement


def insert(module: cst.Module, index: int, *statements: cst.SimpleStatementLine) -> cst.Module:
    """`module` with `statements` before the one at `index`."""
    return module.with_changes(body=[*module.body[:index], *statements, *module.body[index:]])


def literal(value: Any) -> str:
    """A plain value as Python source.

    Raises:
        InvalidInput: it has no literal.
    """
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    raise InvalidInput(f"{value!r} cannot be written into a plan.", hint="Use numbers, strings, bools, None, lists and dicts.")


def imports(module: cst.Module, packages: Collection[str], name: str) -> bool:
    """Whether a statement of the module itself imports `name` from one of `packages` under its own name."""
    return any(
        alias.name.value == name and alias.asname is None
        for statement in module.body
        for small in (statement.body if isinstance(statement, cst.SimpleStatementLine) else ())
        if isinstance(small, cst.ImportFrom) and dotted(small.module) in packages and not isinstance(small.names, cst.ImportStar)
        for alias in small.names
    )
