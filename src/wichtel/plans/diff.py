"""Unified diffs of two sets of files, in the dialect of ``git apply``."""

from __future__ import annotations

import base64
import difflib
import hashlib
import zlib
from collections.abc import Iterator, Mapping

_NOTHING = "0" * 40


def unified_diff(old: Mapping[str, bytes], new: Mapping[str, bytes], *, mailed: bool = False) -> str:
    """What turns `old` into `new`: with ``a/`` and ``b/`` prefixes, new and deleted files, binary ones included.

    Args:
        old: Path → content.
        new: Likewise.
        mailed: For ``git am``, which takes the carriage return from the end of every line: files with one are written as binary. All
            files tell their ids, so that ``git am -3`` finds what the patch was made from.
    """
    changed = [path for path in sorted({*old, *new}) if old.get(path) != new.get(path)]
    return "".join(part for path in changed for part in _file_diff(path, old.get(path), new.get(path), mailed))


def _file_diff(path: str, old: bytes | None, new: bytes | None, mailed: bool) -> Iterator[str]:
    a, b = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    yield f"diff --git {a} {b}\n"
    if old is None:
        yield "new file mode 100644\n"
    if new is None:
        yield "deleted file mode 100644\n"
    before, after = _text(old or b"", mailed), _text(new or b"", mailed)
    if mailed and before is not None and after is not None and (before or after):
        yield f"index {_blob_id(old)}..{_blob_id(new)}\n"
    if before is None or after is None or not (before or after):
        yield f"index {_blob_id(old)}..{_blob_id(new)}\n"
        if old or new:
            yield "GIT binary patch\n"
            yield from _literal(new or b"")
            yield from _literal(old or b"")
        return
    # A tab after the name tells git where a name with a space ends.
    yield f"--- {'/dev/null' if old is None else a + _tab(a)}\n"
    yield f"+++ {'/dev/null' if new is None else b + _tab(b)}\n"
    hunks = difflib.unified_diff(_lines(before), _lines(after), n=3)
    next(hunks), next(hunks)
    for line in hunks:
        yield line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    # Not splitlines(): it also splits at form feeds and other characters that are no ends of line to git.
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _text(content: bytes, mailed: bool) -> str | None:
    """The content as text; None if it is to be treated as binary."""
    if b"\0" in content or (mailed and (b"\r\n" in content or content.endswith(b"\r"))):
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _blob_id(content: bytes | None) -> str:
    if content is None:
        return _NOTHING
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _literal(content: bytes) -> Iterator[str]:
    """A block of a binary patch: lines of up to 52 compressed bytes in base 85, each after a letter that tells its length."""
    yield f"literal {len(content)}\n"
    packed = zlib.compress(content)
    for start in range(0, len(packed), 52):
        line = packed[start : start + 52]
        length = chr(ord("A") + len(line) - 1) if len(line) <= 26 else chr(ord("a") + len(line) - 27)
        yield f"{length}{base64.b85encode(line, pad=True).decode()}\n"
    yield "\n"


def _quoted(path: str) -> str:
    """The path as git writes it: in C's quotes if it has other characters than plain ones."""
    if path.isascii() and path.isprintable() and '"' not in path:
        return path
    return '"' + "".join(chr(c) if 32 <= c < 127 and c != 34 else f"\\{c:03o}" for c in path.encode()) + '"'


def _tab(path: str) -> str:
    return "\t" if " " in path else ""
