"""What one execution of a plan reads and tells; empty outside of one.

`tunable` and `plan` look here for the session of the load that is going on. There is none when somebody runs ``plan.py`` by hand: then
nothing is recorded and nothing refused.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from wichtel.domain import Feature, Metadata, Metric, PlanError, Tunable
from wichtel.domain.metric import Expectation, MetricKind
from wichtel.domain.parameter import Value, same

#: Frames of these files are not the user's.
_OURS = (str(Path(__file__).parent), contextlib.__file__)


class Mode(StrEnum):
    """What a tunable returns while a plan is loaded."""

    #: Its default, or what ``tunable.Set`` says.
    DEFAULT = "default"
    #: The given value; for a name that is not given, as in DEFAULT.
    SET = "set"
    #: As SET, while all that can be reached is being discovered.
    TRACE = "trace"
    #: As SET; the values belong to one candidate of a search. Searches with shared weights are refused for now.
    SEARCH = "search"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMetric:
    """A quality metric that the plan defines: ``function(labels, scores) -> float``, both arrays of shape ``[examples]``."""

    name: str
    function: Callable[[Any, Any], float]
    better: Expectation
    help: str = ""

    @property
    def metric(self) -> Metric:
        """Its description."""
        return Metric(name=self.name, kind=MetricKind.QUALITY, better=self.better, help=self.help)


@dataclass(slots=True, kw_only=True)
class Session:
    """One execution of a plan in the folder `root`."""

    root: Path
    mode: Mode = Mode.DEFAULT
    #: Values given from outside; they win over ``tunable.Set``.
    values: Mapping[str, Value] = field(default_factory=dict)
    #: Full name → declaration, in the order of the first reading. The default is the one in effect: what ``tunable.Set`` made of it.
    tunables: dict[str, Tunable] = field(default_factory=dict)
    #: Full name → what was returned.
    read: dict[str, Value] = field(default_factory=dict)
    #: Full name → value and the place of the call.
    set_here: dict[str, tuple[Value, str]] = field(default_factory=dict)
    features: dict[str, Feature] = field(default_factory=dict)
    metadata: Metadata | None = None
    metadata_place: str = ""
    metrics: dict[str, UserMetric] = field(default_factory=dict)

    def place(self) -> str:
        """``file:line`` of the user's code that is calling us; relative to the plan's folder where it lies in it."""
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
            frame = frame.f_back
        return f"{relative(frame.f_code.co_filename, self.root)}:{frame.f_lineno}"

    def set(self, name: str, value: Value) -> None:
        """Carry out ``tunable.Set`` for one name.

        Raises:
            PlanError: it comes after the tunable was read with another value.
        """
        place = self.place()
        if name in self.read and name not in self.values and not same(self.read[name], value):
            raise PlanError(
                f"tunable.Set gives {name!r} a value after it was read at {self.tunables[name].place}.",
                where=place,
                hint="Move tunable.Set to the top of plan.py.",
            )
        self.set_here[name] = (value, place)

    def unread(self) -> dict[str, str]:
        """Names that were given or set, but that no tunable asked for → where that happened."""
        given = dict.fromkeys(self.values, "the given values")
        return {name: place for name, place in {**given, **{n: p for n, (_, p) in self.set_here.items()}}.items() if name not in self.read}


def relative(file: str, root: Path) -> str:
    """`file` as seen from `root`, if it lies in it."""
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else file


_current: ContextVar[Session | None] = ContextVar("wichtel_plan_session", default=None)


def current() -> Session | None:
    """The session of the load that is going on."""
    return _current.get()


@contextlib.contextmanager
def using(session: Session) -> Iterator[Session]:
    """Make `session` the current one."""
    token = _current.set(session)
    try:
        yield session
    finally:
        _current.reset(token)
