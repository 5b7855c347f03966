from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from wichtel.experiments.scheduler import choose_group

names = st.sampled_from(["ads", "maps", "play", "search"])


@given(st.lists(names, unique=True), st.dictionaries(names, st.integers(0, 9)), st.integers())
def test_a_chosen_group_waits_and_has_room(waiting: list[str], in_progress: dict[str, int], seed: int) -> None:
    shares = {"ads": 1, "maps": 2, "play": 4, "search": 0}
    group = choose_group(waiting, in_progress, shares, Random(seed))
    free = [g for g in waiting if in_progress.get(g, 0) < shares[g]]
    assert (group in free) if free else (group is None)


def test_a_group_with_little_work_is_chosen_as_often_as_one_with_much() -> None:
    random = Random(1)
    chosen = [choose_group(["ads", "maps"], {}, {"ads": 1, "maps": 100}, random) for _ in range(1000)]
    assert 430 < chosen.count("ads") < 570
