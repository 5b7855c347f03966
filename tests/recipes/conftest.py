from __future__ import annotations

import pytest

from wichtel.domain import Analysis, Metadata, Tunable
from wichtel.plans import SourceTree
from wichtel.plans.job import parse_job

JOB = b"""# Late flights.
[dataset]
name = "flights"  # registered in March
label = "late"
[windows]
train = [2013-01-01, 2013-10-01]
evaluation = [2013-10-01, 2013-11-01]
[training]
batch_size = 1_024
"""

TUNABLES = (
    Tunable(name="width", kind="int", default=32, candidates=(16, 32, 64), place="plan.py:5"),
    Tunable(name="deep/units", kind="int", default=8, min=1, max=64),
    Tunable(name="rate", kind="float", default=0.1, min=0.001, max=1.0, log=True),
    Tunable(name="deep", kind="bool", default=False),
    Tunable(name="kind", kind="choice", default="relu", candidates=("relu", 'quo"te', None)),
)


@pytest.fixture
def make_tree():
    """Make a tree with this ``plan.py``, and other files by path."""

    def make(plan: str | bytes, **files: str) -> SourceTree:
        source = plan if isinstance(plan, bytes) else plan.encode()
        return SourceTree({"plan.py": source, "job.toml": JOB, **{path: text.encode() for path, text in files.items()}})

    return make


@pytest.fixture
def analysis():
    """Of a plan with tunables of every kind."""
    metadata = Metadata(primary_metric="auc", better="larger")
    return Analysis(trainer="keras", features=(), tunables=TUNABLES, metadata=metadata, job=parse_job(JOB), model_name="net")
