"""The lines that a plan is offered are right for it, whatever it looks like."""

from __future__ import annotations

import ast
from datetime import UTC, datetime

import pytest

from wichtel.domain import Analysis, Dataset, Expectation, Metadata
from wichtel.experiments import with_lines
from wichtel.experiments.onboarding import onboardings
from wichtel.plans.job import parse_job
from wichtel.protocols import get_protocol

JOB = b"""[dataset]
name = "d"
label = "y"
[windows]
train = [2020-01-01T00:00:00Z, 2020-01-02T00:00:00Z]
evaluation = [
  2020-01-02T00:00:00Z,
  2020-01-03T00:00:00Z,
]
[training]
seed = 1
"""


def found(job: bytes = JOB) -> Analysis:
    metadata = Metadata(primary_metric="auc", better=Expectation.LARGER)
    return Analysis(trainer="sklearn", features=(), tunables=(), metadata=metadata, job=parse_job(job))


def dataset(day: int) -> Dataset:
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, day, tzinfo=UTC)
    return Dataset(name="d", digest="0", time_column="t", columns={}, rows=1, start=start, end=end, created=start)


@pytest.mark.parametrize("day", [3, 4, 9])
def test_a_holdout_window_has_examples(day: int) -> None:
    job = parse_job(with_lines(found(), {"plan.py": b"", "job.toml": JOB}, dataset(day))["job.toml"])
    assert job.holdout is not None
    assert job.holdout.start >= job.evaluation.end
    assert job.holdout.start < dataset(day).end
    assert job.seed == 1


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        ("from wichtel import plan\nwidth = 32\n", 'width = tunable.Int("width", default=32, min=8, max=128, log=True)'),
        ("import keras\nx = keras.Dense(64)(1)\n", 'x = keras.Dense(tunable.Int("dense", default=64, min=16, max=256, log=True))(1)'),
        ("from wichtel import (\n    plan,\n)\nrate = 0.5\n", 'rate = tunable.Float("rate", default=0.5, min=0.05, max=1, log=True)'),
    ],
)
def test_numbers_become_tunables_and_the_plan_still_parses(plan: str, line: str) -> None:
    text = with_lines(found(), {"plan.py": plan.encode(), "job.toml": JOB}, None)["plan.py"].decode()
    assert line in text.splitlines()
    imported = [alias.name for node in ast.parse(text).body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert imported.count("tunable") == 1


@pytest.mark.parametrize(
    "plan", ["seed = 42\n", "def f(:\n", "from wichtel import plan\nplan.features([plan.Categorical('c', buckets=8)])\n"]
)
def test_where_nobody_can_tell_nothing_is_offered(plan: str) -> None:
    files = {"plan.py": plan.encode(), "job.toml": JOB}
    assert with_lines(found(), files, None)["plan.py"] == files["plan.py"]
    [told] = onboardings([get_protocol("TuneHyperparameters")], found(), files, None)
    assert [bool(lack.diff) for lack in told.lacks] == [True, False]
