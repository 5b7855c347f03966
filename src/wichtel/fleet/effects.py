"""What a roster has decided, for the controller to carry out in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wichtel.domain import Measurement, Run
from wichtel.fleet.messages import ToWorker


@dataclass(frozen=True, slots=True)
class Save:
    """Write the run's new state."""

    run: Run


@dataclass(frozen=True, slots=True)
class Ended:
    """Write the run's end; when that is durable, acknowledge it to `worker` (if not empty) and tell the owner."""

    run: Run
    worker: str
    #: There are no files of the run to be removed.
    clean: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """Write the measurement and tell the owner, whose answer comes back by `Roster.stop`."""

    owner: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Send:
    """Send the message to the worker."""

    worker: str
    message: ToWorker


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a worker of this name."""

    worker: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End the worker by force."""

    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Tell operators."""

    kind: str
    subject: str
    data: dict[str, Any]


Effect = Save | Ended | Measured | Send | Launch | Kill | Note
