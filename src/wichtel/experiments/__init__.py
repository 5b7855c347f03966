"""Registrations, their scheduling and endings, and the catalogue they refer to: models, datasets, intents.

Owns: the calls of the API as plain functions, the scheduler, the listeners, who may do what. May import: protocols and everything below.
Start with `service.py`, then `listeners.py`. To add a durable job, copy `Listeners.expire`.
"""

from wichtel.experiments.access import Access, NewToken
from wichtel.experiments.accounts import NewPrincipal, Principals, Teams
from wichtel.experiments.audit import Audit
from wichtel.experiments.catalogue import Datasets, Intents, Protocols
from wichtel.experiments.handover import Handover
from wichtel.experiments.jobs import Jobs, PeriodicJob
from wichtel.experiments.listeners import Listeners
from wichtel.experiments.models import Models
from wichtel.experiments.permissions import RULES, Role, Rule, Scope, role_of
from wichtel.experiments.principal import Principal
from wichtel.experiments.registration import ProtocolRequest, RegisterModels
from wichtel.experiments.rerun import On, Rerun, Seed
from wichtel.experiments.service import Experiments
from wichtel.experiments.sessions import Sessions, Visit
from wichtel.experiments.usage import CallUsage, Usage
from wichtel.experiments.work import Runs, Studies

__all__ = [
    "RULES",
    "Access",
    "Audit",
    "CallUsage",
    "Datasets",
    "Experiments",
    "Handover",
    "Intents",
    "Jobs",
    "Listeners",
    "Models",
    "NewPrincipal",
    "NewToken",
    "On",
    "PeriodicJob",
    "Principal",
    "Principals",
    "ProtocolRequest",
    "Protocols",
    "RegisterModels",
    "Rerun",
    "Role",
    "Rule",
    "Runs",
    "Scope",
    "Seed",
    "Sessions",
    "Studies",
    "Teams",
    "Usage",
    "Visit",
    "role_of",
]
