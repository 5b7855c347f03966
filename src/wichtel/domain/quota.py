"""Who may have how much at once: the shares of teams, and limits of users and protocols."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wichtel.domain.errors import InvalidInput
from wichtel.domain.model import check_name

#: In a limit: every group, or everybody who has no limit of their own.
ALL = "*"

#: What a database holds.
_MOST = 2**31 - 1
_MOST_BYTES = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Nothing of a group starts; what was started goes on."""

    by: str
    #: In words.
    reason: str = ""
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaGroup:
    """A team's share: how many of its experiments may be IN_PROGRESS at once, and how much of the fleet its runs may occupy at once.

    Raises:
        InvalidInput: a share that is negative or not a number.
    """

    name: str
    max_in_progress: int = 4
    #: Of the fleet's workers; None for no limit but the fleet's own, like those below.
    max_runs: int | None = None
    max_cpus: float | None = None
    max_gpus: float | None = None
    max_memory_bytes: int | None = None
    #: Set by pausing the group, not by changing its share.
    paused: Pause | None = None

    def __post_init__(self) -> None:
        where = f"quota group {self.name!r}"
        for name in ("max_in_progress", "max_runs", "max_cpus", "max_gpus"):
            _check_share(getattr(self, name), name, _MOST, where)
        _check_share(self.max_memory_bytes, "max_memory_bytes", _MOST_BYTES, where)

    @property
    def shares_fleet(self) -> bool:
        """Whether it has a share of the fleet, rather than as much as there is."""
        return any(most is not None for most in (self.max_runs, self.max_cpus, self.max_gpus, self.max_memory_bytes))


class LimitKind(StrEnum):
    """Whose experiments a limit counts."""

    USER = "user"
    PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most so many experiments of a user, or by a protocol.

    Of the limits of one group and kind, one that names somebody replaces that of all others (``*``) for them. A limit of a group and one of
    all groups (``*``, which counts over all groups together) both hold.

    Raises:
        InvalidInput: it limits nothing, or to less than nothing.
    """

    kind: LimitKind
    #: Of the user or protocol; ``*`` for each one that has no limit of their own.
    name: str
    #: ``*`` for all groups together.
    quota_group: str = ALL
    #: IN_PROGRESS at once; None for no limit.
    max_in_progress: int | None = None
    #: Started within any sixty minutes; None for no limit.
    max_starts_per_hour: int | None = None

    def __post_init__(self) -> None:
        where = f"limit of {self.kind} {self.name!r}"
        for what, name in ((str(self.kind), self.name), ("quota group", self.quota_group)):
            if name != ALL:
                _check_whose(name, what)
        _check_share(self.max_in_progress, "max_in_progress", _MOST, where)
        _check_share(self.max_starts_per_hour, "max_starts_per_hour", _MOST, where)
        if self.max_in_progress is None and self.max_starts_per_hour is None:
            raise InvalidInput("it limits nothing.", where=where, hint="Give max_in_progress or max_starts_per_hour.")

    @property
    def key(self) -> tuple[str, LimitKind, str]:
        """What there is one of."""
        return self.quota_group, self.kind, self.name

    @property
    def of(self) -> str:
        """Whose it is, in words.

        >>> Limit(kind=LimitKind.USER, name="bob", max_in_progress=1).of
        'user bob'
        """
        who = f"each {self.kind}" if self.name == ALL else f"{self.kind} {self.name}"
        return who if self.quota_group == ALL else f"{who} in {self.quota_group}"


def _check_whose(name: str, what: str) -> None:
    try:
        check_name(name, what=what)
    except InvalidInput as error:
        user, at, _ = name.partition("@")
        if not at:
            raise
        raise InvalidInput(error.message, hint=f"Nobody has an @ in their name here; an identity provider's {name} is {user!r}.") from None


def _check_share(value: float | None, name: str, most: int, where: str) -> None:
    if value is None:
        return
    if math.isnan(value) or value < 0:
        raise InvalidInput(f"{name} is {value:g}, but a share is not negative.", where=where)
    if value > most:
        raise InvalidInput(f"{name} does not fit: it is at most {most:,}.", where=where, hint="Leave it out for no limit.")
