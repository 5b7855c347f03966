from __future__ import annotations

import json
import math
import pickle
import tomllib
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import Bool, Choice, Fixed, Float, Int, InvalidInput, Parameter, Space, nest

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
positive = st.floats(min_value=1e-300, max_value=1e300)
scalars = st.none() | st.booleans() | st.integers(-1000, 1000) | finite | st.text(max_size=5)


@st.composite
def floats(draw: st.DrawFn) -> Float:
    kind = draw(st.sampled_from(["linear", "log", "step"]))
    if kind == "log":
        low, high = sorted([draw(positive), draw(positive)])
        return Float(low, high, log=True)
    if kind == "step":
        low = draw(st.floats(-1000, 1000))
        return Float(low, low + draw(st.floats(0, 1000)), step=draw(st.floats(0.1, 100)))
    low, high = sorted([draw(finite), draw(finite)])
    return Float(low, high)


@st.composite
def ints(draw: st.DrawFn) -> Int:
    if draw(st.booleans()):
        low, high = sorted([draw(st.integers(1, 10**9)), draw(st.integers(1, 10**9))])
        return Int(low, high, log=True)
    low, high = sorted([draw(st.integers(-(10**9), 10**9)), draw(st.integers(-(10**9), 10**9))])
    return Int(low, high, step=draw(st.integers(1, 1000)))


def distinct(value: Any) -> tuple[bool, Any]:
    return (isinstance(value, bool), value)


