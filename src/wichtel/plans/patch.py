"""A change of a plan as a mail with a patch, which both ``git apply`` and ``git am`` take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime

from wichtel.domain import InvalidInput
from wichtel.plans.diff import unified_diff

#: What git writes there: it says only that this is no mailbox of somebody's.
_FROM = f"From {'0' * 40} Mon Sep 17 00:00:00 2001"
#: Beginnings of lines that git takes for the end of the message, for a header, or for a part of a patch.
_MISREAD = re.compile(r"(?=>*From |[A-Za-z-]+: |---|\+\+\+|diff |Index: |@@|GIT binary|-- )")
_NO_PATH = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Who changed what, and why.

    Args:
        old: Path → content.
        new: Likewise.
        author: Name and address: ``Wichtel <wichtel@example.org>``.
        subject: One line.
        message: What follows it. `trailers` come last.
        trailers: Such as ``Experiment`` → ``e-1``.
        date: Aware.
    """

    old: Mapping[str, bytes]
    new: Mapping[str, bytes]
    author: str
    subject: str
    message: str
    trailers: Mapping[str, str]
    date: datetime

    @property
    def text(self) -> str:
        """The message as a commit has it."""
        lines = [f"{name}: {_one_line(value)}" for name, value in self.trailers.items()]
        return "\n".join([_one_line(self.subject), "", self.message.strip(), "", *lines]) + "\n"

    @property
    def mail(self) -> str:
        """The whole of it; empty if nothing changes."""
        diff = unified_diff(self.old, self.new, mailed=True)
        if not diff:
            return ""
        trailers = [f"{name}: {_one_line(value)}" for name, value in self.trailers.items()]
        # What git would misread is indented; which is how it stands in the commit, too.
        body = [_MISREAD.sub("  ", line, count=1) if _MISREAD.match(line) else line for line in self.message.strip().split("\n")]
        return "\n".join(
            [
                _FROM,
                f"From: {self.author}",
                f"Date: {format_datetime(self.date)}",
                # Folded and, if need be, encoded as mail headers are.
                f"Subject: {Header(f'[PATCH] {_one_line(self.subject)}', header_name='Subject', maxlinelen=200).encode()}",
                "MIME-Version: 1.0",
                "Content-Type: text/plain; charset=UTF-8",
                "Content-Transfer-Encoding: 8bit",
                "",
                *body,
                "",
                *trailers,
                "---",
                *(f" {mark} {_one_line(path)}" for mark, path in changes(self.old, self.new)),
                "",
                f"{diff}-- ",
                "wichtel",
                "",
            ]
        )


def changes(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """``A``, ``D`` or ``M`` (added, deleted, modified) and the path of each file that differs."""
    return [
        ("A" if path not in old else "D" if path not in new else "M", path)
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]


def within(prefix: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """`files` as they lie in a repository that has them under `prefix`, such as ``models/flights``; at its root if that is empty.

    Raises:
        InvalidInput: it leads out of the repository, or into what is git's own.
    """
    parts = [part for part in prefix.split("/") if part not in ("", ".")]
    if prefix.startswith("/") or ".." in parts or any(part.lower() == ".git" for part in parts) or _NO_PATH.search(prefix):
        raise InvalidInput(f"{prefix!r} is no folder of a repository.", where="prefix", hint="Such as models/flights.")
    return {"/".join([*parts, path]): content for path, content in files.items()}


def _one_line(text: str) -> str:
    return " ".join(text.split())
