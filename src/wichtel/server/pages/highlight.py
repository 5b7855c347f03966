"""Code and diffs in colours, by classes that the style knows."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from pygments.lexer import Lexer

#: Longer lines and files are shown as they are.
_MOST_CHARACTERS = 200_000
_TONES = {"+": "added", "-": "removed", "@": "hunk"}


@cache
def _lexer(name: str) -> Lexer:
    from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
    from pygments.util import ClassNotFound

    plain = {"stripnl": False, "ensurenl": False}
    try:
        found: Any = get_lexer_for_filename(name, **plain) if "." in name else get_lexer_by_name(name, **plain)
    except ClassNotFound:
        found = get_lexer_by_name("text", **plain)
    assert found is not None
    return found


def code(text: str, name: str = "text") -> Markup:
    """`text` as code, of the language that a file's name or a word says."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter

    if len(text) > _MOST_CHARACTERS:
        return Markup("<code>{}</code>").format(text)
    # Pygments escapes it.
    return Markup("<code>") + Markup(highlight(text, _lexer(name), HtmlFormatter(nowrap=True)).rstrip("\n")) + Markup("</code>")  # noqa: S704


def diff(text: str) -> Markup:
    """A unified diff: a table for each file, with the numbers of the lines, and code in colours."""
    parts: list[Markup] = []
    rows: list[Markup] = []
    name = ""

    def close() -> None:
        if rows:
            table = Markup('<table class="diff"><caption>{}</caption><tbody>{}</tbody></table>')
            parts.append(table.format(name or "changes", Markup("").join(rows)))
            rows.clear()

    old = new = 0
    inside = False
    for line in text.splitlines():
        if line.startswith("diff --git "):
            close()
            name, inside = line.rpartition(" b/")[2], False
        elif line.startswith("@@"):
            inside = True
            old, new = _starts(line)
            rows.append(_row("hunk", "", "", "", Markup("{}").format(line)))
        elif not inside:
            if line.startswith("+++ "):
                name = line[4:].removeprefix("b/") if line[4:] != "/dev/null" else name
        elif line.startswith("\\"):
            rows.append(_row("hunk", "", "", "", Markup("{}").format(line)))
        else:
            sign, rest = line[:1] or " ", line[1:]
            tone = _TONES.get(sign, "same")
            shown = _line(rest, name)
            rows.append(_row(tone, "" if sign == "+" else str(old), "" if sign == "-" else str(new), sign.strip(), shown))
            old += sign != "+"
            new += sign != "-"
    close()
    return Markup("").join(parts)


def _line(text: str, name: str) -> Markup:
    return code(text, name if "." in name else "text") if len(text) < 500 else Markup("<code>{}</code>").format(text)


def _row(tone: str, old: str, new: str, sign: str, shown: Markup) -> Markup:
    row = Markup('<tr class="{}"><td class="no">{}</td><td class="no">{}</td><td class="sign">{}</td><td class="line">{}</td></tr>')
    return row.format(tone, old, new, sign, shown)


def _starts(line: str) -> tuple[int, int]:
    try:
        _, old, new = line.split(" ")[:3]
        return int(old[1:].partition(",")[0]), int(new[1:].partition(",")[0])
    except ValueError:
        return 0, 0
