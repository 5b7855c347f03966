"""What model code imports, and how it is loaded.

Owns: ``plan`` and ``tunable`` (the two modules that a user's ``plan.py`` imports), source trees, ``job.toml``, fresh processes with limits.
May import: `store`, `domain`. Model frameworks are never imported here: they are looked at when the user's code has imported them.
Start with `load.py`, then `fresh.py` (the process around it). `load_plan` runs in a fresh process only; `run_fresh` makes one.
To run something else with a plan in a fresh process, copy `entries.py`.
"""

from wichtel.plans import plan, tunable
from wichtel.plans.blame import users_code
from wichtel.plans.child import Child
from wichtel.plans.context import Mode, UserMetric
from wichtel.plans.entries import analyse, analyse_tree, versions
from wichtel.plans.fresh import Fresh, run_fresh
from wichtel.plans.job import read_job
from wichtel.plans.load import LoadedPlan, load_plan
from wichtel.plans.patch import Patch, changes, within
from wichtel.plans.space import search_space
from wichtel.plans.tree import SourceTree

__all__ = [
    "Child",
    "Fresh",
    "LoadedPlan",
    "Mode",
    "Patch",
    "SourceTree",
    "UserMetric",
    "analyse",
    "analyse_tree",
    "changes",
    "load_plan",
    "plan",
    "read_job",
    "run_fresh",
    "search_space",
    "tunable",
    "users_code",
    "versions",
    "within",
]
