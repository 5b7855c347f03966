from __future__ import annotations

import math
import re
import statistics
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Algorithm, Expectation, InvalidInput
from wichtel.testing import pruners as suite
from wichtel.tuning.pruners import ASHA, Extrapolation, Hyperband, Median, Patience, Percentile, Threshold
from wichtel.tuning.registry import make_pruner, pruner_names


def test_the_built_in_pruners_are_registered():
    assert {"asha", "extrapolation", "hyperband", "median", "patience", "percentile", "threshold"} <= set(pruner_names())


@pytest.mark.parametrize("name", suite.registered())
@pytest.mark.parametrize("check", suite.CHECKS, ids=lambda c: c.__name__)
def test_conformance(name, check):
    check(suite.registered()[name])


@given(seed=st.integers(0, 10**6), trials=st.integers(1, 15))
@settings(max_examples=40, deadline=None)
def test_the_median_rule_compares_averages_of_those_who_came_as_far(seed, trials):
    curves, pruner = suite.curves_of([]), Median(min_trials=2)
    reports: dict[int, list[tuple[int, float]]] = {}
    for trial, step, value in suite.random_events(seed, trials):
        if step is None:
            curves.end(trial)
            continue
        curves.add(trial, step, value)
        reports.setdefault(trial, []).append((step, value))
        averages = [
            statistics.fmean(v for s, v in r if s <= step) for other, r in reports.items() if other != trial and r[0][0] <= step <= r[-1][0]
        ]
        own = statistics.fmean(v for _, v in reports[trial])
        expected = len(averages) >= 2 and own < statistics.median(averages) - 1e-12
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


def test_whoever_only_guesses_does_not_get_by_with_the_best_of_many_guesses():
    rng = np.random.default_rng(0)
    guesses = [(t, s, 0.1 + rng.normal(0, 0.01)) for t in range(10) for s in range(1, 21)]
    learn = [(10 + t, s, 0.1 + 0.001 * s) for t in range(11) for s in range(1, 21)]
    curves, last = suite.curves_of(learn), {}
    for trial, step, value in guesses:
        curves.add(trial, step, value)
        last[trial] = Median().decide(curves, trial)
    assert all(decision.stop for decision in last.values())


def test_trials_that_begin_together_are_told_apart_before_any_of_them_has_ended():
    curves = suite.curves_of([(t, 1, t / 10) for t in range(6)])
    assert [Median().decide(curves, t).stop for t in range(6)] == [True, True, True, False, False, False]


def test_the_reason_speaks_in_the_users_metric():
    events = [(t, 1, 0.9) for t in range(4)] + [(t, None, 0.0) for t in range(4)] + [(5, 1, 0.25)]
    decision = Median().decide(suite.curves_of(events), 5)
    assert decision.stop
    assert "0.25" in decision.reason
    assert "0.9" in decision.reason


def test_options_are_checked():
    with pytest.raises(InvalidInput, match="Did you mean 'median'"):
        make_pruner(Algorithm(name="medain"))
    with pytest.raises(InvalidInput, match="Did you mean 'min_trials'"):
        make_pruner(Algorithm(name="median", options={"min_trial": 1}))


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("asha", {"eta": 1}, "eta is 1"),
        ("hyperband", {"min_resource": 0}, "pruner 'hyperband'.*min_resource is 0"),
        ("hyperband", {"min_resource": 9, "max_resource": 3}, "max_resource is 3"),
        ("percentile", {"percentile": 100}, "percentile is 100"),
        ("median", {"min_trials": 0}, "pruner 'median'"),
        ("patience", {"steps": 0}, "steps is 0"),
        ("patience", {"min_delta": -1}, "min_delta is -1"),
        ("threshold", {"lower": 2, "upper": 1}, "nothing is at least 2 and at most 1"),
        ("extrapolation", {"probability": 0}, "probability is 0"),
        ("extrapolation", {"min_points": 2}, "min_points is 2"),
        ("extrapolation", {"horizon": 0}, "horizon is 0"),
    ],
)
def test_options_that_make_no_sense_are_told(name, options, told):
    with pytest.raises(InvalidInput, match=told):
        make_pruner(Algorithm(name=name, options=options))


