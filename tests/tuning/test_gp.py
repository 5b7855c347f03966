from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Bool, Choice, Fixed, Float, Int, InvalidInput, MetricBound, Objective, RunState, Space, StudySpec
from wichtel.testing import searchers as suite
from wichtel.tuning.models.candidates import Candidates
from wichtel.tuning.models.encoding import Encoding
from wichtel.tuning.models.gaussian_process import Features, Posterior, fit, log_expected_improvement, warp
from wichtel.tuning.models.surrogate import Surrogate
from wichtel.tuning.ports import Problem, Result
from wichtel.tuning.searchers.gp import GaussianProcess

CUBE = Space({"x": Float(-5, 5), "y": Float(-5, 5)})


def _problem(space, *, objectives=1, constraints=0, seed=0):
    return Problem.of(
        StudySpec(
            id="s",
            name="s",
            space=space,
            objectives=tuple(Objective(metric=f"m{i}", better="smaller") for i in range(objectives)),
            constraints=tuple(MetricBound(metric=f"b{i}", high=0.0) for i in range(constraints)),
            entry="m:f",
            seed=seed,
        )
    )


def _search(searcher, function, trials, *, pending=0):
    """What each configuration came to; `pending` trials are always awaited."""
    configs, losses = [], []
    while len(losses) < trials:
        while len(configs) <= len(losses) + pending:
            configs.append(searcher.sample(1)[0].config)
        number = len(losses)
        returned = function(configs[number])
        loss, violations = returned if isinstance(returned, tuple) else (returned, ())
        losses.append(loss)
        state = RunState.FAILED if loss is None else RunState.SUCCEEDED
        values = () if loss is None else loss if isinstance(loss, tuple) else (loss,)
        searcher.update([Result(number=number, config=configs[number], state=state, losses=values, violations=violations)])
    return configs[:trials], losses


def _bowl(c):
    return (c["x"] - 1) ** 2 + (c["y"] + 2) ** 2


def test_it_comes_near_the_minimum_with_pending_trials():
    _, losses = _search(GaussianProcess(_problem(CUBE)), _bowl, 40, pending=3)
    assert min(losses) < 0.01


def test_neither_unit_nor_outliers_matter():
    def far(c):
        return 1e12 if c["x"] < -3 else 1e-6 * _bowl(c)

    _, losses = _search(GaussianProcess(_problem(CUBE)), far, 40)
    assert min(losses) < 1e-6 * 0.05


@pytest.mark.parametrize(("objectives", "constraints"), [(1, 1), (2, 0)])
def test_numbers_at_the_end_of_their_range_are_numbers(objectives, constraints):
    searcher = GaussianProcess(suite.problem(CUBE, objectives=objectives, constraints=constraints), startup=4)
    ends = [1.7e308, -1.7e308, 1e-300, 0.0, 1.0, 5e-324]
    for number in range(12):
        (suggestion,) = searcher.sample(1)
        losses, violations = (ends[number % 6], ends[number % 5])[:objectives], (abs(ends[number % 4]),) * constraints
        done = Result(number=number, config=suggestion.config, state=RunState.SUCCEEDED, losses=losses, violations=violations)
        searcher.update([done])


def test_choices_and_numbers_that_exist_only_sometimes():
    space = Space(
        {
            "kind": Choice(["a", "b", "c"]),
            "x": Float(0, 1, when={"kind": ["b"]}),
            "n": Int(1, 1000, log=True),
            "flag": Bool(),
            "fixed": Fixed("v"),
            "y": Float(0, 1, when={"fixed": ["v"], "flag": [True]}),
        }
    )

    def function(c):
        return (1.0 if c["kind"] != "b" else abs(c["x"] - 0.7)) + abs(math.log10(c["n"]) - 2) + (c["y"] if c["flag"] else 0.5)

    _, losses = _search(GaussianProcess(_problem(space)), function, 50)
    assert min(losses) < 0.1


def test_pending_trials_keep_apart():
    searcher, random = GaussianProcess(_problem(CUBE)), Random(0)
    _search(searcher, lambda c: _bowl(c) + random.gauss(0, 5), 20)
    asked = np.array([[s.config["x"], s.config["y"]] for s in searcher.sample(6)])
    distances = np.linalg.norm(asked[:, None] - asked[None], axis=2)[np.triu_indices(6, 1)]
    assert distances.min() > 0.02


def test_it_keeps_away_from_what_fails():
    _, losses = _search(GaussianProcess(_problem(CUBE)), lambda c: None if c["x"] < 0 else _bowl(c), 40)
    assert sum(loss is None for loss in losses[15:]) <= 6


