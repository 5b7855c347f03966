from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import BUILT_IN_INTENTS, Constraint, Expectation, Intent, NotFound, applied_intents, choose_intent

AUC = Constraint(metric="auc", expectation=Expectation.LARGER)


def kept(*patterns: str, name: str = "i") -> list[Intent]:
    return [Intent(name=name, constraints=(AUC,), primary="auc", models=pattern) for pattern in patterns]


def chosen(model: str, *patterns: str) -> str:
    return choose_intent("i", model, {(i.name, i.models): i for i in kept(*patterns)}).models


def test_the_narrowest_pattern_wins() -> None:
    patterns = ("*", "ads/*", "ads/ctr*")
    assert chosen("feed/like", *patterns) == "*"
    assert chosen("ads/cvr", *patterns) == "ads/*"
    assert chosen("ads/ctr/v2", *patterns) == "ads/ctr*"


def test_a_models_own_name_wins_over_every_pattern_however_long() -> None:
    assert chosen("ads/ctr", "*ads/ctr*", "ads/ctr", "[a]ds/[abc]tr") == "ads/ctr"
    assert chosen("ads/ctr", "ads/*", "[abc][d][s]*") == "ads/*", "what stands in brackets is a wildcard"


def test_what_is_built_in_comes_last() -> None:
    built_in = BUILT_IN_INTENTS[0]
    broad = kept("**", name=built_in.name)[0]
    [found] = [a for a in applied_intents("ads/ctr", [*BUILT_IN_INTENTS, broad]) if a.intent.name == built_in.name]
    assert found.intent is broad
    assert found.instead_of == ("*",)


def test_it_is_told_which_apply_and_why() -> None:
    known = [*BUILT_IN_INTENTS, *kept("ads/*", "ads/ctr", "maps/*"), *kept("ads/*", "ad*", name="broad"), *kept("maps/*", name="maps")]
    found = applied_intents("ads/ctr", known)
    assert [(a.intent.name, a.intent.models, a.instead_of) for a in found] == [
        ("broad", "ads/*", ("ad*",)),
        ("i", "ads/ctr", ("ads/*",)),
        ("improve_quality", "*", ()),
        ("optimize_resources", "*", ()),
    ]
    assert found[0].why == "Its pattern 'ads/*' is the narrowest that fits: 4 characters are no wildcards."
    assert found[1].why == "It is for this very model."
    assert "built in" in found[2].why


@given(st.lists(st.text("ab*?[]", min_size=1, max_size=5), min_size=1, max_size=6, unique=True), st.text("ab", min_size=1, max_size=4))
def test_what_is_told_is_what_is_chosen_whatever_the_order(patterns: list[str], model: str) -> None:
    found = applied_intents(model, kept(*patterns))
    if not found:
        with pytest.raises(NotFound):
            chosen(model, *patterns)
        return
    assert found[0].intent.models == chosen(model, *patterns) == chosen(model, *reversed(patterns))
    assert {found[0].intent.models, *found[0].instead_of} == {i.models for i in kept(*patterns) if i.applies_to(model)}


def test_no_intent_applies() -> None:
    intents = {(i.name, i.models): i for i in kept("ads/*", name="speed")}
    with pytest.raises(NotFound, match="It is for ads/\\*"):
        choose_intent("speed", "feed/like", intents)
    with pytest.raises(NotFound, match="Did you mean 'speed'"):
        choose_intent("sped", "ads/x", intents)
