"""Registrations, their scheduling and endings, and the catalogue they refer to: models, datasets, intents.

Owns: the calls of the API as plain functions, the scheduler, the listeners, who may do what. May import: protocols and everything below.
Start with `service.py`, then `listeners.py`. To add a durable job, copy `Listeners.expire`.
"""

from wichtel.experiments.access import Access, NewToken
from wichtel.experiments.audit import Audit
from wichtel.experiments.catalogue import Datasets, Intents, Protocols
from wichtel.experiments.jobs import Jobs, PeriodicJob
from wichtel.experiments.listeners import Listeners
from wichtel.experiments.models import Models
from wichtel.experiments.permissions import RULES, Role, Rule, Scope, role_of
from wichtel.experiments.principal import Principal
from wichtel.experiments.registration import ProtocolRequest, RegisterModels
from wichtel.experiments.service import Experiments
from wichtel.experiments.usage import CallUsage, Usage
from wichtel.experiments.work import Runs, Studies

__all__ = [
    "RULES",
    "Access",
    "Audit",
    "CallUsage",
    "Datasets",
    "Experiments",
    "Intents",
    "Jobs",
    "Listeners",
    "Models",
    "NewToken",
    "PeriodicJob",
    "Principal",
    "ProtocolRequest",
    "Protocols",
    "RegisterModels",
    "Role",
    "Rule",
    "Runs",
    "Scope",
    "Studies",
    "Usage",
    "role_of",
]
