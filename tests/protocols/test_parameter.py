from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import InvalidInput
from wichtel.protocols.parameter import ParameterSpec, complete, schema_of

SPECS = (
    ParameterSpec(name="share", type="float", default=0.5, low=0.0, high=1.0, help="A share."),
    ParameterSpec(name="values", type="table", required=True, help="Tunable → value."),
    ParameterSpec(name="searcher", type="str", default="tpe", choices=("tpe", "random"), help="Who proposes."),
    ParameterSpec(name="only", type="list", help="Names."),
)


def test_defaults_are_filled_in() -> None:
    assert complete(SPECS, {"values": {"a": 1}}, protocol="P") == {"share": 0.5, "values": {"a": 1}, "searcher": "tpe", "only": None}


def test_null_is_the_default() -> None:
    given = {"values": {}, "share": None, "searcher": None, "only": None}
    assert complete(SPECS, given, protocol="P") == {"share": 0.5, "values": {}, "searcher": "tpe", "only": None}


def test_a_whole_number_does_for_a_number() -> None:
    share = complete(SPECS, {"values": {}, "share": 1}, protocol="P")["share"]
    assert share == 1.0
    assert isinstance(share, float)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"values": {}, "shrae": 1}, "Did you mean 'share'"),
        ({}, "needs a value for 'values'"),
        ({"values": {}, "share": "half"}, "is not a number"),
        ({"values": {}, "share": True}, "is not a number"),
        ({"values": {}, "share": 2.0}, "above 1"),
        ({"values": {}, "share": float("nan")}, "is not a number"),
        ({"values": [1]}, "is not a table"),
        ({"values": {}, "searcher": "tpo"}, "Did you mean 'tpe'"),
        ({"values": {}, "only": "a"}, "is not a list"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(given: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        complete(SPECS, given, protocol="P")


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.floats(-2, 2), st.sampled_from(["tpe", "tpo"]), st.just({}), st.just([])
)


@given(st.dictionaries(st.sampled_from(["share", "values", "searcher", "only", "other"]), VALUES))
def test_the_schema_takes_what_is_taken_and_nothing_else(given_: dict[str, object]) -> None:
    fits = jsonschema.Draft202012Validator(schema_of(SPECS)).is_valid(given_)
    try:
        complete(SPECS, given_, protocol="P")
    except InvalidInput:
        assert not fits
    else:
        assert fits
