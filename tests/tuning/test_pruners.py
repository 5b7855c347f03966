from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Algorithm, Expectation, InvalidInput, Objective
from wichtel.testing import pruners as suite
from wichtel.tuning.curves import Curves
from wichtel.tuning.pruners import ASHA, Median
from wichtel.tuning.registry import make_pruner, pruner_names


def test_the_built_in_pruners_are_registered():
    assert {"median", "asha"} <= set(pruner_names())


@pytest.mark.parametrize("name", suite.registered())
@pytest.mark.parametrize("check", suite.CHECKS, ids=lambda c: c.__name__)
def test_conformance(name, check):
    check(suite.registered()[name])


@given(seed=st.integers(0, 10**6), trials=st.integers(1, 15))
@settings(max_examples=40, deadline=None)
def test_the_median_rule_is_what_the_paper_says(seed, trials):
    curves, pruner = suite.curves_of([]), Median(min_trials=2)
    reports: dict[int, list[tuple[int, float]]] = {}
    ended = set()
    for trial, step, value in suite.random_events(seed, trials):
        if step is None:
            curves.end(trial)
            ended.add(trial)
            continue
        curves.add(trial, step, value)
        reports.setdefault(trial, []).append((step, value))
        averages = [
            statistics.fmean(v for s, v in r if s <= step)
            for other, r in reports.items()
            if other != trial and r[0][0] <= step and (r[-1][0] >= step or other in ended)
        ]
        best = max(v for _, v in reports[trial])
        expected = len(ended) >= 2 and bool(averages) and best < statistics.median(averages) - 1e-12
        assert pruner.decide(curves, trial).stop == expected


@given(seed=st.integers(0, 10**6), trials=st.integers(1, 30), eta=st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_asha_stops_exactly_who_is_not_in_the_top_of_a_rung(seed, trials, eta):
    curves, pruner = suite.curves_of([]), ASHA(eta=eta)
    reports: dict[int, list[tuple[int, float]]] = {}
    for trial, step, value in suite.random_events(seed, trials):
        if step is None:
            continue
        before = reports[trial][-1][0] if trial in reports else 0
        curves.add(trial, step, value)
        reports.setdefault(trial, []).append((step, value))
        expected = False
        for rung in (eta**k for k in range(10)):
            if before < rung <= step:
                at = sorted((next(v for s, v in r if s >= rung) for r in reports.values() if r[-1][0] >= rung), reverse=True)
                kept = len(at) // eta
                expected |= kept > 0 and value < at[kept - 1]
        assert pruner.decide(curves, trial).stop == expected


def test_a_trial_that_diverged_is_stopped():
    events = [(t, s, 1.0) for t in range(5) for s in (0, 1)] + [(t, None, 0.0) for t in range(5)]
    curves = suite.curves_of(events)
    curves.add(9, 0, float("nan"))
    decision = Median().decide(curves, 9)
    assert decision.stop
    assert "-inf" in decision.reason


def test_the_reason_speaks_in_the_users_metric():
    events = [(t, 1, 0.9) for t in range(4)] + [(t, None, 0.0) for t in range(4)] + [(5, 1, 0.25)]
    decision = Median().decide(suite.curves_of(events), 5)
    assert decision.stop
    assert "0.25" in decision.reason
    assert "0.9" in decision.reason


def test_what_a_further_attempt_repeats_is_not_counted_twice():
    curves = suite.curves_of([(0, 1, 0.5), (0, 2, 0.6)])
    assert not curves.add(0, 1, 0.4)
    assert curves[0].losses == [-0.5, -0.6]
    assert curves.add(0, 3, 0.7)


def test_options_are_checked():
    with pytest.raises(InvalidInput, match="Did you mean 'median'"):
        make_pruner(Algorithm(name="medain"))
    with pytest.raises(InvalidInput, match="Did you mean 'min_trials'"):
        make_pruner(Algorithm(name="median", options={"min_trial": 1}))
    with pytest.raises(InvalidInput, match="eta is 1"):
        make_pruner(Algorithm(name="asha", options={"eta": 1}))


@given(seed=st.integers(0, 10**6), at=st.integers(0, 15))
@settings(max_examples=30, deadline=None)
def test_columns_kept_up_to_date_equal_columns_built_afresh(seed, at):
    events = suite.random_events(seed)
    kept = Curves((Objective(metric="m", better=Expectation.LARGER),))
    kept.averages(at)
    kept.reached(at)
    for i, (trial, step, value) in enumerate(events):
        if step is None:
            kept.end(trial)
        else:
            kept.add(trial, step, value)
        if i % 7 == 0 or i == len(events) - 1:
            fresh = suite.curves_of(events[: i + 1])
            assert list(kept.averages(at)) == list(fresh.averages(at))
            assert list(kept.reached(at)) == list(fresh.reached(at))
