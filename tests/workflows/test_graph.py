from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import InvalidInput
from wichtel.workflows import Graph, Step, StepContext


def nothing(context: StepContext, inputs: dict[str, Any]) -> None:
    return None


def test_steps_stand_in_an_order_that_respects_after() -> None:
    graph = Graph(
        "g", (Step("d", nothing, after=("b", "c")), Step("b", nothing, after=("a",)), Step("c", nothing, after=("a",)), Step("a", nothing))
    )
    assert [step.name for step in graph.steps] == ["a", "b", "c", "d"]
    assert graph.before["d"] == ("a", "b", "c")
    assert graph.before["a"] == ()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((), "no steps"),
        ((Step("a", nothing), Step("a", nothing)), "two steps are called 'a'"),
        ((Step("train", nothing), Step("b", nothing, after=("trian",))), "Did you mean 'train'"),
        ((Step("a", nothing, after=("b",)), Step("b", nothing, after=("a",))), "in a circle"),
        ((Step("a", nothing, after=("a",)),), "in a circle"),
    ],
)
def test_a_graph_that_cannot_be_carried_out_is_refused(steps: tuple[Step, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Graph("g", steps)


@pytest.mark.parametrize("name", ["", "input", "a/b"])
def test_a_step_needs_a_usable_name(name: str) -> None:
    with pytest.raises(InvalidInput):
        Step(name, nothing)


@given(st.data(), st.integers(1, 12))
def test_every_acyclic_graph_is_ordered(data: st.DataObject, size: int) -> None:
    after = [data.draw(st.sets(st.sampled_from(range(i)))) if i else set() for i in range(size)]
    steps = [Step(f"s{i}", nothing, after=tuple(f"s{j}" for j in after[i])) for i in range(size)]
    graph = Graph("g", tuple(data.draw(st.permutations(steps))))
    place = {step.name: i for i, step in enumerate(graph.steps)}
    assert len(place) == size
    for step in graph.steps:
        assert all(place[name] < place[step.name] for name in graph.before[step.name])
        assert set(step.after) <= set(graph.before[step.name])
        assert all(set(graph.before[name]) <= set(graph.before[step.name]) for name in step.after)
