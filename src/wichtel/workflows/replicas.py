"""Says that this process lives, and takes over from those that no longer do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wichtel.domain.errors import SystemFault

if TYPE_CHECKING:
    from wichtel.store import Database

log = logging.getLogger(__name__)


class Heartbeat:
    """A thread that writes this replica's row every `beat_seconds`, and then calls `reap`."""

    def __init__(self, db: Database, replica: str, roles: Sequence[str], *, beat_seconds: float, reap: Callable[[], None]) -> None:
        self._db = db
        self._replica = replica
        self._roles = tuple(roles)
        self._beat_seconds = beat_seconds
        self._reap = reap
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wichtel-heartbeat", daemon=True)

    def start(self) -> None:
        """Write the first beat, then go on in a thread."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and remove the row: others may take over at once."""
        self._stopped.set()
        self._thread.join()
        with self._db.transaction() as tx:
            tx.replicas.forget(self._replica)

    def _beat(self) -> None:
        with self._db.transaction() as tx:
            tx.replicas.beat(self._replica, self._roles)

    def _run(self) -> None:
        while not self._stopped.wait(self._beat_seconds):
            try:
                self._beat()
                self._reap()
            except SystemFault as error:
                # The database is away. When it is back, so are we.
                log.warning("no heartbeat: %s", error)
