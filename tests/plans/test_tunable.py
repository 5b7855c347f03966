from __future__ import annotations

import pytest

from wichtel.domain import PlanError
from wichtel.plans import tunable
from wichtel.plans.context import Mode, Session, using


@pytest.fixture
def session(tmp_path):
    with using(Session(root=tmp_path)) as session:
        yield session


def test_outside_of_a_load_tunables_return_their_defaults():
    assert tunable.Int("width", default=32, candidates=[16, 32]) == 32
    assert tunable.Float("rate", 0.1, min=1e-3, max=1.0, log=True) == 0.1
    assert tunable.Bool("deep", default=False) is False
    assert tunable.Choice("activation", "relu", candidates=["relu", None]) == "relu"
    # In a notebook a cell is edited and run again.
    assert tunable.Int("width", default=64, candidates=[64, 128]) == 64


def test_set_keeps_its_effect_when_a_merged_plan_is_run_by_hand(monkeypatch):
    monkeypatch.setattr(tunable, "_set_outside", {})
    tunable.Set({"width": 16})
    assert tunable.Int("width", default=32, candidates=[16, 32]) == 16
    tunable.Set({"width": 17})
    with pytest.raises(PlanError, match="17 is none of"):
        tunable.Int("width", default=32, candidates=[16, 32])


def test_scopes_make_full_names(session):
    with tunable.scope("tower"), tunable.scope("top"):
        tunable.Int("width", 1, min=1, max=3)
    tunable.Int("width", 2, min=1, max=3)
    assert list(session.tunables) == ["tower/top/width", "width"]
    assert session.tunables["width"].place.startswith(__file__)


def test_given_values_win_over_set_and_set_over_the_default(tmp_path):
    with using(Session(root=tmp_path, mode=Mode.SET, values={"a": 3})) as session:
        tunable.Set({"a": 2, "b": 2})
        assert [tunable.Int(name, 1, candidates=[1, 2, 3]) for name in "abc"] == [3, 2, 1]
        # What the plan does when nobody gives a value is its default from then on.
        assert session.tunables["b"].default == 2
        assert session.unread() == {}


def test_same_name_twice_needs_the_same_declaration(session):
    assert tunable.Int("a", 1, candidates=[1, 2]) == tunable.Int("a", 1, candidates=[1, 2])
    with pytest.raises(PlanError, match=r"'a' is declared differently at .*test_tunable\.py:\d+"):
        tunable.Int("a", 1, candidates=[1, 2, 3])


def test_set_after_reading_is_refused(session):
    tunable.Int("a", 1, candidates=[1, 2])
    with pytest.raises(PlanError, match="after it was read"):
        tunable.Set({"a": 2})


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: tunable.Int("a", True, candidates=[1, 2]), "True is not an int"),
        (lambda: tunable.Int("a", 1.0, candidates=[1, 2]), "1.0 is not an int"),
        (lambda: tunable.Int("a", 3, candidates=[1, 2]), "default is wrong: 3 is none of"),
        (lambda: tunable.Int("a", 9, min=1, max=2), "9 is outside"),
        (lambda: tunable.Int("a", 1, min=1), "either candidates, or min and max"),
        (lambda: tunable.Int("a", 1), "either candidates, or min and max"),
        (lambda: tunable.Int("a", 1, candidates=[1, 1]), "stands there twice"),
        (lambda: tunable.Int("a b", 1, candidates=[1]), "cannot name a tunable"),
        (lambda: tunable.Float("a", 1, min=0, max=2, log=True), "positive min"),
        (lambda: tunable.Float("a", float("nan"), min=0, max=2), "nan is not finite"),
        (lambda: tunable.Float("a", 1, min=2, max=1), "not below"),
        (lambda: tunable.Bool("a", 1), "1 is not a bool"),
        (lambda: tunable.Choice("a", "x", candidates="xyz"), "must be a list"),
        (lambda: tunable.Choice("a", (1,), candidates=[(1,)]), "not a number, a string"),
        (lambda: tunable.Set(["a"]), "takes a dict"),
    ],
)
def test_bad_declarations(session, declare, message):
    with pytest.raises(PlanError, match=message) as caught:
        declare()
    assert "test_tunable.py:" in caught.value.where
