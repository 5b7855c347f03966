from __future__ import annotations

from enum import StrEnum
from itertools import product

import pytest

from wichtel.domain import ExperimentState, IllegalTransition, RunState, StudyState, may_move, move

E, R, S = ExperimentState, RunState, StudyState

LEGAL: dict[type[StrEnum], set[tuple[StrEnum, StrEnum]]] = {
    E: {(E.ENQUEUED, E.IN_PROGRESS), (E.ENQUEUED, E.FINISHED), (E.IN_PROGRESS, E.ENQUEUED), (E.IN_PROGRESS, E.FINISHED)},
    R: {
        (R.PENDING, R.RUNNING),
        (R.PENDING, R.CANCELED),
        (R.PENDING, R.FAILED),
        (R.RUNNING, R.PREEMPTED),
        (R.RUNNING, R.SUCCEEDED),
        (R.RUNNING, R.STOPPED),
        (R.RUNNING, R.FAILED),
        (R.RUNNING, R.CANCELED),
        (R.PREEMPTED, R.RUNNING),
        (R.PREEMPTED, R.CANCELED),
        (R.PREEMPTED, R.FAILED),
    },
    S: {
        (S.PENDING, S.RUNNING),
        (S.PENDING, S.CANCELED),
        (S.PENDING, S.FAILED),
        (S.RUNNING, S.FINISHED),
        (S.RUNNING, S.FAILED),
        (S.RUNNING, S.CANCELED),
        (S.FINISHED, S.PENDING),
        (S.FAILED, S.PENDING),
        (S.CANCELED, S.PENDING),
    },
}
PAIRS = [(old, new) for life in LEGAL for old, new in product(life, life)]


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=lambda s: f"{type(s).__name__}.{s}")
def test_exactly_the_listed_moves_are_legal(old: StrEnum, new: StrEnum) -> None:
    legal = any(old is a and new is b for a, b in LEGAL[type(old)])
    assert may_move(old, new) is legal
    if legal:
        assert move(old, new, what="it") is new
    else:
        with pytest.raises(IllegalTransition, match=f"^it: cannot go from {old} to {new}"):
            move(old, new, what="it")


def test_states_of_different_lives_do_not_mix() -> None:
    assert not may_move(R.RUNNING, S.FAILED)
    assert not may_move(S.RUNNING, R.SUCCEEDED)


def test_what_has_ended_says_so() -> None:
    with pytest.raises(IllegalTransition, match="It has ended"):
        move(E.FINISHED, E.FINISHED, what="experiment e-1")


def test_ended_means_no_move_is_left_but_that_a_study_is_extended() -> None:
    for state in R:
        assert state.ended is not any(may_move(state, new) for new in R)
    for study in S:
        assert study.ended is (not any(may_move(study, new) for new in S if new is not S.PENDING))
    with pytest.raises(IllegalTransition, match="It has ended"):
        move(S.FINISHED, S.RUNNING, what="study s-1")
