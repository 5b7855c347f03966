"""How a fleet behaves. Every time is a setting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wichtel.domain import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """Settings of a controller and of the workers it welcomes.

    Raises:
        InvalidInput: a time that is not positive, or timeouts too short for their beats.
    """

    #: Directory on the workers' machine for checkpoints, scratch and logs.
    state_dir: Path = Path(".wichtel/fleet")
    #: A worker is heard this often, also when nothing is measured.
    heartbeat_seconds: float = 1.0
    #: A worker not heard for this long is lost: generous, since code that holds the interpreter's lock silences its heartbeat.
    heartbeat_timeout_seconds: float = 30.0
    #: Between a worker's start and its first word.
    start_timeout_seconds: float = 60.0
    #: Reports closer together than this travel in one heartbeat.
    report_seconds: float = 0.02
    #: A worker sends a result again if it is not acknowledged within this.
    resend_seconds: float = 5.0
    #: How long a canceled run may take to end by itself before its worker is killed.
    cancel_grace_seconds: float = 5.0
    #: Pause before a run's second attempt after a loss; doubles with each further one, up to 30 s.
    retry_seconds: float = 0.2
    #: How often the store is asked for runs and cancellations that another process wrote.
    poll_seconds: float = 0.2
    #: Lease on leading; a standby takes over at most this long after the leader died.
    lease_seconds: float = 10.0
    #: What is kept of a run's standard output and error.
    log_bytes: int = 1024 * 1024

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, int | float) and value <= 0:
                raise InvalidInput(f"{name} is {value}, but has to be positive.", where="fleet settings")
        if self.heartbeat_timeout_seconds < 3 * self.heartbeat_seconds:
            raise InvalidInput("heartbeat_timeout_seconds is at least three times heartbeat_seconds.", where="fleet settings")
