"""Every table, a file for those of a noun. A change here needs a revision in `migrations/versions`; a test compares the two.

A domain value is stored as the columns that are searched or change, and one JSON document for the rest.
Foreign keys are checked at commit, so that the rows of one transaction may come in any order.
"""

from wichtel.store.tables.access import audit, memberships, principals, sessions, teams, tokens
from wichtel.store.tables.base import Key, metadata
from wichtel.store.tables.catalogue import datasets, intents, models, versions
from wichtel.store.tables.compatibility import compatibility
from wichtel.store.tables.events import events
from wichtel.store.tables.experiments import experiments, registrations, trigrams
from wichtel.store.tables.jobs import exports, jobs
from wichtel.store.tables.metric_deltas import metric_deltas
from wichtel.store.tables.notifications import channels, notifications, watchers
from wichtel.store.tables.quota import limits, quota_groups
from wichtel.store.tables.replicas import leases, replicas
from wichtel.store.tables.requests import idempotency, request_stats
from wichtel.store.tables.runs import cancellations, measurements, runs, studies, trials
from wichtel.store.tables.saved_searches import saved_searches
from wichtel.store.tables.triage import triage

__all__ = [
    "Key",
    "audit",
    "cancellations",
    "channels",
    "compatibility",
    "datasets",
    "events",
    "experiments",
    "exports",
    "idempotency",
    "intents",
    "jobs",
    "leases",
    "limits",
    "measurements",
    "memberships",
    "metadata",
    "metric_deltas",
    "models",
    "notifications",
    "principals",
    "quota_groups",
    "registrations",
    "replicas",
    "request_stats",
    "runs",
    "saved_searches",
    "sessions",
    "studies",
    "teams",
    "tokens",
    "triage",
    "trials",
    "trigrams",
    "versions",
    "watchers",
]
