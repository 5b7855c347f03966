"""Why an experiment failed, in words that its owner can act on, and the rules by which that is found out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wichtel.domain.errors import InvalidInput, UserError, from_json
from wichtel.domain.states import ExperimentStatus

#: The category of what no rule knows.
UNKNOWN = "unknown"
#: How much of a log is kept of a failure.
LOG_LINES = 50
LOG_CHARACTERS = 4000

_PACKAGE = str(Path(__file__).parents[1]) + "/"
_PLAN = re.compile(r"/plan-[^/]+/tree/")
_FILE = re.compile(r'File "([^"]+)", line \d+')
_SECRETS = (
    # Tokens of ours; keys of clouds; what stands behind such words; passwords in addresses.
    (re.compile(r"\bwt_[A-Za-z0-9_-]{8,}"), "wt_***"),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (
        re.compile(
            r"(?i)\b([\w-]{0,40}(?:password|passwd|secret|token|api[_-]?key|credential)[\w-]{0,40}[\"']?\s*[=:]\s*)(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"',;]+)"
        ),
        r"\1***",
    ),
    (re.compile(r"(://[^:/@\s]*):[^@/\s]+@"), r"\1:***@"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an experiment failed."""

    #: Such as ``plan.out_of_memory``; ``unknown`` if no rule knows it. The same failures have the same category.
    category: str
    #: Name of the rule that knew it; empty if none did.
    rule: str = ""
    #: Whose doing: USER_ERROR, SYSTEM_ERROR, or DEADLINE_EXCEEDED.
    status: ExperimentStatus
    #: The cause, in a sentence.
    message: str
    #: What to do.
    hint: str = ""
    #: The step that failed; empty if none did.
    step: str = ""
    #: The run that failed; empty if none did.
    run: str = ""
    #: The last lines of what the failed run printed, without secrets.
    log_tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """What is seen of a failure: a `WichtelError` as JSON, taken to pieces."""

    #: `WichtelError.code`.
    code: str
    message: str
    where: str = ""
    hint: str = ""
    step: str = ""
    run: str = ""
    log: str = ""
    #: Whether the error says of itself that the user caused it.
    user: bool = False
    #: Whose code raised it, as far as its place and traceback tell: ``plan``, ``wichtel``, ``library``; empty if they do not.
    culprit: str = ""

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> Symptom:
        """Of an error as `wichtel.workflows` keeps it: `WichtelError.to_json`, with ``step`` and ``traceback`` beside it."""
        found = from_json(error)
        evidence = found.evidence
        traceback = str(error.get("traceback") or evidence.get("traceback", ""))
        return cls(
            code=str(error.get("code") or found.code),
            message=mask(found.message),
            where=mask(found.where or ""),
            hint=mask(found.hint or ""),
            step=str(error.get("step") or ""),
            run=evidence.get("run", ""),
            log=log_end(evidence.get("log") or traceback),
            user=isinstance(found, UserError),
            culprit=culprit(traceback, found.where or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Knows one kind of failure. All conditions that are given must hold.

    Raises:
        InvalidInput: no condition, a pattern that is no regular expression, or another status than the two.
    """

    #: Such as ``plan-out-of-memory``.
    name: str
    #: Such as ``plan.out_of_memory``: whose thing, and what happened to it.
    category: str
    #: USER_ERROR if the user's code, data or metrics caused it, else SYSTEM_ERROR.
    status: ExperimentStatus
    #: What to do, for failures that do not say so themselves.
    hint: str
    #: The error's code is one of these.
    codes: tuple[str, ...] = ()
    #: Regular expressions, found anywhere; ``log`` in the log's last lines.
    message: str = ""
    where: str = ""
    step: str = ""
    log: str = ""
    #: Whose code raised it is one of ``plan``, ``wichtel``, ``library``.
    culprits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        place = f"failure rule {self.name!r}"
        if self.status not in (ExperimentStatus.USER_ERROR, ExperimentStatus.SYSTEM_ERROR):
            raise InvalidInput(f"a failure is a USER_ERROR or a SYSTEM_ERROR, not {self.status}.", where=place)
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", self.category):
            raise InvalidInput(f"{self.category!r} is no category.", where=place, hint="For example plan.out_of_memory.")
        if not (self.codes or self.message or self.where or self.step or self.log or self.culprits):
            raise InvalidInput("it has no condition, and would know everything.", where=place)
        for pattern in (self.message, self.where, self.step, self.log):
            try:
                re.compile(pattern)
            except re.error as error:
                raise InvalidInput(f"{pattern!r} is no regular expression: {error}.", where=place) from None

    def matches(self, symptom: Symptom) -> bool:
        """Whether it knows a failure that shows itself like this."""
        patterns = ((self.message, symptom.message), (self.where, symptom.where), (self.step, symptom.step), (self.log, symptom.log))
        return (
            (not self.codes or symptom.code in self.codes)
            and (not self.culprits or symptom.culprit in self.culprits)
            and all(not pattern or re.search(pattern, text) for pattern, text in patterns)
        )


def culprit(traceback: str, where: str = "") -> str:
    """Whose code raised an error: ``plan``, ``wichtel``, ``library``, or empty if nothing tells.

    Code of the plan anywhere in the traceback makes it the plan's doing, also when a library raised that it called. A library that
    Wichtel called with the plan's model shows itself by its place alone.

    >>> culprit("", "plan.py:7")
    'plan'
    """
    files = _FILE.findall(traceback)
    if not files and re.fullmatch(r".+:\d+", where):
        files = [where.rpartition(":")[0]]
    if not files:
        return ""
    if any(_PLAN.search(file) or not file.startswith(("/", "<")) for file in files):
        return "plan"
    return "wichtel" if any(file.startswith(_PACKAGE) for file in files) else "library"


def mask(text: str) -> str:
    """`text` without what looks like a secret.

    >>> mask("postgresql://me:geheim@db/x with token wt_0123456789abcdef")
    'postgresql://me:***@db/x with token wt_***'
    """
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def log_end(text: str) -> str:
    """The last `LOG_LINES` lines of a log, at most `LOG_CHARACTERS`, without secrets."""
    # Cut first, roughly: a log may have gigabytes, and a pattern looks at every character.
    lines = mask(text[-4 * LOG_CHARACTERS :]).rstrip().splitlines()[-LOG_LINES:]
    return "\n".join(lines)[-LOG_CHARACTERS:]


def normalised(message: str) -> str:
    """`message` without what differs from one occurrence to the next.

    >>> normalised("run 'e-1/train' failed in /tmp/a/b.py:17 after 3.5 s")
    "run '…' failed in b.py:# after # s"
    """
    for pattern, instead in (
        (r"'[^']*'|\"[^\"]*\"", "'…'"),
        (r"(?:/[^\s/:]+)*/([^\s/:]+)", r"\1"),
        (r"\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}\b|\b[a-z]{1,3}-[0-9a-z]{6,}\b", "…"),
        (r"\d+(?:[.,]\d+)*", "#"),
    ):
        message = re.sub(pattern, instead, message)
    return " ".join(message.split())[:500]
