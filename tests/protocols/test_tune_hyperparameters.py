from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wichtel.domain import Analysis, Expectation, Int, InvalidInput, Job, Metadata, Tunable, Window
from wichtel.protocols import get_protocol
from wichtel.protocols.tune_hyperparameters import TuneHyperparameters

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOWS = [Window(start=START + timedelta(days=d), end=START + timedelta(days=d + 1)) for d in range(3)]
ANALYSIS = Analysis(
    trainer="sklearn",
    features=(),
    tunables=(
        Tunable(name="width", kind="int", default=3, min=1, max=8),
        Tunable(name="kind", kind="choice", default="a", candidates=("a", "b")),
    ),
    metadata=Metadata(primary_metric="auc", better=Expectation.LARGER),
    job=Job(dataset="d", label="y", train=WINDOWS[0], evaluation=WINDOWS[1], holdout=WINDOWS[2]),
)


def test_a_space_replaces_that_of_the_plan() -> None:
    protocol = get_protocol("TuneHyperparameters")
    assert isinstance(protocol, TuneHyperparameters)
    parameters = protocol.check({"space": {"width": {"kind": "int", "low": 2, "high": 4}}}, ANALYSIS)
    assert dict(protocol.search_space(ANALYSIS, parameters)) == {"width": Int(2, 4)}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"space": {"width": {"kind": "int", "low": 2, "high": 99}}}, r"is outside \[1"),
        ({"space": {"width": {"kind": "float", "low": 1.0, "high": 4.0}}}, "is not an int"),
        ({"space": {"kind": {"kind": "choice", "options": ["a", "c"]}}}, "'c' is none of"),
        ({"tunables": ["kind"], "space": {"width": {"kind": "int", "low": 1, "high": 4}}}, "leaves 'width' out"),
        ({"tunables": [["kind"]]}, "has no tunable"),
        ({"tunables": ["kin"]}, "Did you mean 'kind'"),
    ],
)
def test_a_space_that_the_plan_cannot_take_is_refused_before_anything_is_trained(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        get_protocol("TuneHyperparameters").check(given, ANALYSIS)
