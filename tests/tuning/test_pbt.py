from __future__ import annotations

import pytest

from wichtel.domain import Algorithm, Choice, Float, Int, InvalidInput, RunState, Space
from wichtel.testing import searchers as suite
from wichtel.tuning.ports import Result
from wichtel.tuning.registry import make_searcher

SPACE = Space({"rate": Float(1e-4, 1, log=True), "width": Int(1, 8), "kind": Choice(["a", "b"])})


def _made(space=SPACE, seed=0, **options):
    return make_searcher(Algorithm(name="pbt", options={"population": 8, **options}), suite.problem(space, seed))


def _run(searcher, trials, loss, fate=lambda number: RunState.SUCCEEDED):
    suggestions = []
    for number in range(trials):
        (s,) = searcher.sample(1)
        suggestions.append(s)
        losses = (loss(number, suggestions),) if fate(number) is RunState.SUCCEEDED else ()
        ended = Result(number=number, config=s.config, state=fate(number), losses=losses, budget=s.budget, parent=s.parent, memory=s.state)
        searcher.update([ended])
    return suggestions


def _by_member(number, suggestions):
    """The member's own number, so that 0 is always the best and 7 the worst."""
    return suggestions[number].state["member"]


def test_members_go_on_from_themselves_and_the_last_from_the_first():
    suggestions = _run(_made(interval=5), 16, _by_member)
    assert [(s.budget, s.parent) for s in suggestions[:8]] == [(5, None)] * 8
    assert [(s.budget, s.parent) for s in suggestions[8:14]] == [(10, n) for n in range(6)]
    for s in suggestions[8:14]:
        assert s.config == suggestions[s.parent].config
    for s in suggestions[14:]:
        # The first two have come to 10 by now.
        assert s.parent in (8, 9)
        assert s.budget == 15
        assert s.config != suggestions[s.parent].config


def test_copied_numbers_stay_near_unless_they_are_drawn_anew():
    space = Space({"rate": Float(1e-4, 1, log=True), "width": Int(1, 100), "share": Float(-1, 1, step=0.1)})
    suggestions = _run(_made(space, resample=0.0, perturbation=0.5), 200, lambda number, all_: all_[number].config["rate"])
    copied = [s for s in suggestions if s.parent is not None and s.config != suggestions[s.parent].config]
    assert len(copied) >= 10
    for s in copied:
        before = suggestions[s.parent].config
        assert s.config["rate"] in (pytest.approx(before["rate"] * 1.5), pytest.approx(before["rate"] / 1.5), 1e-4, 1)
        space.check(s.config)


def test_a_failed_member_is_replaced_by_one_of_the_best():
    suggestions = _run(_made(), 16, _by_member, fate=lambda number: RunState.FAILED if number == 2 else RunState.SUCCEEDED)
    (replacing,) = [s for s in suggestions[8:] if s.state["member"] == 2]
    assert replacing.parent in (8, 9)


def test_a_smaller_population_goes_on_with_the_members_that_there_are():
    original = suite.Simulation(_made(), SPACE, workers=8)
    original.run(20)
    resumed = _made(population=4)
    resumed.update(list(original.news()))
    assert {s.state["member"] for s in resumed.sample(8)} <= set(range(8))


def test_when_all_failed_they_begin_anew():
    suggestions = _run(_made(), 20, lambda number, all_: 0, fate=lambda _: RunState.FAILED)
    assert all(s.parent is None and s.budget == 1 for s in suggestions)


def test_it_finds_a_schedule_that_no_constant_is():
    # The rate that helps falls as training goes on.
    def loss(number, suggestions):
        s = suggestions[number]
        distance = 10.0 if s.parent is None else level[s.parent]
        level.append(distance * (1 - 0.5 * max(0.0, 1 - abs(s.config["rate"] - 0.8**s.budget) / 0.8**s.budget)))
        return level[-1]

    def lowest(seed, **options):
        level.clear()
        _run(_made(Space({"rate": Float(1e-4, 1, log=True)}), seed, population=6, **options), 90, loss)
        return min(level)

    level: list[float] = []
    adapting = constant = 0.0
    for seed in range(5):
        adapting += lowest(seed)
        constant += lowest(seed, perturbation=1e-6, resample=0.0)
    assert adapting < 0.5 * constant


@pytest.mark.parametrize("options", [{"population": 1}, {"interval": 0}, {"quantile": 0.6}, {"perturbation": 0}, {"resample": 2}])
def test_bad_options_are_told(options):
    with pytest.raises(InvalidInput, match="searcher 'pbt'"):
        _made(**options)
