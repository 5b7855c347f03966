from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import (
    Constraint,
    Expectation,
    ExperimentConfig,
    Int,
    Intent,
    InvalidInput,
    Job,
    Objective,
    Order,
    QuotaGroup,
    Resources,
    RetryPolicy,
    Space,
    StudySpec,
    Trial,
    Window,
    check_name,
)

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def window(start: int, end: int) -> Window:
    return Window(start=DAY + timedelta(days=start), end=DAY + timedelta(days=end))


def job(**fields: Any) -> Job:
    return Job(**{"dataset": "flights", "label": "late", "train": window(0, 10), "evaluation": window(10, 12), **fields})


def study(**fields: Any) -> StudySpec:
    objective = Objective(metric="auc", better=Expectation.LARGER)
    return StudySpec(**{"id": "s-1", "name": "s", "space": Space({"n": Int(1, 9)}), "objectives": (objective,), "entry": "m:f", **fields})


@pytest.mark.parametrize("name", ["a", "flights/late", "A-1_b.c/d", "0", "x" * 200])
def test_names(name: str) -> None:
    assert check_name(name, what="model") == name


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", ".a", "-a", "a b", "a\n", "ä", "x" * 201, None, 3])
def test_what_cannot_be_a_name(name: Any) -> None:
    with pytest.raises(InvalidInput, match="cannot name a model"):
        check_name(name, what="model")


def test_windows_need_zones_and_an_order() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(InvalidInput, match="time zone"):
        Window(start=naive, end=DAY)
    with pytest.raises(InvalidInput, match="ends before it starts"):
        window(2, 2)
    # The same moment in another zone.
    with pytest.raises(InvalidInput, match="ends before it starts"):
        Window(start=DAY, end=DAY.astimezone(timezone(timedelta(hours=5))))


@given(st.lists(st.integers(0, 8), min_size=6, max_size=6))
def test_a_job_scores_only_on_what_comes_later(days: list[int]) -> None:
    a, b, c, d, e, f = days
    if not (a < b and c < d and e < f):
        return
    windows = {"train": window(a, b), "evaluation": window(c, d), "holdout": window(e, f)}
    if b <= c and d <= e:
        assert job(**windows).holdout == windows["holdout"]
    else:
        with pytest.raises(InvalidInput, match="after those it learnt from"):
            job(**windows)


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": 0},
        {"passes": 0},
        {"sample": 0},
        {"sample": 1.5},
        {"sample": float("nan")},
        {"load_seconds": 0},
        {"train_seconds": -1},
        {"order": "backwards"},
    ],
)
def test_bad_jobs_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"job\.toml"):
        job(**fields)


def test_words_become_enums() -> None:
    assert job(order="shuffled").order is Order.SHUFFLED
    assert Objective(metric="m", better="smaller").better is Expectation.SMALLER  # type: ignore[arg-type]


def test_an_objective_turns_values_so_that_smaller_is_better() -> None:
    assert Objective(metric="m", better=Expectation.LARGER).loss(2) == -2
    assert Objective(metric="m", better=Expectation.SMALLER).loss(2) == 2
    with pytest.raises(InvalidInput, match="metric"):
        Objective(metric="", better=Expectation.LARGER)


@given(st.integers(0, 2**63), st.integers(0, 10**6))
def test_trial_seeds_are_stable_and_fit_in_31_bits(seed: int, number: int) -> None:
    drawn = study(seed=seed).trial_seed(number)
    assert 0 <= drawn < 2**31
    assert drawn == study(seed=seed, trials=3, name="other").trial_seed(number)


def test_trial_seeds_differ_between_trials_and_studies_and_never_change_between_versions() -> None:
    seeds = [study(seed=s).trial_seed(n) for s in range(10) for n in range(1000)]
    assert len(set(seeds)) > 9_990
    # Studies of earlier versions resume to the same sequence.
    assert [study(seed=1).trial_seed(n) for n in range(3)] == [80596716, 811288218, 2026911395]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"trials": 0}, "0 trials"),
        ({"workers": 0}, "0 workers"),
        ({"objectives": ()}, "objective"),
        ({"enqueued": ({"n": 10},)}, "outside"),
        ({"enqueued": ({"m": 1},)}, "no parameter 'm'"),
    ],
)
def test_bad_studies_are_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        study(**fields)


def test_a_trials_run_is_named_after_it() -> None:
    trial = Trial(study="s-1", number=3, config={}, created=DAY)
    assert trial.run() == "s-1/3"
    assert trial.run(2) == "s-1/3/2"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Resources(cpus=-1),
        lambda: Resources(gpus=-0.5),
        lambda: Resources(memory_bytes=0),
        lambda: RetryPolicy(max_attempts=0),
        lambda: QuotaGroup(name="ads", max_in_progress=-1),
        lambda: ExperimentConfig(intent=INTENT, replicates=0),
        lambda: ExperimentConfig(intent=INTENT, replicates=101),
        lambda: ExperimentConfig(intent=INTENT, baseline_max_age_days=-1),
        lambda: ExperimentConfig(intent=INTENT, baseline_max_age_days=float("nan")),
        lambda: ExperimentConfig(intent=INTENT, priority=2**31),
        lambda: ExperimentConfig(intent=INTENT, seed=2**64),
    ],
)
def test_bad_amounts_are_refused(make: Any) -> None:
    with pytest.raises(InvalidInput):
        make()


INTENT = Intent(name="i", constraints=(Constraint(metric="auc", expectation=Expectation.LARGER),), primary="auc")


def test_values_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        job().seed = 3  # type: ignore[misc]
