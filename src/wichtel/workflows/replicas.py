"""Says that this process lives, and takes over from those that no longer do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wichtel.domain.errors import SystemFault

if TYPE_CHECKING:
    from wichtel.store import Database

log = logging.getLogger(__name__)


class Heartbeat:
    """A thread that writes this replica's row every `beat_seconds`, and then calls `reap`.

    Args:
        db: Where the row is.
        replica: Its id.
        roles: What it does.
        beat_seconds: How often.
        reap: Takes over from those that no longer live.
        version: Of this replica's code.
        tell: What it says of itself, as plain JSON; must be quick.
    """

    def __init__(
        self,
        db: Database,
        replica: str,
        roles: Sequence[str],
        *,
        beat_seconds: float,
        reap: Callable[[], None] = lambda: None,
        version: str = "unknown",
        tell: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._db = db
        self._replica = replica
        self._roles = tuple(roles)
        self._beat_seconds = beat_seconds
        self._reap = reap
        self._version = version
        self._tell = tell
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wichtel-heartbeat", daemon=True)

    def beat(self) -> None:
        """Say that this replica lives."""
        told = self._tell()
        with self._db.transaction() as tx:
            tx.replicas.beat(self._replica, self._roles, version=self._version, told=told)

    def start(self) -> None:
        """Go on saying so in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def forget(self) -> None:
        """Strike this replica off: others may take over at once."""
        try:
            with self._db.transaction() as tx:
                tx.replicas.forget(self._replica)
        except SystemFault as error:
            # The others will find out by its silence.
            log.warning("could not strike off %s: %s", self._replica, error)

    def _run(self) -> None:
        while not self._stopped.wait(self._beat_seconds):
            try:
                self.beat()
                self._reap()
            except SystemFault as error:
                # The database is away. When it is back, so are we.
                log.warning("no heartbeat: %s", error)
            except Exception:
                # A replica that falls silent loses its work to the others; a fault of the reaper's is no reason for that.
                log.exception("the heartbeat goes on after a fault")