def test_a_stopped_trial_is_no_better_than_most_of_those_that_finished():
    searcher, left = GaussianProcess(_problem(CUBE)), []
    for number in range(30):
        c = searcher.sample(1)[0].config
        left.append(c["x"] < 0)
        # Where x is small, the first step looks far better than any last one.
        state, loss = (RunState.STOPPED, -100.0) if c["x"] < 0 else (RunState.SUCCEEDED, _bowl(c))
        searcher.update([Result(number=number, config=c, state=state, losses=(loss,), step=1)])
    assert sum(left[15:]) <= 4


def test_it_finds_the_best_that_is_feasible():
    # At most x + y = -4, where the least is 4.5.
    function = lambda c: (_bowl(c), (max(0.0, c["x"] + c["y"] + 4),))  # noqa: E731
    configs, losses = _search(GaussianProcess(_problem(CUBE, constraints=1)), function, 50)
    best = min(loss for c, loss in zip(configs, losses, strict=True) if c["x"] + c["y"] <= -4)
    assert 4.5 <= best < 4.8


def test_it_looks_for_something_feasible_first():
    # One part in 400 is feasible.
    function = lambda c: (_bowl(c), (max(0.0, math.hypot(c["x"] - 4, c["y"] - 4) - 0.28),))  # noqa: E731
    configs, _ = _search(GaussianProcess(_problem(CUBE, constraints=1)), function, 40)
    assert any(math.hypot(c["x"] - 4, c["y"] - 4) <= 0.28 for c in configs)


def test_a_trial_that_was_stopped_before_it_measured_a_constraint_says_nothing_of_it():
    encoding = Encoding(Space({"x": Float(0, 1)}))

    def worth_at(place, left):
        surrogate = Surrogate(encoding, constraints=1)
        for number, x in enumerate(np.linspace(0, 1, 21).tolist()):
            # Left of the middle all were stopped, and on the right all were feasible.
            state, violation = (RunState.STOPPED, left) if x < 0.5 else (RunState.SUCCEEDED, 0.0)
            surrogate.add(Result(number=number, config={"x": x}, state=state, losses=(abs(x - 0.5),), violations=(violation,)))
        acquisition, _ = surrogate.worth(np.zeros((0, 1)), np.random.default_rng(0))
        return acquisition(np.array([[place]]))[0]

    assert worth_at(0.46, math.inf) > worth_at(0.46, 5.0) + 0.2
    assert worth_at(0.46, math.inf) == pytest.approx(worth_at(0.46, 0.0), abs=0.2)


def test_two_objectives_are_traded_off_along_the_whole_front():
    function = lambda c: (_bowl(c), (c["x"] + 2) ** 2 + (c["y"] - 1) ** 2)  # noqa: E731
    _, losses = _search(GaussianProcess(_problem(CUBE, objectives=2)), lambda c: (function(c), ()), 45)
    front = [a for a in losses if not any(b != a and b[0] <= a[0] and b[1] <= a[1] for b in losses)]
    # The front runs from (0, 18) to (18, 0) with √a + √b = √18.
    assert min(a[0] for a in front) < 1
    assert min(a[1] for a in front) < 1
    assert sum(math.sqrt(a) + math.sqrt(b) < 1.1 * math.sqrt(18) for a, b in front) >= 8


def test_results_after_a_long_row_of_failures():
    searcher = GaussianProcess(_problem(CUBE, constraints=1))
    for number in range(59):
        c = searcher.sample(1)[0].config
        losses, violations = ((_bowl(c),), (0.0,)) if number >= 55 else ((), ())
        state = RunState.SUCCEEDED if losses else RunState.FAILED
        searcher.update([Result(number=number, config=c, state=state, losses=losses, violations=violations)])
    assert len(searcher.sample(3)) == 3


def test_many_results_are_thinned():
    searcher = GaussianProcess(_problem(CUBE), points=30)
    random = Random(0)
    for number in range(90):
        config = CUBE.sample(random)
        searcher.update([Result(number=number, config=config, state=RunState.RUNNING)])
        searcher.update([Result(number=number, config=config, state=RunState.SUCCEEDED, losses=(_bowl(config),))])
    assert all(_bowl(s.config) < 5 for s in searcher.sample(3))


