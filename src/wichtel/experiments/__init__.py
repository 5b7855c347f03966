"""Registrations, their scheduling and endings, and the catalogue they refer to: models, datasets, intents.

Owns: the calls of the API as plain functions, the scheduler, the listeners, who may do what. May import: protocols and everything below.
Start with `service.py`, then `starter.py`. To add something that is done again and again, copy `deadlines.py` and name it in
`wichtel.housekeeping`.
"""

from wichtel.experiments.access import Access, NewToken
from wichtel.experiments.accounts import NewPrincipal, Principals, Teams
from wichtel.experiments.audit import Audit
from wichtel.experiments.catalogue import Datasets, Intents, Protocols
from wichtel.experiments.cleaner import Cleaner, FileSweeper
from wichtel.experiments.comparison import Comparisons
from wichtel.experiments.deadlines import Deadlines
from wichtel.experiments.exporter import Exporter
from wichtel.experiments.forecasts import Change, Cost, Forecast, Forecasts, Need
from wichtel.experiments.garbage import Garbage, Retention
from wichtel.experiments.handover import Handover
from wichtel.experiments.jobs import Jobs, PeriodicJob
from wichtel.experiments.listeners import Listeners
from wichtel.experiments.models import Models
from wichtel.experiments.onboarding import Checked, Lack, Onboarding, with_lines
from wichtel.experiments.permissions import RULES, Role, Rule, Scope, role_of
from wichtel.experiments.principal import Principal
from wichtel.experiments.quotas import Quotas
from wichtel.experiments.records import Exports
from wichtel.experiments.registration import ProtocolRequest, Refused, RegisterModels, Survey
from wichtel.experiments.rerun import On, Rerun, Seed
from wichtel.experiments.saved_searches import SavedSearches, SaveSearch
from wichtel.experiments.service import Experiments
from wichtel.experiments.sessions import OpenSession, Sessions, Visit
from wichtel.experiments.starter import Starter
from wichtel.experiments.statistics import ProtocolUsage, Statistics, StatusUsage, TimeUsage, Totals, UsageReport
from wichtel.experiments.study_views import StudyView, TrialColumns, TrialCurve
from wichtel.experiments.usage import CallUsage, Usage
from wichtel.experiments.vocabulary import Vocabulary
from wichtel.experiments.waiting import Waits
from wichtel.experiments.work import Runs, Studies

__all__ = [
    "RULES",
    "Access",
    "Audit",
    "CallUsage",
    "Change",
    "Checked",
    "Cleaner",
    "Comparisons",
    "Cost",
    "Datasets",
    "Deadlines",
    "Experiments",
    "Exporter",
    "Exports",
    "FileSweeper",
    "Forecast",
    "Forecasts",
    "Garbage",
    "Handover",
    "Intents",
    "Jobs",
    "Lack",
    "Listeners",
    "Models",
    "Need",
    "NewPrincipal",
    "NewToken",
    "On",
    "Onboarding",
    "OpenSession",
    "PeriodicJob",
    "Principal",
    "Principals",
    "ProtocolRequest",
    "ProtocolUsage",
    "Protocols",
    "Quotas",
    "Refused",
    "RegisterModels",
    "Rerun",
    "Retention",
    "Role",
    "Rule",
    "Runs",
    "SaveSearch",
    "SavedSearches",
    "Scope",
    "Seed",
    "Sessions",
    "Starter",
    "Statistics",
    "StatusUsage",
    "Studies",
    "StudyView",
    "Survey",
    "Teams",
    "TimeUsage",
    "Totals",
    "TrialColumns",
    "TrialCurve",
    "Usage",
    "UsageReport",
    "Visit",
    "Vocabulary",
    "Waits",
    "role_of",
    "with_lines",
]
