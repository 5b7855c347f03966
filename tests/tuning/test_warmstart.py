"""What travels from earlier studies to a new one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import Bool, Choice, Expectation, Fixed, Float, Int, InvalidInput, Objective, RunState, Space, StudySpec, Trial
from wichtel.testing.searchers import SPACES
from wichtel.tuning import meta_features
from wichtel.tuning.transfer.warmstart import most_similar, overlap, transfer, translate

LOSS = (Objective(metric="loss", better=Expectation.SMALLER),)


def study(name: str, space: Space, **options: object) -> StudySpec:
    return StudySpec(id=name, name=name, space=space, objectives=LOSS, entry="m:f", **options)  # type: ignore[arg-type]


def trial(number: int, config: dict[str, object], loss: float, state: RunState = RunState.SUCCEEDED) -> Trial:
    return Trial(study="old", number=number, config=config, state=state, metrics={"loss": loss}, created=datetime.now(UTC))  # type: ignore[arg-type]


def test_the_best_of_an_earlier_study_come_first_with_their_origin():
    space = Space({"x": Float(0, 1), "n": Int(1, 10)})
    trials = [trial(i, {"x": i / 10, "n": i + 1}, abs(i - 4)) for i in range(9)] + [trial(9, {"x": 0.9, "n": 1}, -5.0, RunState.STOPPED)]
    found = transfer(study("new", space, trials=40), [(study("old", space), trials)])
    assert [t.config["n"] for t in found] == [5, 4, 6, 3, 7]
    assert found[0].origin == "trial 4 of study 'old'"


def test_a_short_study_is_not_filled_with_what_others_found():
    space = Space({"x": Float(0, 1)})
    old = (study("old", space), [trial(i, {"x": i / 10}, i) for i in range(9)])
    assert len(transfer(study("new", space, trials=8), [old, old])) == 2


def test_values_are_moved_into_the_new_space():
    new = Space({"x": Float(0, 0.5), "n": Int(2, 8, step=3), "act": Choice(["relu", "gelu"]), "v": Fixed(3)})
    config = translate({"x": 0.9, "n": 7, "act": "gelu", "gone": 1}, new, Random(0))
    assert config == {"x": 0.5, "n": 8, "act": "gelu", "v": 3}
    (moved,) = transfer(study("new", new, trials=4), [(study("old", Space({"x": Float(0, 1)})), [trial(0, {"x": 0.9}, 1.0)])])
    assert moved.origin == "trial 0 of study 'old', adapted to the new space"


@given(st.sampled_from(sorted(SPACES)), st.sampled_from(sorted(SPACES)), st.integers(0, 1000))
def test_a_translated_configuration_is_legal(old: str, new: str, seed: int):
    random = Random(seed)
    SPACES[new].check(translate(SPACES[old].sample(random), SPACES[new], random))


@given(st.sampled_from(sorted(SPACES)), st.integers(0, 1000))
def test_a_configuration_of_the_same_space_stays_as_it_is(name: str, seed: int):
    config = SPACES[name].sample(Random(seed))
    assert SPACES[name].key(translate(config, SPACES[name], Random(0))) == SPACES[name].key(config)


def test_the_studies_of_the_most_similar_data_are_asked():
    space = Space({"x": Float(0, 1), "lr": Float(1e-4, 1, log=True)})
    new = study("new", space, meta={"log_rows": 8.0, "numeric": 1.0})
    near = study("near", space, meta={"log_rows": 8.2, "numeric": 0.9})
    far = study("far", space, meta={"log_rows": 14.0, "numeric": 0.1})
    unknown = study("unknown", space)
    other_metric = replace(near, name="other", id="other", objectives=(Objective(metric="auc", better=Expectation.LARGER),))
    other_space = study("other space", Space({"depth": Int(1, 9), "x": Float(5, 6)}), meta=new.meta)
    found = most_similar(new, [far, other_space, unknown, other_metric, near, new])
    assert [s.name for s in found] == ["near", "far", "unknown"]


def test_overlap_counts_what_varies():
    new = Space({"x": Float(0, 1), "flag": Bool(), "act": Choice(["a", "b"]), "v": Fixed(1)})
    assert overlap(new, new) == 1
    assert overlap(new, Space({"x": Float(2, 3), "flag": Fixed(True), "act": Choice(["c"])})) == pytest.approx(1 / 3)


def test_meta_features_describe_a_table():
    random = np.random.default_rng(0)
    table = random.normal(size=(100, 4))
    table[:10, 0] = np.nan
    found = meta_features(table, np.arange(100) % 2)
    assert found["log_rows"] == pytest.approx(np.log(100))
    assert found["missing"] == pytest.approx(10 / 400)
    assert (found["classes"], found["class_entropy"], found["numeric"]) == (2, pytest.approx(1.0), 1.0)
    mixed = np.array([["a", 1.0], ["b", None], [None, 3.0]], dtype=object)
    assert meta_features(mixed)["numeric"] == 0.5
    with pytest.raises(InvalidInput, match="no table"):
        meta_features(np.zeros(3))


def test_numbers_of_any_size_describe_data():
    space = Space({"x": Float(0, 1)})
    huge, small = study("huge", space, meta={"rows": 1e200}), study("small", space, meta={"rows": 1.0})
    assert most_similar(study("new", space, meta={"rows": 2.0}), [huge, small]) == [small, huge]
