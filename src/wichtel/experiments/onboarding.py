"""What a plan still needs for each protocol, with the lines that would do: found by reading the files, without running them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from wichtel.domain import Analysis, Dataset, Job, Tunable, WichtelError, Window
from wichtel.plans.diff import unified_diff
from wichtel.plans.job import JOB, parse_job
from wichtel.protocols import Protocol

PLAN = "plan.py"
#: So many values are offered; somebody who knows the model will choose.
_MOST_TUNABLES = 3
#: Numbers that are no matter of taste.
_NOT_TUNED = re.compile(r"seed|state|verbos|job|thread|bucket|version|size_|^axis$|shape|dim$|classes|port", re.IGNORECASE)
_WORKS_WITH = Tunable(name="any", kind="int", default=1, min=1, max=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One thing that a protocol needs and a model has not."""

    message: str
    hint: str = ""
    #: The lines that would do, as a unified diff; empty if nobody but the authors can tell.
    diff: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onboarding:
    """How a model stands with a protocol."""

    protocol: str
    #: What is missing, all of it; none if it can be launched.
    lacks: tuple[Lack, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found in a plan that is not registered."""

    analysis: Analysis
    onboarding: tuple[Onboarding, ...] = ()


def onboardings(protocols: Iterable[Protocol], analysis: Analysis, files: Mapping[str, bytes], dataset: Dataset | None) -> list[Onboarding]:
    """How a model stands with each protocol.

    Args:
        protocols: Which.
        analysis: What was found in its plan.
        files: Its source.
        dataset: What it learns from, if that is known.
    """
    edits = _edits(analysis.job, files, dataset)
    return [Onboarding(protocol=protocol.name, lacks=tuple(_lacks(protocol, analysis, files, edits))) for protocol in protocols]


def with_lines(analysis: Analysis, files: Mapping[str, bytes], dataset: Dataset | None) -> dict[str, bytes]:
    """The source with all lines that `onboardings` offers."""
    changed = dict(files)
    for name, content in _edits(analysis.job, files, dataset).items():
        if (name == JOB and analysis.job.holdout is None) or (name == PLAN and not analysis.tunables):
            changed[name] = content.encode()
    return changed


def _lacks(protocol: Protocol, analysis: Analysis, files: Mapping[str, bytes], edits: Mapping[str, str]) -> Iterable[Lack]:
    """One after the other: a protocol tells of the first thing that is missing, so it is asked again as if that were there."""
    for _ in range(3):
        error = protocol.lacks(analysis)
        if error is None:
            return
        if analysis.job.holdout is None and error.where == JOB:
            name = JOB
            late = analysis.job.evaluation.end
            analysis = replace(analysis, job=replace(analysis.job, holdout=Window(start=late, end=late + timedelta(days=1))))
        elif not analysis.tunables and error.where == PLAN:
            name = PLAN
            analysis = replace(analysis, tunables=(_WORKS_WITH,))
        else:
            yield _told(error)
            return
        lines = unified_diff({name: files[name]}, {name: edits[name].encode()}) if name in edits else ""
        yield _told(error, lines)


def _told(error: WichtelError, diff: str = "") -> Lack:
    return Lack(message=error.message, hint=error.hint or "", diff=diff)


def _edits(job: Job, files: Mapping[str, bytes], dataset: Dataset | None) -> dict[str, str]:
    """File → its text with what protocols most often miss, where such an edit is safe."""
    found: dict[str, str] = {}
    makers: tuple[tuple[str, Callable[[str], str]], ...] = (
        (JOB, lambda text: _with_holdout(text, job, dataset)),
        (PLAN, _with_tunables),
    )
    for name, make in makers:
        try:
            text = make(files[name].decode())
        except (KeyError, UnicodeDecodeError, SyntaxError, ValueError, WichtelError):
            continue
        if text:
            found[name] = text
    return found


def _with_holdout(text: str, job: Job, dataset: Dataset | None) -> str:
    """`text` of a job with a holdout window after that of the evaluation; if no examples are left there, with half of it."""
    if job.holdout is not None:
        return ""
    lines = text.splitlines()
    first = next((at for at, line in enumerate(lines) if re.match(r"\s*evaluation\s*=", line)), None)
    if first is None:
        return ""
    last = next(at for at in range(first, len(lines)) if "]" in lines[at])
    start, end = job.evaluation.start, job.evaluation.end
    if dataset is not None and dataset.end < end + (end - start) / 10:
        middle = (start + (end - start) / 2).replace(microsecond=0)
        lines[first : last + 1] = [f"evaluation = {_span(start, middle)}", f"holdout = {_span(middle, end)}"]
    else:
        later = end + (end - start)
        if dataset is not None and dataset.end < later:
            # The last example is to be in it.
            later = dataset.end.replace(microsecond=0) + timedelta(seconds=1)
        lines.insert(last + 1, f"holdout = {_span(end, later)}")
    made = "\n".join(lines) + "\n"
    return made if parse_job(made.encode()).holdout is not None else ""


def _span(start: datetime, end: datetime) -> str:
    return f"[{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}, {end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}]"


@dataclass(frozen=True, slots=True)
class _Number:
    """A number that stands in a plan."""

    name: str
    node: ast.Constant


def _with_tunables(text: str) -> str:
    """`text` of a plan in which a few numbers are declared tunable."""
    tree = ast.parse(text)
    lines = text.splitlines()
    chosen: dict[str, _Number] = {}
    for number in _numbers(tree):
        if len(chosen) < _MOST_TUNABLES and number.name not in chosen:
            chosen[number.name] = number
    if not chosen:
        return ""
    # From the end, so that places stay true.
    for number in sorted(chosen.values(), key=lambda n: (n.node.lineno, n.node.col_offset), reverse=True):
        at, begin, end = number.node.lineno - 1, number.node.col_offset, number.node.end_col_offset
        line = lines[at].encode()
        lines[at] = (line[:begin] + _declared(number).encode() + line[end:]).decode()
    _import_tunable(tree, lines)
    made = "\n".join(lines) + "\n"
    ast.parse(made)
    return made


def _import_tunable(tree: ast.Module, lines: list[str]) -> None:
    own = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "wichtel"]
    if any(alias.name == "tunable" for node in own for alias in node.names):
        return
    simple = next((node for node in own if node.lineno == node.end_lineno and "(" not in lines[node.lineno - 1]), None)
    if simple is not None:
        lines[simple.lineno - 1] += ", tunable"
        return
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    lines.insert(imports[-1].end_lineno or 0 if imports else 0, "from wichtel import tunable")


def _declared(number: _Number) -> str:
    value = number.node.value
    if isinstance(value, int):
        low = max(1, value // 4)
        return f'tunable.Int("{number.name}", default={value}, min={low}, max={value * 4}, log=True)'
    assert isinstance(value, float)
    high = min(1.0, value * 10) if value <= 1 else value * 10
    return f'tunable.Float("{number.name}", default={value!r}, min={value / 10:.3g}, max={high:.3g}, log=True)'


def _numbers(tree: ast.Module) -> Iterable[_Number]:
    """Those that a name, or the argument of a call, says something of; values of the plan's own declarations left out."""
    statements: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) and _is_tuned(node.value):
            yield from _named(node.targets[0].id, node.value)
        elif not isinstance(node, ast.ClassDef):
            statements.append(node)
    for statement in statements:
        for call in ast.walk(statement):
            if not isinstance(call, ast.Call) or _is_declaration(call):
                continue
            for keyword in call.keywords:
                yield from _named(keyword.arg or "", keyword.value)
            if call.args and (place := _called(call)):
                yield from _named(place, call.args[0])


def _named(name: str, value: ast.expr) -> Iterable[_Number]:
    plain = re.sub(r"\W", "", name).lower().strip("_")
    if plain and isinstance(value, ast.Constant) and _is_tuned(value) and not _NOT_TUNED.search(plain):
        yield _Number(plain, value)


def _is_tuned(value: ast.expr) -> bool:
    number: Any = value.value if isinstance(value, ast.Constant) else None
    return (type(number) is int and 2 <= number <= 100_000) or (type(number) is float and 0 < number < 100_000 and number != 1.0)


def _called(call: ast.Call) -> str:
    """The name of a class that is called, such as ``Dense``."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    return name if name[:1].isupper() else ""


def _is_declaration(call: ast.Call) -> bool:
    return any(isinstance(part, ast.Name) and part.id in ("plan", "tunable") for part in ast.walk(call.func)) or _called(call) in (
        "Categorical",
        "Numeric",
    )
