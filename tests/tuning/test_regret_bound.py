from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from wichtel.domain import InvalidInput, RunState
from wichtel.testing import terminators as suite
from wichtel.tuning.ports import Result
from wichtel.tuning.terminators.regret_bound import RegretBound


def _history(n, noise, seed=0, near=0.0):
    """Trials at random, and from the 10th on with probability `near` close to the best, which is (0.3, 0.6)."""
    random = Random(seed)
    made = []
    for number in range(n):
        x, y = random.random(), random.random()
        if number >= 10 and random.random() < near:
            x, y = 0.3 + 0.05 * random.gauss(0, 1), 0.6 + 0.05 * random.gauss(0, 1)
        x, y = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
        loss = (x - 0.3) ** 2 + (y - 0.6) ** 2 + random.gauss(0, noise)
        made.append(Result(number=number, config={"x": x, "y": y}, state=RunState.SUCCEEDED, losses=(loss,)))
    return made


def test_a_study_ends_when_what_is_left_is_less_than_its_noise():
    terminator = RegretBound(suite.problem())
    history = _history(120, 0.1, near=0.5)
    assert not terminator.decide(history[:40]).stop
    decision = terminator.decide(history)
    assert decision.stop
    assert "no configuration is likely to better score0 by more than" in decision.reason


def test_a_study_goes_on_while_much_may_be_left():
    # Without noise, and with the best corner not looked at.
    history = [r for r in _history(120, 0.0) if r.config["x"] > 0.5]
    decision = RegretBound(suite.problem(), epsilon=1e-3).decide(history)
    assert not decision.stop
    assert "may still get better" in decision.reason


def test_epsilon_is_in_the_unit_of_the_metric():
    history = _history(60, 0.0, near=0.6)
    large = [replace(r, losses=(1e6 * r.losses[0],)) for r in history]
    assert RegretBound(suite.problem(), epsilon=0.02).decide(history).stop
    assert RegretBound(suite.problem(), epsilon=0.02e6).decide(large).stop
    assert not RegretBound(suite.problem(), epsilon=0.02).decide(large).stop


def test_it_is_judged_now_and_then():
    terminator = RegretBound(suite.problem(), every=10)
    history = _history(49, 0.05)
    assert terminator.decide(history[:40]) == terminator.decide(history)
    assert "fewer than 30" in terminator.decide(history[:29]).reason


@pytest.mark.parametrize(("options", "told"), [({"epsilon": -1.0}, "epsilon is -1"), ({"every": 0}, "every at least 1")])
def test_options_that_make_no_sense_are_told(options, told):
    with pytest.raises(InvalidInput, match=told):
        RegretBound(suite.problem(), **options)


def test_it_watches_one_objective():
    with pytest.raises(InvalidInput, match="one objective"):
        RegretBound(suite.problem(objectives=2))