@given(seed=st.integers(0, 10**6), cut=st.integers(0, 30), workers=st.integers(1, 5), space=st.sampled_from(sorted(suite.SPACES)))
@settings(max_examples=8, deadline=None)
def test_a_resumed_searcher_goes_on_as_the_first_would_have(seed, cut, workers, space):
    space = suite.SPACES[space]
    original = suite.Simulation(GaussianProcess(suite.problem(space, seed)), space, workers=workers, seed=seed)
    original.run(cut)
    resumed = GaussianProcess(suite.problem(space, seed))
    resumed.update([original.begun(e) if isinstance(e, int) else e for e in original.log])
    assert resumed.sample(2) == original.searcher.sample(2)


def test_options_are_checked():
    with pytest.raises(InvalidInput, match="startup must be at least 2"):
        GaussianProcess(_problem(CUBE), startup=1)


def test_a_space_of_one_configuration():
    searcher = GaussianProcess(_problem(Space({"x": Fixed(1)})))
    assert [s.config for s in searcher.sample(3)] == [{"x": 1}]


# The parts that it stands on.


@given(space=st.sampled_from(sorted(suite.SPACES)), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_candidates_are_legal_and_neighbours_differ(space, seed):
    encoding = Encoding(suite.SPACES[space])
    candidates, random = Candidates(encoding), np.random.default_rng(seed)
    drawn = candidates.draw(5, random)
    near, origins = candidates.around(drawn, random)
    for vector in [*drawn, *near]:
        config = encoding.decode(vector)
        suite.SPACES[space].check(config)
        assert np.array_equal(np.isnan(encoding.encode(config)), np.isnan(vector))
        assert np.allclose(encoding.encode(config), vector, equal_nan=True)
    for vector, origin in zip(near, origins, strict=True):
        assert encoding.space.key(encoding.decode(vector)) != encoding.space.key(encoding.decode(drawn[origin]))


def test_the_fit_tells_what_matters_from_what_does_not_and_signal_from_noise():
    random = np.random.default_rng(0)
    vectors = random.random((60, 3))
    features = Features((0, 0, 0))
    values = np.sin(6 * vectors[:, 0]) + 0.1 * random.normal(size=60)
    values = (values - values.mean()) / values.std()
    found = fit(features.squares(features(vectors)), values)
    assert found.lengths[0] < 0.3 * found.lengths[1:].min()
    assert 0.005 < found.noise < 0.06


def test_the_posterior_goes_through_the_data_and_pending_points_take_uncertainty_away():
    random = np.random.default_rng(1)
    features = Features((0, 3))
    points = features(np.column_stack([random.random(12), random.integers(0, 3, 12)]))
    targets = random.normal(size=12)
    found = fit(features.squares(points), targets)
    exact = type(found)(found.lengths, found.scale, 1e-8)
    nothing = np.zeros((0, points.shape[1]))
    mean, deviation = Posterior(points, targets, nothing, features.owners, exact)(points)
    assert np.allclose(mean, targets, atol=1e-3)
    assert deviation.max() < 0.01
    there = features(np.array([[0.5, 1.0]]))
    before = Posterior(points, targets, nothing, features.owners, exact)(there)
    after = Posterior(points, targets, there, features.owners, exact)(there)
    assert after[0] == pytest.approx(before[0])
    assert after[1] < 0.05 * before[1]


def test_the_logarithm_of_the_expected_improvement_is_right_and_never_flat():
    from scipy.integrate import quad
    from scipy.stats import norm

    for mean, deviation, best in ((0.0, 1.0, 0.5), (1.0, 0.5, -0.5), (0.2, 2.0, 0.2)):
        expected = quad(lambda y, m=mean, s=deviation, b=best: (b - y) * norm.pdf(y, m, s), best - 40, best)[0]
        got = log_expected_improvement(np.array([mean]), np.array([deviation]), best)[0]
        assert got == pytest.approx(math.log(expected), rel=1e-6)
    z = -np.logspace(-1, 7, 60)
    values = log_expected_improvement(-z, np.ones(60), 0.0)
    assert np.isfinite(values).all()
    assert (np.diff(values) < 0).all()


@given(losses=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), scale=st.sampled_from([1e-200, 1e-9, 1.0, 1e9, 1e290]))
@settings(max_examples=60, deadline=None)
def test_warping_keeps_the_order_whatever_the_unit(losses, scale):
    losses = np.array([round(loss, 3) for loss in losses])
    targets = warp(losses)
    order = np.argsort(losses, kind="stable")
    assert (np.diff(targets[order]) >= 0).all()
    assert np.isfinite(targets).all()
    assert np.abs(targets).max() <= max(3.0, math.sqrt(len(losses)))
    assert np.allclose(warp(losses * scale), targets, atol=1e-6)
