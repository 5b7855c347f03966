"""The scheduler's thread: starts what may start, a moment after something changed that may let it.

What waits is rows, and whatever may let it go on is an event in the transaction that did it; so nobody need be told, nothing can get lost,
and any number of orchestrators may look: the first one finds it, the others nothing. A time that has to pass, for a limit of starts, is a
timer here.
"""

from __future__ import annotations

import logging
import threading
import time
from random import Random

from wichtel.experiments.scheduler import start_next
from wichtel.store import Database
from wichtel.workflows import WorkflowPort

log = logging.getLogger(__name__)

#: Events after which somebody may go on who could not before.
_CAUSES = ("experiment.added", "experiment.requeued", "experiment.finished", "quota_group.changed", "quota_group.resumed")
#: After this it looks whatever the feed says.
_ANYWAY_SECONDS = 60.0
_PAUSE_SECONDS = 1.0


class Starter:
    """Starts experiments while a group has work and room.

    Args:
        db: Where experiments live.
        workflows: What carries them out.
        default_share: Most experiments IN_PROGRESS of a group that nobody set a share for.
        poll_seconds: How often the feed is read.
    """

    def __init__(self, db: Database, workflows: WorkflowPort, *, default_share: int, poll_seconds: float = 0.1) -> None:
        self._db = db
        self._workflows = workflows
        self._default_share = default_share
        self._poll_seconds = poll_seconds
        self._random = Random()
        self._seen = 0
        #: By `time.monotonic`.
        self._next_look = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="wichtel-starter", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def look(self) -> list[str]:
        """Start all that may start now; return which."""
        started: list[str] = []
        while True:
            with self._db.transaction() as tx:
                outcome = start_next(tx, self._random, default_share=self._default_share)
                for place, generation in outcome.started:
                    reference = {"experiment": place.id, "generation": generation}
                    self._workflows.enqueue(tx, f"protocol/{place.protocol}", workflow_id(place.id, generation), reference)
                wait = _ANYWAY_SECONDS if outcome.next is None else max(0.0, (outcome.next - tx.now).total_seconds())
            started += [place.id for place, _ in outcome.started]
            if not outcome.more:
                self._next_look = time.monotonic() + min(wait, _ANYWAY_SECONDS)
                return started

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = self._poll_seconds
            try:
                if self._is_due():
                    self.look()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again: nothing else starts experiments
                log.warning("could not look for what may start: %s: %s", type(error).__name__, error)
                self._next_look = 0.0
                pause = _PAUSE_SECONDS

    def _is_due(self) -> bool:
        with self._db.read() as tx:
            # Noted before anybody looks: what comes in between is seen twice rather than never.
            self._seen, news = tx.events.news(self._seen, _CAUSES)
        return news or time.monotonic() >= self._next_look


def workflow_id(experiment: str, generation: int) -> str:
    """The id of the workflow of an experiment's generation."""
    return f"{experiment}/run/{generation}"
