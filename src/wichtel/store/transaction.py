"""A unit of work, with a repository for each noun."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property

import sqlalchemy as sa

from wichtel.store.access import Audit, Principals, Tokens
from wichtel.store.channels import Channels, Watchers
from wichtel.store.counts import Counts
from wichtel.store.events import Events
from wichtel.store.experiments import Experiments
from wichtel.store.exports import Exports
from wichtel.store.garbage import Garbage
from wichtel.store.idempotency import Idempotency
from wichtel.store.intents import Intents
from wichtel.store.jobs import Jobs
from wichtel.store.known_names import KnownNames
from wichtel.store.limits import Limits
from wichtel.store.measurements import Measurements
from wichtel.store.metric_deltas import MetricDeltas
from wichtel.store.models import Datasets, Models, Versions
from wichtel.store.outbox import Outbox
from wichtel.store.queue import Queue
from wichtel.store.quota import QuotaGroups
from wichtel.store.registrations import Registrations
from wichtel.store.replicas import Leases, Replicas
from wichtel.store.request_stats import RequestStats
from wichtel.store.runs import Runs
from wichtel.store.saved_searches import SavedSearches
from wichtel.store.sessions import Sessions
from wichtel.store.studies import Studies, Trials
from wichtel.store.teams import Teams
from wichtel.store.triage import Triage


class Transaction:
    """What `Database.transaction` and `Database.read` give. Belongs to one thread; ends with its ``with`` block."""

    def __init__(self, connection: sa.Connection, clock: Callable[[], datetime] | None) -> None:
        #: The SQLAlchemy connection; other rooms hand it on without looking inside.
        self.connection = connection
        self._clock = clock
        self._after_commit: list[Callable[[], object]] = []

    @cached_property
    def now(self) -> datetime:
        """The time of this transaction, aware, UTC: the same all through it. By the database's clock, which all replicas share."""
        if self._clock is not None:
            return self._clock()
        if self.connection.dialect.name == "sqlite":
            return datetime.now(UTC)
        found: datetime = self.connection.execute(sa.select(sa.func.now())).scalar_one()
        return found.astimezone(UTC)

    def after_commit(self, call: Callable[[], object]) -> None:
        """Have `call` made once this transaction has committed, in its thread; never if it does not commit. It must not raise."""
        self._after_commit.append(call)

    def committed(self) -> None:
        """Make the calls of `after_commit`; `Database.transaction` does so."""
        for call in self._after_commit:
            call()

    def flush_events(self) -> None:
        """Write the events of this transaction; `Database.transaction` does so at its end."""
        self.events.flush()

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part that may fail by itself: an exception that leaves it undoes what was done since it began, and no more."""
        calls, mark = len(self._after_commit), self.events.mark()
        try:
            with self.connection.begin_nested():
                yield
        except BaseException:
            del self._after_commit[calls:]
            self.events.rewind(mark)
            raise

    def exclusive(self, what: str) -> None:
        """Wait until no other transaction that asked for the same is under way. On SQLite, none ever is that writes."""
        if self.connection.dialect.name == "postgresql":
            number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)
            self.connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))

    @cached_property
    def models(self) -> Models:
        """Registered models."""
        return Models(self)

    @cached_property
    def versions(self) -> Versions:
        """Their versions."""
        return Versions(self)

    @cached_property
    def datasets(self) -> Datasets:
        """Registered datasets."""
        return Datasets(self)

    @cached_property
    def intents(self) -> Intents:
        """Intents, with those that are built in."""
        return Intents(self)

    @cached_property
    def quota_groups(self) -> QuotaGroups:
        """The shares of teams."""
        return QuotaGroups(self)

    @cached_property
    def limits(self) -> Limits:
        """The limits of users and protocols."""
        return Limits(self)

    @cached_property
    def queue(self) -> Queue:
        """What waits."""
        return Queue(self)

    @cached_property
    def registrations(self) -> Registrations:
        """What was asked for."""
        return Registrations(self)

    @cached_property
    def experiments(self) -> Experiments:
        """What came of it."""
        return Experiments(self)

    @cached_property
    def triage(self) -> Triage:
        """Failures that somebody has to look into."""
        return Triage(self)

    @cached_property
    def metric_deltas(self) -> MetricDeltas:
        """What they found, as numbers."""
        return MetricDeltas(self)

    @cached_property
    def channels(self) -> Channels:
        """Ways to tell somebody."""
        return Channels(self)

    @cached_property
    def watchers(self) -> Watchers:
        """Who watches what."""
        return Watchers(self)

    @cached_property
    def outbox(self) -> Outbox:
        """What is to be told, and what became of it."""
        return Outbox(self)

    @cached_property
    def runs(self) -> Runs:
        """Pieces of work."""
        return Runs(self)

    @cached_property
    def measurements(self) -> Measurements:
        """What runs reported."""
        return Measurements(self)

    @cached_property
    def studies(self) -> Studies:
        """Searches."""
        return Studies(self)

    @cached_property
    def trials(self) -> Trials:
        """Their trials."""
        return Trials(self)

    @cached_property
    def leases(self) -> Leases:
        """Who leads."""
        return Leases(self)

    @cached_property
    def replicas(self) -> Replicas:
        """Which processes live."""
        return Replicas(self)

    @cached_property
    def exports(self) -> Exports:
        """What the exporter wrote."""
        return Exports(self)

    @cached_property
    def garbage(self) -> Garbage:
        """What nobody needs any more."""
        return Garbage(self)

    @cached_property
    def jobs(self) -> Jobs:
        """What is done again and again."""
        return Jobs(self)

    @cached_property
    def principals(self) -> Principals:
        """Users and service accounts."""
        return Principals(self)

    @cached_property
    def teams(self) -> Teams:
        """Teams with their members."""
        return Teams(self)

    @cached_property
    def sessions(self) -> Sessions:
        """Browsers in which somebody is logged in."""
        return Sessions(self)

    @cached_property
    def tokens(self) -> Tokens:
        """Their hashed tokens."""
        return Tokens(self)

    @cached_property
    def audit(self) -> Audit:
        """Who changed what."""
        return Audit(self)

    @cached_property
    def idempotency(self) -> Idempotency:
        """Answers to requests that must be carried out once."""
        return Idempotency(self)

    @cached_property
    def request_stats(self) -> RequestStats:
        """How many requests there were, and how long they took."""
        return RequestStats(self)

    @cached_property
    def saved_searches(self) -> SavedSearches:
        """Searches under names."""
        return SavedSearches(self)

    @cached_property
    def known_names(self) -> KnownNames:
        """Names that occur."""
        return KnownNames(self)

    @cached_property
    def counts(self) -> Counts:
        """How much of everything there is."""
        return Counts(self)

    @cached_property
    def events(self) -> Events:
        """The feed of what happened."""
        return Events(self)
