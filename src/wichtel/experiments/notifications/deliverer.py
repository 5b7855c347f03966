"""Sends what is in the outbox: at most once for each event and channel.

A notification is marked as being sent *before* it is sent, in a transaction of its own, by a conditional update that one deliverer wins.
Then there are three ends. It was taken: sent. It surely was not (no connection, a refusal): it waits and is tried again, ever more seldom,
for a day. Nobody knows (the connection broke after it was sent, this process died): it is never sent again, and shown as unknown. So a
crash can lose a message and cannot repeat one; those that may be lost can be seen.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

from wichtel.domain import Notification, NotificationState
from wichtel.experiments.notifications.message import Item, Message, message_id
from wichtel.experiments.notifications.port import NotAccepted, Notifier, OutcomeUnknown
from wichtel.store import Database, Transaction
from wichtel.store.outbox import Parcel

log = logging.getLogger(__name__)

#: Wait before the second attempt; twice as long before each further one.
RETRY_SECONDS = 30.0
MOST_RETRY_SECONDS = 3600.0
GIVE_UP_AFTER = timedelta(days=1)
#: Longer than any notifier takes; whoever is silent for longer has died.
CLAIM_SECONDS = 600.0
_THREADS = 8
#: One run of the job sends at most so many rounds, so that it ends.
_ROUNDS = 50


class Deliverer:
    """Empties the outbox. Any number may work on the same database at once.

    Args:
        db: Where it is.
        notifiers: By kind.
        digest_seconds: Notifications of a registration wait for each other at most so long.
    """

    def __init__(self, db: Database, notifiers: Mapping[str, Notifier], *, digest_seconds: float) -> None:
        self._db = db
        self._notifiers = notifiers
        self._wait = timedelta(seconds=digest_seconds)
        self._ceased = threading.Event()

    def cease(self) -> None:
        """Begin to send nothing more: what this process has in its hands when it ends nobody knows to have arrived."""
        self._ceased.set()

    def run(self) -> dict[str, Any]:
        """Send all that is to be sent now; return how many notifications came to which end."""
        counts: Counter[str] = Counter()
        with self._db.transaction() as tx:
            late = tx.now - timedelta(seconds=CLAIM_SECONDS)
            counts["unknown"] += tx.outbox.give_up_claims(late, "The service was cut short while it sent this.")
        stuck: set[str] = set()
        digested = [kind for kind, notifier in self._notifiers.items() if notifier.digests]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="wichtel-notify") as pool:
            for _ in range(_ROUNDS):
                with self._db.read() as tx:
                    parcels = tx.outbox.ready(digested, self._wait, without=stuck)
                by_channel: dict[str, list[Parcel]] = {}
                for parcel in parcels:
                    by_channel.setdefault(parcel.channel, []).append(parcel)
                if not by_channel or self._ceased.is_set():
                    break
                for channel, outcome, well in pool.map(self._deliver_all, by_channel, by_channel.values()):
                    counts.update(outcome)
                    if not well:
                        stuck.add(channel)
        return {state: count for state, count in sorted(counts.items()) if count}

    def _deliver_all(self, channel: str, parcels: list[Parcel]) -> tuple[str, Counter[str], bool]:
        """Send to one channel, in order, until it fails: the rest waits for the next run, so that a receiver that hangs hinders nobody."""
        counts: Counter[str] = Counter()
        for parcel in parcels:
            if self._ceased.is_set():
                break
            outcome = self._deliver(parcel)
            counts.update(outcome)
            if outcome.keys() - {NotificationState.SENT, NotificationState.DROPPED}:
                return channel, counts, False
        return channel, counts, True

    def _deliver(self, parcel: Parcel) -> dict[str, int]:
        claim = secrets.token_hex(16)
        with self._db.transaction() as tx:
            # From here on it counts as sent, unless something surely says otherwise.
            taken = tx.outbox.claim(parcel, claim)
            if not taken:
                return {}
            # Read here: a database that is away a moment later must not cost a message that was never sent.
            send = self._prepare(tx, taken)
        state, error = send()
        with self._db.transaction() as tx:
            due = None
            if state is NotificationState.WAITING:
                attempts = max(n.attempts for n in taken)
                due = tx.now + timedelta(seconds=min(MOST_RETRY_SECONDS, RETRY_SECONDS * 2.0 ** min(attempts - 1, 20)))
                if min(n.created for n in taken) < tx.now - GIVE_UP_AFTER:
                    state, due = NotificationState.FAILED, None
            if not tx.outbox.settle(claim, state, error, due):
                log.warning("the sending of %s took so long that it was given up", parcel)
        if error:
            log.warning("telling channel %s of %d events: %s: %s", parcel.channel, len(taken), state, error)
        return {state.value: len(taken)}

    def _prepare(self, tx: Transaction, taken: list[Notification]) -> Callable[[], tuple[NotificationState, str]]:
        """What sends `taken`, or says why that cannot be done, and asks the database nothing more."""
        first = taken[0]
        notifier = self._notifiers.get(first.kind)
        channel = tx.channels.find(first.channel)
        if channel is None:
            return lambda: (NotificationState.DROPPED, "its channel was deleted")
        items = tuple(Item.of(experiment) for experiment in tx.experiments.many([n.experiment for n in taken]))
        if not items:
            return lambda: (NotificationState.DROPPED, "its experiment was deleted")
        if notifier is None:
            return lambda: (NotificationState.WAITING, f"no notifier of kind {first.kind!r} is installed")
        unfinished = notifier.digests and first.registration in tx.outbox.unfinished({first.registration})
        message = Message(id=message_id(channel.id, [n.event for n in taken]), items=items, more_to_come=unfinished)
        return partial(attempt, notifier, message, channel.address, tx.channels.secret(channel.id))


def attempt(notifier: Notifier, message: Message, address: str, secret: str) -> tuple[NotificationState, str]:
    """Send, and what came of it: `WAITING` if it surely was not taken."""
    try:
        notifier.send(message, address, secret)
    except NotAccepted as refusal:
        return NotificationState.WAITING, refusal.message
    except OutcomeUnknown as doubt:
        return NotificationState.UNKNOWN, doubt.message
    except Exception as fault:
        # Nobody knows how far it came.
        log.exception("notifier %s failed", notifier.kind)
        return NotificationState.UNKNOWN, f"{type(fault).__name__}: {fault}"
    return NotificationState.SENT, ""
