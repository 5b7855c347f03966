"""The log: lines of text or of JSON, with the ids of what was being done, and without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from wichtel.domain.doing import said

#: Each with what is left of it.
_SECRETS = (
    # Passwords in addresses, and our tokens wherever they are.
    (re.compile(r"(://[^:/@\s]*):[^@/\s]+@"), r"\1:***@"),
    (re.compile(r"\bwt_[A-Za-z0-9_-]{8,}"), "wt_***"),
    (re.compile(r"(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key))(['\"]?\s*[:=]\s*['\"]?)[^\s'\",;}&]+"), r"\1\2***"),
)


def configure(level: str, form: str) -> None:
    """Log to standard error from now on.

    Args:
        level: Least grave kind of message; see `Settings.log_level`.
        form: See `Settings.log_format`.
    """
    handler = StandardError()
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        # What they tell at the level info is for those who look into them.
        for chatty in ("alembic", "uvicorn", "httpx2", "httpcore2"):
            logging.getLogger(chatty).setLevel(logging.WARNING)


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is by then: a notebook or a test exchanges it, and closes the one that was."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Where it goes."""
        return sys.stderr


def masked(text: str) -> str:
    """`text` without what looks like a secret.

    >>> masked("postgresql://ana:hunter2@db/w, Authorization: Bearer wt_0123456789abcdef")
    'postgresql://ana:***@db/w, Authorization: Bearer wt_***'
    """
    for secret, rest in _SECRETS:
        text = secret.sub(rest, text)
    return text


def _ids() -> dict[str, str]:
    words = dict(said())
    workflow = words.get("workflow", "")
    if "experiment" not in words and workflow.startswith("e-"):
        # Their ids begin with that of their experiment.
        words["experiment"] = workflow.partition("/")[0]
    return words


class TextLines(logging.Formatter):
    """For people: time, level, logger, message, and in brackets the ids."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One record, over several lines if it has a traceback."""
        first, more, rest = super().format(record).partition("\n")
        ids = " ".join(f"{name}={value}" for name, value in _ids().items())
        return masked(f"{first} [{ids}]{more}{rest}" if ids else f"{first}{more}{rest}")


class JsonLines(logging.Formatter):
    """For machines: one object a line with time, level, logger, message, the ids, and the traceback as ``error``."""

    def format(self, record: logging.LogRecord) -> str:
        """One record, in one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
            **{name: masked(value) for name, value in _ids().items()},
        }
        if record.exc_info:
            line["error"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)