@given(seed=st.integers(0, 10**6), percentile=st.floats(1, 99))
@settings(max_examples=30, deadline=None)
def test_the_percentile_rule_is_what_numpy_calls_the_percentile(seed, percentile):
    curves, pruner = suite.curves_of([], Expectation.SMALLER), Percentile(percentile=percentile, min_trials=1)
    for event in suite.random_events(seed, 10):
        trial = event[0]
        if suite.note(curves, event):
            step = curves[trial].last
            own = curves[trial].average(step)
            others = (curves[t] for t in range(10) if t != trial and t in curves)
            averages = [c.average(step) for c in others if c.steps[0] <= step <= c.last]
            expected = bool(averages) and own > np.percentile(averages, percentile) + 1e-12
            assert pruner.decide(curves, trial).stop == expected


def test_brackets_have_hyperbands_shares_of_trials_and_judge_at_steps_of_their_own():
    pruner = Hyperband(eta=3, max_resource=27)
    brackets = [pruner.bracket(t) for t in range(1000)]
    # 27, 12, 6 and 4 of each 49: ceil(n / (s + 1) · eta**s).
    assert [round(brackets.count(b) / 1000 * 49) for b in range(4)] == [27, 12, 6, 4]
    assert len({*brackets[:12]}) == 4, "each has trials soon"
    curves = suite.curves_of([])
    for trial in range(100):
        curves.add(trial, 1, float(-trial))
        decision = pruner.decide(curves, trial)
        assert decision.stop <= (brackets[trial] == 0), "only the first bracket judges at step 1"
        assert f"in bracket {brackets[trial] + 1} of 4" in decision.reason


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_each_bracket_is_successive_halving_of_its_own_trials(seed):
    pruner = Hyperband(eta=2, min_resource=2, max_resource=8)
    events = suite.random_events(seed, 30)
    for bracket, rung in enumerate((2, 4, 8)):
        alone, together, asha = suite.curves_of([]), suite.curves_of([]), ASHA(eta=2, min_resource=rung)
        for event in events:
            ours = pruner.bracket(event[0]) == bracket
            news = suite.note(together, event)
            if ours:
                suite.note(alone, event)
                assert not news or pruner.decide(together, event[0]).stop == asha.decide(alone, event[0]).stop


def test_patience_ends_with_the_steps_and_not_with_the_reports():
    curves, pruner = suite.curves_of([(0, 0, 0.5), (0, 10, 0.8), (0, 25, 0.7)]), Patience(steps=20)
    assert not pruner.decide(curves, 0).stop
    curves.add(0, 30, 0.79)
    decision = pruner.decide(curves, 0)
    assert decision.stop
    assert decision.reason == "by step 30 its best is not better by more than 0 than 20 steps before: score0 0.8 against 0.8"
    assert not Patience(steps=20, min_steps=31).decide(curves, 0).stop


def test_small_gains_do_not_outrun_patience():
    creeping = suite.curves_of([(0, s, 0.5 + 0.001 * s) for s in range(30)])
    assert Patience(steps=10, min_delta=0.02).decide(creeping, 0).stop
    assert not Patience(steps=10, min_delta=0.005).decide(creeping, 0).stop


def test_patience_goes_on_while_one_of_several_objectives_gets_better():
    better = (Expectation.LARGER, Expectation.SMALLER)
    assert not Patience(steps=5).decide(suite.curves_of([(0, s, (0.5, 9.0 - s)) for s in range(9)], *better), 0).stop
    assert Patience(steps=5).decide(suite.curves_of([(0, s, (0.5, 9.0 + s)) for s in range(9)], *better), 0).stop


