"""Every recipe faces the conformance suite, and shows what it makes of an example."""

from __future__ import annotations

import pytest

from wichtel.domain import InvalidInput, NotFound, UserError
from wichtel.recipes import Chain, Intercept, JobEdit, Rewrite, TunableSet, make_recipe, recipe_names
from wichtel.testing.recipes import check_recipe

PLAN = '''"""A plan."""

from __future__ import annotations

import keras
from wichtel import plan, tunable

x = keras.layers.Dense(tunable.Int("width", default=32, candidates=[16, 32, 64]))
net = keras.Model(x, x)'''

EXAMPLES = {
    "tunable_set": (TunableSet(), {"width": 64}),
    "job_edit": (JobEdit({"training.sample": 0.5}), {"training.batch_size": 512}),
    "rewrite": (Rewrite("library.rewrites:scale_rate"), {"factor": 0.5}),
    "intercept": (Intercept("keras.layers.Dense", "library.layers:Thick"), {}),
    "chain": (Chain([TunableSet({"width": 16}), JobEdit()]), {"job_edit": {"training.passes": 2}}),
}


def test_every_registered_recipe_has_an_example():
    assert set(recipe_names()) == set(EXAMPLES)


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_contract(name, newline, make_tree, analysis, tmp_path):
    recipe, parameters = EXAMPLES[name]
    edit = check_recipe(recipe, make_tree(PLAN.replace("\n", newline)), analysis, parameters, tmp_path)
    changed = edit.tree.files["plan.py"].decode()
    assert changed.count("\n") == changed.count(newline)


def diff_of(edit):
    return [line for line in edit.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def test_rewrite_calls_the_function_on_the_finished_model(make_tree, analysis):
    edit = Rewrite("library.rewrites:scale_rate", {"factor": 0.5}).apply(make_tree(PLAN + "\n"), analysis, {"names": ["a", None]})
    assert diff_of(edit) == [
        "+from library.rewrites import scale_rate",
        '+scale_rate(net, factor=0.5, names=["a", None])',
    ]
    assert edit.summary == 'call scale_rate(factor=0.5, names=["a", None]) on the finished model'
    again = Rewrite("library.rewrites:scale_rate").apply(edit.tree, analysis, {})
    assert diff_of(again) == ["+scale_rate(net)"]
    taken = Rewrite("library.rewrites:net").apply(make_tree(PLAN + "\n"), analysis, {})
    assert diff_of(taken) == ["+from library.rewrites import net as wichtel_net", "+wichtel_net(net)"]


def test_job_edit_keeps_comments(make_tree, analysis):
    edit = JobEdit().apply(
        make_tree(PLAN), analysis, {"dataset.name": "trains", "training.sample": 0.5, "limits.load_seconds": 5, "priority": 2}
    )
    text = edit.tree.files["job.toml"].decode()
    assert 'name = "trains"  # registered in March\n' in text
    assert "batch_size = 1_024\nsample = 0.5\n" in text
    assert text.startswith("# Late flights.\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.batchsize": 3}, r"no key 'batchsize'\. Did you mean 'batch_size'"),
        ({"traning.sample": 0.3}, r"no section or key 'traning'\. Did you mean 'training'"),
        ({"training.sample": 2}, r"sample 2\.0 is not in"),
        ({"training.order": None}, r"cannot be written as TOML"),
        ({"training": 3}, r"is a section"),
        ({"priority.x": 3}, r"priority"),
        ({"dataset.name.x": 3}, r"name"),
        ({}, r"there are no changes"),
        ({"training.batch_size": 1024}, r"changes nothing"),
    ],
)
def test_job_edit_refuses(changes, message, make_tree, analysis):
    with pytest.raises(UserError, match=message):
        JobEdit().apply(make_tree("priority = 1\n"), analysis, changes)


def test_a_chain_refuses_parameters_of_nobody(make_tree, analysis):
    with pytest.raises(InvalidInput, match=r"no recipe 'tunable'.*Did you mean 'tunable_set'"):
        EXAMPLES["chain"][0].apply(make_tree(PLAN), analysis, {"tunable": {}})


def test_the_registry_says_what_is_wrong():
    assert isinstance(make_recipe("intercept", target="a.b", replacement="c:d"), Intercept)
    with pytest.raises(NotFound, match="Did you mean 'rewrite'"):
        make_recipe("rewrit")
    with pytest.raises(InvalidInput, match=r"recipe 'rewrite'.*function"):
        make_recipe("rewrite")
    with pytest.raises(InvalidInput, match="not of the form"):
        make_recipe("rewrite", function="os.system")
