"""Every error Wichtel raises on purpose, in one tree.

WichtelError
├── UserError                what the user gave us caused it; not retried, never a traceback
│   ├── InvalidInput         a value is wrong: what, where, what to do
│   │   └── PlanError        a plan cannot be loaded, traced or trained
│   ├── NotFound             nothing of that name
│   ├── AlreadyExists        the name is taken
│   ├── IllegalTransition    the thing is not in a state that allows this
│   ├── NotPermitted         the principal may not do this
│   ├── PreconditionFailed   the thing is not as the caller last saw it
│   └── TooManyRequests      the caller is to wait
└── SystemFault              all else; retried where that is safe
    ├── DatabaseTooNew       the database was written by a newer Wichtel
    ├── Unavailable          what the service needs is away for a moment, or busy
    ├── StorageFailed        an artifact could not be written or read (disk full, gone)
    └── WorkerLost           the process that carried out the work died
"""

from __future__ import annotations

from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

E = TypeVar("E", bound=Enum)


class WichtelError(Exception):
    """Root of the tree.

    Args:
        message: What happened, in one sentence.
        where: The place that a user can go to: a file and line, a field, a name.
        hint: What to do about it.
    """

    #: Stable name in JSON answers; also how an error is rebuilt on the other side of a process boundary.
    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        #: What else is known, for whoever looks into it: ``run``, ``log``, ``traceback``. It travels along and is no part of the message.
        self.evidence: dict[str, str] = {}

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        # A message may end with a line of its own, such as what points at a place in a query.
        head, line, _ = self.message.rpartition("\n") if self.message.endswith("\n") else (self.message, " ", "")
        return f"{place}{head}{line}{self.hint}" if self.hint else f"{place}{head}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.where, self.hint), {"evidence": self.evidence}

    def to_json(self) -> dict[str, Any]:
        """The error as plain JSON; `from_json` is the way back."""
        evidence = {"evidence": dict(self.evidence)} if self.evidence else {}
        return {"code": self.code, "message": self.message, "where": self.where, "hint": self.hint, **evidence}


def _rebuild(kind: type[WichtelError], message: str, where: str | None, hint: str | None) -> WichtelError:
    return kind(message, where=where, hint=hint)


class UserError(WichtelError):
    """What the user gave us (input, code, data, metrics) caused it."""

    code = "user_error"


class InvalidInput(UserError):
    """A value is wrong."""

    code = "invalid_input"


class PlanError(InvalidInput):
    """A plan cannot be loaded, traced or trained."""

    code = "plan_error"


class NotFound(UserError):
    """Nothing has that name."""

    code = "not_found"


class AlreadyExists(UserError):
    """The name is taken."""

    code = "already_exists"


class IllegalTransition(UserError):
    """The thing is not in a state that allows this."""

    code = "illegal_transition"


class NotPermitted(UserError):
    """The principal may not do this."""

    code = "not_permitted"


class PreconditionFailed(UserError):
    """The thing is not as the caller last saw it."""

    code = "precondition_failed"


class TooManyRequests(UserError):
    """The caller is to wait."""

    code = "too_many_requests"


class SystemFault(WichtelError):
    """Not the user's doing."""

    code = "system_fault"


class DatabaseTooNew(SystemFault):
    """The database was written by a newer Wichtel."""

    code = "database_too_new"


class Unavailable(SystemFault):
    """What the service needs, such as its database, is away: the same may succeed in a moment."""

    code = "unavailable"


class StorageFailed(SystemFault):
    """An artifact could not be written or read."""

    code = "storage_failed"


class WorkerLost(SystemFault):
    """The process that carried out the work died."""

    code = "worker_lost"


def _tree(root: type[WichtelError]) -> dict[str, type[WichtelError]]:
    found = {root.code: root}
    for kind in root.__subclasses__():
        # A subclass without a code of its own is rebuilt as what it is a case of.
        found = _tree(kind) | found
    return found


def from_json(data: Mapping[str, Any]) -> WichtelError:
    """Rebuild an error written by `WichtelError.to_json`; an unknown code becomes a `SystemFault`."""
    kind = _tree(WichtelError).get(str(data.get("code")), SystemFault)
    error = kind(str(data.get("message", "")), where=data.get("where"), hint=data.get("hint"))
    error.evidence.update({str(name): str(value) for name, value in (data.get("evidence") or {}).items()})
    return error


def one_of(kind: type[E], value: object, *, where: str) -> E:
    """The member of an enum that `value` is or names.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return kind(value)
    except ValueError:
        words = [str(member.value) for member in kind]
        raise InvalidInput(f"{value!r} is none of {', '.join(words)}.", where=where) from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known names, or all of them when none is near.

    >>> did_you_mean("widht", ["width", "depth"])
    "Did you mean 'width'?"
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=3)
    if near:
        return "Did you mean " + " or ".join(repr(str(n)) for n in near) + "?"
    return "Known: " + ", ".join(names[:20]) + "." if names else "There are none."
