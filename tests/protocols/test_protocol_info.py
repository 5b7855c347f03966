"""What protocols tell of themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wichtel.plans.job import parse_job
from wichtel.protocols import get_protocol, protocols
from wichtel.recipes import recipe_names
from wichtel.recipes.catalogue import JOB, analysis


class _Nothing:
    """Stands for services that nobody asks for anything."""

    db = None


@pytest.mark.parametrize("name", protocols())
def test_each_step_has_a_sentence_and_each_recipe_is_there(name: str) -> None:
    protocol = get_protocol(name)
    services: Any = _Nothing()
    info = protocol.info(protocol.graph(services))
    assert info.steps[0].name == "branch_base"
    assert all(step.help.endswith(".") and "`" not in step.help for step in info.steps)
    assert {step.name for step in info.steps if step.awaits} >= {"baseline", "train_candidate", "fetch_metrics"}
    assert set(info.recipes) <= set(recipe_names())


def test_what_a_model_lacks_is_told_with_what_to_do() -> None:
    def lacks(name: str, **changes: Any) -> str:
        error = get_protocol(name).lacks(replace(analysis(), **changes))
        return "" if error is None else f"{error.message} {error.hint}"

    with_holdout = parse_job(JOB.replace(b"[training]", b"holdout = [2026-07-01T00:00:00Z, 2026-08-01T00:00:00Z]\n[training]"))
    assert lacks("TrainModel", tunables=()) == ""
    assert lacks("SetHyperparameters") == ""
    assert "Wrap a value" in lacks("SetHyperparameters", tunables=())
    assert "holdout" in lacks("TuneHyperparameters")
    assert lacks("TuneHyperparameters", job=with_holdout) == ""
    assert "Wrap a value" in lacks("TuneHyperparameters", job=with_holdout, tunables=())
