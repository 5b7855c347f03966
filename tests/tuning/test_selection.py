"""The winner's curse and its warnings."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest

from wichtel.domain import Expectation, Float, Objective, RunState, Space, StudySpec, Trial
from wichtel.tuning.guards.selection import Confirmation, expected_best, noise, selection_warnings

SPEC = StudySpec(
    id="s", name="s", space=Space({"x": Float(0, 1)}), objectives=(Objective(metric="auc", better=Expectation.LARGER),), entry="m:f"
)


def trial(number: int, values: list[float]) -> Trial:
    mean = sum(values) / len(values)
    samples = {"auc": values} if len(values) > 1 else {}
    now = datetime.now(UTC)
    return Trial(study="s", number=number, config={"x": 0.5}, state=RunState.SUCCEEDED, metrics={"auc": mean}, samples=samples, created=now)


def best(trials: list[Trial]) -> Trial:
    return max(trials, key=lambda t: t.metrics["auc"])


def test_the_expected_best_of_many_is_that_of_the_normal_distribution():
    random = Random(0)
    for n in (2, 10, 100):
        simulated = sum(max(random.gauss(0, 1) for _ in range(n)) for _ in range(2000)) / 2000
        assert expected_best(n) == pytest.approx(simulated, abs=0.08)


def test_noise_is_that_of_a_trials_mean():
    random = Random(1)
    trials = [trial(i, [i + random.gauss(0, 0.6) for _ in range(4)]) for i in range(200)]
    assert noise(trials, "auc") == pytest.approx(0.3, rel=0.1)
    assert noise([trial(0, [1.0])], "auc") is None


def test_a_lead_that_luck_explains_is_warned_of():
    random = Random(2)
    same = [trial(i, [random.gauss(0.7, 0.02) for _ in range(3)]) for i in range(50)]
    (warning,) = selection_warnings(SPEC, same, best(same), None)
    assert "chance alone" in warning
    better = [*same, trial(50, [0.9, 0.91, 0.89])]
    assert selection_warnings(SPEC, better, best(better), None) == []


def test_many_single_trials_are_warned_of_and_few_are_not():
    many = [trial(i, [0.5 + i / 1000]) for i in range(150)]
    assert "confirm=3" in selection_warnings(SPEC, many, best(many), None)[0]
    assert selection_warnings(SPEC, many[:20], best(many[:20]), None) == []


def test_a_confirmation_says_whether_the_search_was_optimistic():
    many = [trial(i, [0.5 + i / 1000]) for i in range(150)]
    held = Confirmation(trial=149, metric="auc", searched=0.649, values=(0.648, 0.651, 0.65))
    assert selection_warnings(SPEC, many, best(many), held) == []
    fell = Confirmation(trial=149, metric="auc", searched=0.649, values=(0.60, 0.61, 0.605))
    (warning,) = selection_warnings(SPEC, many, best(many), fell)
    assert "optimistic" in warning
    assert "0.605" in warning
    failed = Confirmation(trial=149, metric="auc", searched=0.649, values=(), failures=("out of memory",))
    assert "out of memory" in selection_warnings(SPEC, many, best(many), failed)[0]