def test_a_threshold_bounds_the_metric_itself():
    curves = suite.curves_of([(0, 1, 0.1), (1, 3, 0.1), (2, 3, 0.9), (3, 1, math.nan)])
    pruner = Threshold(lower=0.3, from_step=2)
    assert [pruner.decide(curves, t).stop for t in range(4)] == [False, True, False, True]
    assert pruner.decide(curves, 1).reason == "its score0 is 0.1 at step 3, below 0.3"
    assert "not a finite number" in pruner.decide(curves, 3).reason
    assert Threshold(upper=0.5).decide(curves, 2).stop
    two = suite.curves_of([(0, 1, (0.1, 7.0))], Expectation.LARGER, Expectation.SMALLER)
    assert Threshold(upper=5, metric="score1").decide(two, 0).stop
    with pytest.raises(InvalidInput, match="Did you mean 'score1'"):
        Threshold(upper=5, metric="score2").decide(two, 0)


def _learning(asymptotes, steps, noise=0.0):
    """Curves that fall as a power of the step, of trials that ended."""
    random = Random(1)
    return [
        event
        for t, a in enumerate(asymptotes)
        for event in [*((t, s, a + s**-0.7 + noise * random.gauss(0, 1)) for s in range(1, steps + 1)), (t, None, 0.0)]
    ]


def test_extrapolation_stops_who_will_not_get_there_and_nobody_who_will():
    smaller, pruner = Expectation.SMALLER, Extrapolation()
    done = _learning([0.2, 0.3, 0.4, 0.25], 50, noise=0.005)
    fates = {}
    for asymptote in (0.1, 0.19, 0.6, 1.0):
        curves = suite.curves_of(done, smaller)
        events = _learning([asymptote], 50, noise=0.005)[:-1]
        fates[asymptote] = [suite.note(curves, (9, s, v)) and pruner.decide(curves, 9).stop for _, s, v in events]
    assert not any(fates[0.1] + fates[0.19])
    assert any(fates[0.6][:20])
    assert any(fates[1.0][:10])


def test_a_forecast_is_told_with_its_numbers():
    curves = suite.curves_of([*_learning([0.2] * 4, 50), *((9, s, 0.9 + 0.01 / s) for s in range(1, 9))], Expectation.SMALLER)
    decision = Extrapolation().decide(curves, 9)
    assert decision.stop
    assert re.fullmatch(
        r"at step 50 it beats the best with probability \S+: score0 0\.90\d* ± \S+ against 0\.2647; less than 0\.05", decision.reason
    )


def test_what_never_changes_does_not_keep_a_trial_from_being_judged_by_the_other_objective():
    """The size of a model, say, which is the same for all."""
    bad = ((9, s, (0.9 + 0.01 / s, 3.0)) for s in range(1, 9))
    events = [(t, s, v if s is None else (v, 3.0)) for t, s, v in _learning([0.2] * 4, 50)]
    assert Extrapolation().decide(suite.curves_of([*events, *bad], Expectation.SMALLER, Expectation.SMALLER), 9).stop


@pytest.mark.parametrize("name", ["asha", "median", "percentile", "hyperband", "extrapolation"])
def test_who_is_dominated_by_all_is_stopped(name):
    events = []
    for step in range(1, 12):
        events += [(t, step, (1.0 + t / 40 + step, 2.0 - t / 40 + step) if t != 13 else (0.1, 0.1)) for t in range(40)]
    pruner = make_pruner(Algorithm(name=name, options={"max_resource": 3} if name == "hyperband" else {}))
    curves = suite.curves_of(
        [*((t, s, v) for t, s, v in events if t != 13), *((t, None, 0.0) for t in range(40))], *[Expectation.LARGER] * 2
    )
    decisions = []
    for trial, step, values in events:
        if trial == 13:
            curves.add(trial, step, values)
            decisions.append(pruner.decide(curves, trial))
    stopped = next(d for d in decisions if d.stop)
    assert name == "extrapolation" or "front 2" in stopped.reason
    assert "front 1" in stopped.reason or name == "extrapolation"


def test_a_horizon_however_far_leaves_a_forecast_a_number():
    for horizon in (10**6, 10**10, 10**15):
        curves = suite.curves_of([(0, 1, 0.1), (0, None, 0.0)], Expectation.SMALLER)
        for step in range(1, 31):
            curves.add(1, step, 5 + math.exp(-step / 5))
        decision = Extrapolation(horizon=horizon, min_trials=1).decide(curves, 1)
        assert decision.stop
        assert "nan" not in decision.reason
