"""Spaces of Optuna and of ConfigSpace."""

from __future__ import annotations

import ConfigSpace as C
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wichtel as wt
from wichtel.domain import InvalidInput
from wichtel.tuning.spaces import as_space, space_from_configspace, space_from_optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_distributions_of_optuna():
    space = as_space(
        {
            "lr": optuna.distributions.FloatDistribution(1e-5, 1, log=True),
            "drop": optuna.distributions.FloatDistribution(0, 1, step=0.25),
            "units": optuna.distributions.IntDistribution(8, 64, step=8),
            "kind": optuna.distributions.CategoricalDistribution(["a", 1, None, True]),
        }
    )
    assert space == wt.Space(
        {
            "lr": wt.Float(1e-5, 1, log=True),
            "drop": wt.Float(0, 1, step=0.25),
            "units": wt.Int(8, 64, step=8),
            "kind": wt.Choice(["a", 1, None, True]),
        }
    )


def _objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if trial.suggest_categorical("model", ["net", "tree", "line"]) == "net":
        trial.suggest_int("layers", 1, 3)
        if trial.suggest_categorical("drop", [True, False]):
            trial.suggest_float("rate", 0, 1)
    return x


def test_a_study_of_optuna_and_its_conditions():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(_objective, n_trials=40)
    space = space_from_optuna(study)
    assert space == wt.Space(
        {
            "x": wt.Float(0, 1),
            "model": wt.Choice(["net", "tree", "line"]),
            "layers": wt.Int(1, 3, when={"model": ["net"]}),
            "drop": wt.Choice([True, False], when={"model": ["net"]}),
            "rate": wt.Float(0, 1, when={"drop": [True]}),
        }
    )
    for trial in study.trials:
        space.check(trial.params)
    assert as_space(study) == space
    assert set(as_space(study.trials[0])) == set(study.trials[0].params)


def test_what_an_optuna_study_does_not_tell():
    def hidden(trial):
        if trial.number % 2:
            trial.suggest_float("y", 0, 1)
        return trial.suggest_float("x", 0, 1 + trial.number // 4)

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(hidden, n_trials=4)
    with pytest.raises(InvalidInput, match="'y': some trials have it and some do not, and nothing tells"):
        space_from_optuna(study)
    study.optimize(hidden, n_trials=1)
    with pytest.raises(InvalidInput, match=r"parameter 'x'.*in one trial and .* in another"):
        space_from_optuna(study)
    with pytest.raises(InvalidInput, match="at least one parameter"):
        space_from_optuna(optuna.create_study())


def _configspace():
    space = C.ConfigurationSpace(seed=1)
    kind = C.Categorical("kind", ["a", "b", "c"], weights=[1, 2, 3])
    size = C.OrdinalHyperparameter("size", ["s", "m", "l"])
    depth = C.Integer("depth", (1, 9), log=True)
    made = {n: C.Float(n, (0.5, 2)) for n in ("equal", "within", "other", "above", "both", "either", "deep")}
    space.add(kind, size, depth, C.Constant("fixed", 3), C.NormalFloatHyperparameter("normal", 0, 1, -2, 2), *made.values())
    space.add(
        C.EqualsCondition(made["equal"], kind, "a"),
        C.InCondition(made["within"], kind, ["a", "b"]),
        C.NotEqualsCondition(made["other"], kind, "a"),
        C.GreaterThanCondition(made["above"], size, "s"),
        C.AndConjunction(C.EqualsCondition(made["both"], kind, "a"), C.EqualsCondition(made["both"], size, "l")),
        C.OrConjunction(C.EqualsCondition(made["either"], kind, "a"), C.EqualsCondition(made["either"], kind, "c")),
        C.LessThanCondition(made["deep"], depth, 3),
    )
    return space


def test_a_configspace_with_conditions():
    space = as_space(_configspace())
    assert space["depth"] == wt.Int(1, 9, log=True)
    assert space["fixed"] == wt.Fixed(3)
    assert space["normal"] == wt.Float(-2, 2)
    assert space["size"] == wt.Choice(["s", "m", "l"])
    assert {name: dict(p.when) for name, p in space.items() if p.when} == {
        "equal": {"kind": ("a",)},
        "within": {"kind": ("a", "b")},
        "other": {"kind": ("b", "c")},
        "above": {"size": ("m", "l")},
        "both": {"kind": ("a",), "size": ("l",)},
        "either": {"kind": ("a", "c")},
        "deep": {"depth": (1, 2)},
    }


@given(st.integers(0, 2**31))
def test_what_either_draws_the_other_allows(seed):
    from random import Random

    theirs = _configspace()
    ours = space_from_configspace(theirs)
    theirs.seed(seed)
    ours.check(dict(theirs.sample_configuration()))
    C.Configuration(theirs, values=ours.sample(Random(seed))).check_valid_configuration()


def test_what_has_no_counterpart():
    space = C.ConfigurationSpace({"a": ["x", "y"], "b": ["x", "y"], "c": (0.0, 1.0), "d": (0.0, 1.0)})
    space.add(C.OrConjunction(C.EqualsCondition(space["d"], space["a"], "x"), C.EqualsCondition(space["d"], space["b"], "x")))
    with pytest.raises(InvalidInput, match="different parameters"):
        as_space(space)
    space = C.ConfigurationSpace({"c": (0.0, 1.0), "d": (0.0, 1.0)})
    space.add(C.GreaterThanCondition(space["d"], space["c"], 0.5))
    with pytest.raises(InvalidInput, match="cannot be listed"):
        as_space(space)
    space = C.ConfigurationSpace({"a": ["x", "y"]})
    space.add(C.ForbiddenEqualsClause(space["a"], "y"))
    with pytest.raises(InvalidInput, match=r"it forbids .*no counterpart.*Take the clause out"):
        as_space(space)


def test_our_own():
    space = wt.Space({"x": wt.Float(0, 1)})
    assert as_space(space) is space
    assert as_space({"g": {"x": wt.Float(0, 1)}, "n": 3}) == wt.Space({"g.x": wt.Float(0, 1), "n": wt.Fixed(3)})
    for nonsense in ([("x", 1)], "x", None):
        with pytest.raises(InvalidInput, match="is no search space"):
            as_space(nonsense)
