from __future__ import annotations

import pytest

from wichtel.plans import SourceTree

JOB = """
[dataset]
name = "flights"
label = "late"
[windows]
train = [2013-01-01, 2013-10-01]
evaluation = [2013-10-01, 2013-11-01]
"""

# Six lines: the plan of a test begins at line 7.
TOLD = """from wichtel import plan, tunable
plan.features([plan.Numeric("distance")])
plan.metadata(primary_metric="auc", better="larger", tower="deep")
class Model:
    def fit(self, x, y): ...
    def predict(self, x): ...
"""


@pytest.fixture
def make_tree():
    """Make trees of plans without a framework, which load in a quarter of a second.

    Unless told not to, ``plan.py`` begins with features, metadata and a class `Model`.
    """

    def make(plan: str, *, told: bool = True, job: str = JOB, **files: str) -> SourceTree:
        sources = {"plan.py": (TOLD if told else "") + plan, "job.toml": job, **files}
        return SourceTree({path: text.encode() for path, text in sources.items()})

    return make
