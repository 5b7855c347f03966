from __future__ import annotations

import pytest

from wichtel.domain import UserError
from wichtel.plans.context import Session, using
from wichtel.plans.load import execute
from wichtel.recipes import TunableSet


def plan_of(edit) -> str:
    return edit.tree.files["plan.py"].decode()


def test_after_docstring_and_future_imports(make_tree, analysis):
    edit = TunableSet().apply(
        make_tree('"""Doc."""\nfrom __future__ import annotations\n\nx = 1\n'),
        analysis,
        {"width": 64, "deep/units": 3, "kind": 'quo"te', "rate": 1},
    )
    assert plan_of(edit) == (
        '"""Doc."""\nfrom __future__ import annotations\nfrom wichtel import tunable\n'
        'tunable.Set({\n    "width": 64,\n    "deep/units": 3,\n    "kind": "quo\\"te",\n    "rate": 1,\n})\n\nx = 1\n'
    )


def test_after_the_plans_own_import_if_only_libraries_come_before(make_tree, analysis):
    source = "import keras\nfrom wichtel import plan, tunable as t\nx = t.Int()\n"
    assert plan_of(TunableSet().apply(make_tree(source), analysis, {"width": 64})) == (
        'import keras\nfrom wichtel import plan, tunable as t\nt.Set({\n    "width": 64,\n})\nx = t.Int()\n'
    )
    # A module of the plan may read a tunable when it is imported.
    source = "import helper\nfrom wichtel import tunable\n"
    assert plan_of(TunableSet().apply(make_tree(source, **{"helper.py": ""}), analysis, {"width": 64})).startswith(
        "from wichtel import tunable\ntunable.Set({"
    )


def test_a_name_that_is_taken_is_left_alone(make_tree, analysis):
    edit = TunableSet().apply(make_tree("tunable = 3\n"), analysis, {"width": 64})
    assert plan_of(edit).startswith("from wichtel import tunable as wichtel_tunable\nwichtel_tunable.Set({")


def test_an_earlier_set_is_merged(make_tree, analysis):
    once = TunableSet().apply(make_tree("x = 1\n"), analysis, {"width": 64, "rate": 0.5})
    twice = TunableSet().apply(once.tree, analysis, {"rate": 0.25, "deep": True, "kind": None})
    assert plan_of(twice) == (
        'from wichtel import tunable\ntunable.Set({\n    "width": 64,\n    "rate": 0.25,\n    "deep": True,\n    "kind": None,\n})\nx = 1\n'
    )
    with pytest.raises(UserError, match="changes nothing"):
        TunableSet().apply(twice.tree, analysis, {"deep": True})


@pytest.mark.parametrize("written", ["{}", '{"width": 16}', '{"width": 16,}', '{\n  "width": 16 # small\n}', '{"rate": 0.5, "width": 16}'])
def test_whatever_way_the_earlier_set_is_written(written, make_tree, analysis, tmp_path):
    source = f"from wichtel.plans import tunable\ntunable.Set({written})\nx = 1\n"
    edit = TunableSet().apply(make_tree(source), analysis, {"width": 64, "deep": True})
    edit.tree.write_to(tmp_path)
    session = Session(root=tmp_path)
    with using(session):
        exec(compile(plan_of(edit), "plan.py", "exec"), {})
    values = {name: value for name, (value, _) in session.set_here.items()}
    assert values == {**({"rate": 0.5} if "rate" in written else {}), "width": 64, "deep": True}
    assert ("# small" in written) == ("# small" in plan_of(edit))


def test_a_later_set_of_the_plan_cannot_win(make_tree, analysis):
    source = 'from wichtel import tunable\ny = 2\ntunable.Set({"width": 16, **{}})\n'
    edit = TunableSet().apply(make_tree(source), analysis, {"width": 64, "deep": True})
    assert plan_of(edit) == 'from wichtel import tunable\ntunable.Set({\n    "deep": True,\n})\ny = 2\ntunable.Set({"width": 64, **{}})\n'


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 64}, "there is no tunable 'widht'. Did you mean 'width'"),
        ({"width": 63}, r"tunable 'width' \(plan\.py:5\): 63 is none of \[16, 32, 64\]"),
        ({"width": 64.0}, "64.0 is not an int"),
        ({"deep": 1}, "1 is not a bool"),
        ({"deep/units": 65}, "65 is outside"),
        ({"rate": "0.1"}, "'0.1' is not a float"),
        ({}, "no values to set"),
    ],
)
def test_values_that_do_not_fit(values, message, make_tree, analysis):
    with pytest.raises(UserError, match=message):
        TunableSet().apply(make_tree("x = 1\n"), analysis, values)


def test_the_value_arrives(make_tree, analysis, tmp_path):
    source = 'from wichtel.plans import tunable\nwidth = tunable.Int("width", default=32, candidates=[16, 32, 64])\n'
    edit = TunableSet().apply(make_tree(source), analysis, {"width": 64})
    assert execute(Session(root=edit.tree.write_to(tmp_path))).width == 64