choices = st.lists(scalars, min_size=1, max_size=5, unique_by=distinct).map(Choice)
parameters: st.SearchStrategy[Parameter] = floats() | ints() | choices | st.just(Bool()) | scalars.map(Fixed)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Up to five parameters, some of them under the condition of an earlier one, written in any order."""
    made: dict[str, Parameter] = {}
    for name in draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True)):
        parameter = draw(parameters)
        if made and draw(st.booleans()):
            parent = draw(st.sampled_from(sorted(made)))
            allowed = [v for v in made[parent].values(3) if draw(st.booleans())]
            if allowed:
                parameter = replace(parameter, when={parent: allowed})
        made[name] = parameter
    return Space(dict(draw(st.permutations(list(made.items())))))


@given(spaces(), st.integers(0, 2**31))
def test_a_draw_is_legal_and_repeatable(space: Space, seed: int) -> None:
    config = space.sample(Random(seed))
    space.check(config)
    assert space.sample(Random(seed)) == config


@given(spaces(), st.integers(1, 6))
def test_a_grid_holds_legal_configurations_each_once(space: Space, resolution: int) -> None:
    grid = list(islice(space.grid(resolution), 300))
    assert grid
    for config in grid:
        space.check(config)
    # A range that is narrower than its points are many may repeat one through rounding; nothing else may.
    if not any(isinstance(p, Float) for p in space.values()):
        assert len({space.key(config) for config in grid}) == len(grid)


@given(spaces())
def test_json_round_trip(space: Space) -> None:
    text = json.dumps(space.to_json())
    again = Space.from_json(json.loads(text))
    assert again == space
    assert list(again) == list(space)
    assert json.dumps(again.to_json()) == text
    assert again.sample(Random(0)) == space.sample(Random(0))
    assert pickle.loads(pickle.dumps(space)) == space


@given(spaces(), st.integers(0, 99), st.integers(0, 99))
def test_keys_are_equal_exactly_for_equal_configurations(space: Space, one: int, two: int) -> None:
    a, b = space.sample(Random(one)), space.sample(Random(two))
    alike = list(a) == list(b) and all(distinct(a[n]) == distinct(b[n]) for n in a)
    assert (space.key(a) == space.key(b)) is alike
    assert space.key(json.loads(json.dumps(a))) == space.key(a)
    assert space.key(dict(reversed(a.items()))) == space.key(a)


def test_keys_are_exact() -> None:
    space = Space({"n": Int(0, 2**60), "c": Choice([True, 1, "1", None, 0.5])})
    assert space.key({"n": 2**53, "c": 1}) != space.key({"n": 2**53 + 1, "c": 1})
    assert len({space.key({"n": 1, "c": c}) for c in (True, 1, "1", None, 0.5)}) == 5
    zero = Space({"x": Float(-1, 1)})
    assert zero.key({"x": 0}) == zero.key({"x": -0.0}) == zero.key({"x": 0.0})
    tricky = Space({"a": Int(0, 9), "b": Int(0, 9, when={"a": [1]}), "a=1;b": Int(0, 9, when={"a": [2]})})
    assert tricky.key({"a": 1, "b": 2}) != tricky.key({"a": 2, "a=1;b": 2})


def test_children_stand_after_their_parents_and_others_stay_in_order() -> None:
    space = Space({"units": Int(1, 8, when={"kind": ["dense"]}), "rate": Float(0, 1), "kind": Choice(["dense", "none"]), "z": Bool()})
    assert list(space) == ["rate", "kind", "units", "z"] or list(space) == ["rate", "kind", "z", "units"]
    assert list(space).index("kind") < list(space).index("units")
    assert space.conditional
    assert not Space({"z": Bool()}).conditional


def test_a_child_lives_only_under_its_parents_values_and_so_do_its_children() -> None:
    space = Space(
        {
            "kind": Choice(["tree", "net"]),
            "depth": Int(1, 3, when={"kind": ["net"]}),
            "width": Int(4, 5, when={"depth": [2, 3]}),
        }
    )
    space.check({"kind": "tree"})
    space.check({"kind": "net", "depth": 1})
    space.check({"kind": "net", "depth": 3, "width": 4})
    for config, told in (
        ({"kind": "tree", "depth": 1}, "'depth' has a value"),
        ({"kind": "net"}, "'depth' has no value"),
        ({"kind": "net", "depth": 1, "width": 4}, "'width' has a value"),
        ({"kind": "tree", "width": 4}, "'width' has a value"),
        ({"kind": "tree", "widht": 4}, "Did you mean 'width'"),
    ):
        with pytest.raises(InvalidInput, match=told):
            space.check(config)
    assert list(space.grid()) == [
        {"kind": "tree"},
        {"kind": "net", "depth": 1},
        {"kind": "net", "depth": 2, "width": 4},
        {"kind": "net", "depth": 2, "width": 5},
        {"kind": "net", "depth": 3, "width": 4},
        {"kind": "net", "depth": 3, "width": 5},
    ]


# Nested spaces, and choices that open parameters

NESTED = {
    "epochs": 10,
    "optimizer": {
        "kind": Choice({"sgd": {"momentum": Float(0, 1), "nesterov": Bool(when={"momentum": [0.5]})}, "adam": {}}),
        "lr": Float(1e-5, 1, log=True),
        "decay": {"rate": Float(0, 1, when={"kind": ["adam"]})},
    },
    "late": Bool(when={"epochs": [10], "optimizer.kind": ["sgd"]}),
}


def test_a_nested_space_is_a_flat_one_with_dotted_names() -> None:
    assert Space(NESTED) == Space(
        {
            "epochs": Fixed(10),
            "optimizer.kind": Choice(["sgd", "adam"]),
            "optimizer.momentum": Float(0, 1, when={"optimizer.kind": ["sgd"]}),
            "optimizer.nesterov": Bool(when={"optimizer.momentum": [0.5], "optimizer.kind": ["sgd"]}),
            "optimizer.lr": Float(1e-5, 1, log=True),
            "optimizer.decay.rate": Float(0, 1, when={"optimizer.kind": ["adam"]}),
            "late": Bool(when={"epochs": [10], "optimizer.kind": ["sgd"]}),
        }
    )


def test_functions_see_it_nested() -> None:
    space = Space(NESTED)
    config: dict[str, Any] = {"epochs": 10, "optimizer.kind": "adam", "optimizer.lr": 0.1, "optimizer.decay.rate": 0.5}
    space.check(config)
    nested = {"epochs": 10, "optimizer": {"kind": "adam", "lr": 0.1, "decay": {"rate": 0.5}}}
    assert space.nest(config) == nested
    assert space.flatten(nested) == space.flatten(config) == config
    assert nest({"lr": 1, "..": 2, "a.": 3}) == {"lr": 1, "..": 2, "a.": 3}


def test_choices_within_choices_open_only_while_both_hold() -> None:
    space = Space({"model": Choice({"net": {"kind": Choice({"cnn": {"width": Int(3, 4)}, "rnn": {}})}, "tree": {"depth": 2}})})
    assert list(space.grid()) == [
        {"model": "net", "kind": "cnn", "width": 3},
        {"model": "net", "kind": "cnn", "width": 4},
        {"model": "net", "kind": "rnn"},
        {"model": "tree", "depth": 2},
    ]


def test_the_same_parameter_may_be_opened_by_several_options() -> None:
    rate = Float(0, 1)
    space = Space({"c": Choice({"a": {"rate": rate}, "b": {"rate": rate}, "none": {}})})
    assert space["rate"] == Float(0, 1, when={"c": ["a", "b"]})
    assert Space({"c": Choice({"a": {"a": {"lr": Int(0, 1)}}, "b": {"b": {"lr": Int(0, 2)}}})}).keys() == {"c", "a.lr", "b.lr"}


def test_a_nested_space_may_be_written_as_json_or_toml() -> None:
    written = tomllib.loads("""
        epochs = 10
        [optimizer]
        lr = {kind = "float", low = 1e-5, high = 1, log = true}
        decay.rate = {kind = "float", low = 0, high = 1, when = {kind = ["adam"]}}
        [optimizer.kind]
        kind = "choice"
        options.adam = {}
        [optimizer.kind.options.sgd]
        momentum = {kind = "float", low = 0, high = 1}
        nesterov = {kind = "bool", when = {momentum = [0.5]}}
        [late]
        kind = "bool"
        when = {epochs = [10], "optimizer.kind" = ["sgd"]}
    """)
    expected = dict(Space(NESTED).parameters) | {"optimizer.kind": Choice(["adam", "sgd"])}
    assert Space.from_json(written) == expected
    assert all(isinstance(spec, dict) and "kind" in spec for spec in Space(NESTED).to_json().values()), "what is stored is flat"


names = st.text("abc", min_size=1, max_size=2)


@st.composite
def nested_spaces(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        kind = draw(st.sampled_from(["parameter", "plain", "group", "opening"] if depth else ["parameter", "plain"]))
        if kind == "group":
            made[name] = draw(nested_spaces(depth - 1))
        elif kind == "opening":
            # Groups of their own, or the options' parameters might differ under one name.
            made[name] = Choice(
                {option: {f"{name}-{option}": draw(nested_spaces(depth - 1))} for option in draw(st.sets(names, min_size=1))}
            )
        else:
            made[name] = draw(parameters if kind == "parameter" else scalars)
    return made


@given(nested_spaces(), st.integers(0, 99))
def test_nested_spaces_are_spaces(written: dict[str, Any], seed: int) -> None:
    space = Space(written)
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    config = space.sample(Random(seed))
    space.check(config)
    nested = space.nest(config)
    assert space.flatten(nested) == config
    assert set(nested) <= {part.partition(".")[0] for part in space}
    for legal in islice(space.grid(2), 50):
        space.check(legal)
        assert space.flatten(space.nest(legal)) == legal


def test_true_is_not_one() -> None:
    space = Space({"flag": Choice([True, 1]), "child": Bool(when={"flag": [True]})})
    assert space.is_active("child", {"flag": True})
    assert not space.is_active("child", {"flag": 1})
    with pytest.raises(InvalidInput, match="not a bool"):
        Space({"b": Bool()}).check({"b": 1})
    with pytest.raises(InvalidInput, match="not a whole number"):
        Space({"i": Int(0, 1)}).check({"i": True})


@pytest.mark.parametrize("value", [0.0, -1e-10, 1.1e-9, 9e-13, math.nan, math.inf, "1e-10", None, True])
def test_nothing_slips_through_the_ends_of_a_log_scale(value: object) -> None:
    space = Space({"x": Float(1e-12, 1e-9, log=True)})
    with pytest.raises(InvalidInput):
        space.check({"x": value})


def test_steps() -> None:
    x = Float(0.0, 0.3, step=0.1)
    assert x.values(99) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert max(v for v in x.values(99) if isinstance(v, float)) <= 0.3
    x.check(0.1 + 0.2 - 1e-17, "x")
    with pytest.raises(InvalidInput, match="multiple"):
        x.check(0.25, "x")
    assert Int(1, 10, step=4).values(9) == [1, 5, 9]
    with pytest.raises(InvalidInput, match="multiple"):
        Int(1, 10, step=4).check(3, "x")


def test_grids_of_wide_ranges() -> None:
    assert Float(1e-300, 1e300, log=True).values(3) == pytest.approx([1e-300, 1, 1e300])
    assert Float(0, 1).values(1) == [0]
    assert Float(2, 2).values(5) == [2]
    assert Int(1, 1000, log=True).values(4) == [1, 10, 100, 1000]
    with pytest.raises(InvalidInput, match="at least one point"):
        Space({"x": Float(0, 1)}).grid(0)


def test_draws_cover_their_scale() -> None:
    random = Random(0)
    logs = [Float(1e-4, 1, log=True).sample(random) for _ in range(2000)]
    assert 0.4 < sum(v < 1e-2 for v in logs) / 2000 < 0.6
    assert {Int(1, 4, log=True).sample(random) for _ in range(200)} == {1, 2, 3, 4}
    assert {Int(0, 9, step=3).sample(random) for _ in range(200)} == {0, 3, 6, 9}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Float(1, 0), "above high"),
        (lambda: Float(math.nan, 1), "not a finite number"),
        (lambda: Float(0, math.inf), "not a finite number"),
        (lambda: Float(-1e308, 1e308), "too wide"),
        (lambda: Float("0", 1), "not a finite number"),  # type: ignore[arg-type]
        (lambda: Float(False, 1), "not a finite number"),
        (lambda: Float(0, 1, log=True), "positive low"),
        (lambda: Float(0, 1, log="yes"), "true or false"),  # type: ignore[arg-type]
        (lambda: Float(0, 1, step=0), "step"),
        (lambda: Float(0, 1, step=math.inf), "step"),
        (lambda: Float(0, 1, step="a"), "step"),  # type: ignore[arg-type]
        (lambda: Float(1, 2, log=True, step=0.5), "step"),
        (lambda: Int(0.5, 1), "whole number"),  # type: ignore[arg-type]
        (lambda: Int(0, 10**400), "finite"),
        (lambda: Int(1, 5, step=0), "step"),
        (lambda: Int(1, 5, step=2, log=True), "step"),
        (lambda: Choice([]), "at least one"),
        (lambda: Choice("abc"), "must be a list"),
        (lambda: Choice([1, 1.0]), "twice"),
        (lambda: Choice([math.nan]), "finite"),
        (lambda: Choice([[1]]), "not a finite number, a string"),  # type: ignore[list-item]
        (lambda: Fixed({}), "not a finite number, a string"),  # type: ignore[arg-type]
        (lambda: Bool(when=["a"]), "not a table"),  # type: ignore[arg-type]
        (lambda: Bool(when={"a": "b"}), "list of values"),
        (lambda: Bool(when={"a": []}), "list of values"),
        (lambda: Space({}), "at least one parameter"),
        (lambda: Space({"": Bool()}), "not a parameter name"),
        (lambda: Space({"x": [3]}), "parameter 'x': .* is not a parameter"),
        (lambda: Space({"x": math.nan}), "parameter 'x': nan is not a finite"),
        (lambda: Space({"a": {"x": {}}}), "parameter 'a.x': the group is empty"),
        (lambda: Space({"a": {"": 3}}), "not a parameter name"),
        (lambda: Space({"a": {"x": Float(0, 1, when={"b": [1]})}}), "parameter 'a.x': it depends on 'b', which does not exist"),
        (lambda: Space({"a": {"x": 1}, "a.x": 2}), "parameter 'a.x': the name stands for two"),
        (lambda: Space({"c": Choice({"a": {"x": Int(0, 1)}, "b": {"x": Int(0, 2)}})}), "parameter 'x': the name stands for two"),
        (lambda: Space({"c": Choice({"a": {"c": 1}, "b": {}})}), "parameter 'c': the name stands for two"),
        (lambda: Choice({"a": 3}), "'a' opens 3"),  # type: ignore[dict-item]
        (lambda: Choice(3), "must be a list"),  # type: ignore[arg-type]
        (lambda: nest({"a": 1, "a.b": 2}), "'a.b': it stands in a group whose name is another"),
        (lambda: nest({"a.b": 2, "a": 1}), "'a': it stands in a group whose name is another"),
        (lambda: Space({"x": Bool(when={"width": [1]}), "widht": Int(1, 2)}), "Did you mean 'widht'"),
        (lambda: Space({"x": Bool(when={"n": [3]}), "n": Int(1, 2)}), "outside"),
        (lambda: Space({"x": Bool(when={"y": [True]}), "y": Bool(when={"x": [True]})}), "circle"),
        (lambda: Space({"x": Bool(when={"x": [True]})}), "circle"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        make()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "a table of parameters"),
        ({"x": [3]}, "'kind'"),
        ({"a": {"b": {"kind": "flaot"}}}, "parameter 'a.b': .*Did you mean 'float'"),
        ({"a": {"c": {"kind": "choice", "options": {"p": {"x": {"kind": "int"}}}}}}, "parameter 'a.x': int needs low"),
        ({"c": {"kind": "choice", "options": {"p": 3}}}, "opens a table of parameters, not 3"),
        ({"x": {"low": 1}}, "'kind'"),
        ({"x": {"kind": "flaot", "low": 0, "high": 1}}, "Did you mean 'float'"),
        ({"x": {"kind": ["float"]}}, "unknown kind"),
        ({"x": {"kind": "float", "low": 0}}, "float needs low, high"),
        ({"x": {"kind": "float", "low": 0, "hihg": 1}}, "Did you mean 'high'"),
        ({"x": {"kind": "float", "low": "a", "high": 1}}, "parameter 'x'"),
        ({"x": {"kind": "int", "low": 0, "high": 1, "step": "a"}}, "parameter 'x'"),
        ({"x": {"kind": "choice", "options": 3}}, "parameter 'x': the options must be a list"),
        ({"x": {"kind": "bool", "when": [1]}}, "parameter 'x'"),
    ],
)
def test_json_that_makes_no_sense_is_refused_with_its_place(data: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        Space.from_json(data)
