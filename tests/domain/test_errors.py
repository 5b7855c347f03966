from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import ExperimentStatus, SystemFault, UserError, WichtelError, did_you_mean, errors


def tree(kind: type[WichtelError]) -> list[type[WichtelError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in tree(child))]


KINDS = [kind for kind in tree(WichtelError) if kind.__module__ == errors.__name__]
text = st.text(max_size=20)


@given(st.sampled_from(KINDS), text, st.none() | text, st.none() | text)
def test_errors_cross_process_boundaries_whole(kind: type[WichtelError], message: str, where: str | None, hint: str | None) -> None:
    error = kind(message, where=where, hint=hint)
    for again in (pickle.loads(pickle.dumps(error)), errors.from_json(json.loads(json.dumps(error.to_json())))):
        assert type(again) is kind
        assert (again.message, again.where, again.hint, str(again)) == (message, where, hint, str(error))


def test_a_hint_shows_the_words_of_an_enum_and_not_the_enum() -> None:
    assert did_you_mean("SATISFED", ExperimentStatus).startswith("Did you mean 'SATISFIED' or")


def test_codes_are_distinct() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)


def test_every_error_is_the_users_or_the_systems() -> None:
    assert all(issubclass(kind, UserError) != issubclass(kind, SystemFault) for kind in KINDS if kind is not WichtelError)


def test_an_error_reads_where_what_and_what_to_do() -> None:
    assert str(UserError("it is late.", where="plan.py:3", hint="Hurry.")) == "plan.py:3: it is late. Hurry."
    assert str(UserError("it is late.")) == "it is late."
    assert str(UserError("it is late:\n  now\n", hint="Hurry.")) == "it is late:\n  now\nHurry."
    assert str(UserError("it is late:\n  now\n")) == "it is late:\n  now"


def test_an_unknown_code_becomes_a_system_fault() -> None:
    assert type(errors.from_json({"code": "from_the_future", "message": "m"})) is SystemFault
    assert type(errors.from_json({})) is SystemFault


def test_a_case_without_a_code_of_its_own_is_rebuilt_as_what_it_is_a_case_of() -> None:
    class Special(UserError):
        """Has no code."""

    assert type(errors.from_json(Special("m").to_json())) is UserError


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("widht", ["width", "depth"], "Did you mean 'width'?"),
        ("zzz", ["width", "depth"], "Known: depth, width."),
        ("x", [], "There are none."),
    ],
)
def test_did_you_mean(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, known) == hint


def test_did_you_mean_stays_short() -> None:
    assert len(did_you_mean("zzz", [f"name-{i:04}" for i in range(1000)])) < 300
