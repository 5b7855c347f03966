"""Telling people, and looking into failures, from the command line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def model(wichtel: Any, service: Any) -> str:
    """A model that is registered."""
    if "d" not in [d["name"] for d in wichtel("datasets", "list", "--json").data]:
        wichtel("datasets", "add", "d", service.folder / "d.csv", "--time-column", "t")
    wichtel("models", "add", "cli/told", service.folder / "plan")
    return "cli/told"


def test_a_failed_experiment_says_what_to_do(wichtel: Any, service: Any, model: str, tmp_path: Path) -> None:
    wichtel("watch", "model", model)
    assert model in wichtel("watch", "list").out
    added = wichtel("channels", "add", "webhook", "https://hooks.example.invalid/secret", "--on", "user_error")
    assert "whsec_" in added.out
    [channel] = wichtel("channels", "list", "--json").data
    assert channel["events"] == ["USER_ERROR"]
    assert "secret" not in wichtel("channels", "list").out
    assert "secret" not in wichtel("channels", "show", channel["id"]).out
    assert wichtel("channels", "show", channel["id"], "--json").data == channel
    assert "not taken" in wichtel("channels", "test", channel["id"], expect=2).err

    broken = tmp_path / "broken"
    shutil.copytree(service.folder / "plan", broken)
    plan = (broken / "plan.py").read_text()
    (broken / "plan.py").write_text(plan.replace("self.shares_ = ", "print('token=geheim'); 1 / 0; self.shares_ = "))
    wichtel("models", "add", "cli/told", broken)
    [failed] = wichtel("run", "TrainModel", model, "--follow", "--json", expect=2).data
    experiment = failed["id"]
    shown = wichtel("experiments", "show", experiment)
    assert "plan.raised" in shown.out
    assert "ZeroDivisionError: division by zero" in shown.out
    assert "geheim" not in shown.out
    assert "what to do" in shown.out
    failure = wichtel("experiments", "show", experiment, "--json").data["failure"]
    assert failure["step"] == "baseline"
    [told] = wichtel("notifications", "list", "--experiment", experiment, "--json").data
    assert told["channel"] == channel["id"]
    assert f"experiment/{experiment}/finished" in wichtel("notifications", "list", "--all").out
    wichtel("channels", "delete", channel["id"])
    wichtel("watch", "model", model, "--stop")
    assert "There are none" in wichtel("watch", "list").err


def test_cases_are_resolved(wichtel: Any, service: Any, model: str) -> None:
    from wichtel.domain import ExperimentStatus, Failure

    example = wichtel("run", "TrainModel", model, "--json").data["experiments"][0]
    with service.app.db.transaction() as tx:
        case = tx.triage.note(Failure(category="unknown", status=ExperimentStatus.SYSTEM_ERROR, message="fire in room 7"), "P", example)
    assert "fire in room #" in wichtel("triage", "list", "--state", "open").out
    assert example in wichtel("triage", "show", case).out
    assert "put out" in wichtel("triage", "resolve", case, "fixed", "--note", "put out").out
    assert wichtel("triage", "list", "--state", "open", "--json").data == []
