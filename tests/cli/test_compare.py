"""`wichtel compare`, `wichtel experiments export` and `rerun`, against a service."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from wichtel.testing.repositories import Repository, environment

INTENT = """
name = "cli"
primary = "auc"
models = "compared/*"
[[constraints]]
metric = "auc"
expectation = "larger"
threshold = -0.5
"""


@pytest.fixture
def experiment(wichtel: Any, service: Any, tmp_path: Path) -> str:
    """One that has found something; the same for all tests."""
    known = wichtel("experiments", "list", "model:compared/one status:SATISFIED", "--json").data
    if known:
        return str(known[-1]["id"])
    wichtel("datasets", "add", "d", service.folder / "d.csv", "--time-column", "t")
    wichtel("models", "add", "compared/one", service.folder / "plan")
    (tmp_path / "cli.toml").write_text(INTENT)
    wichtel("intents", "put", "cli.toml")
    made = wichtel("run", "SetHyperparameters", "compared/one", "--intent", "cli", "-p", 'values={"weight": 2}', "--follow", "--json").data
    return str(made[0]["id"])


def test_compare(wichtel: Any, experiment: str, tmp_path: Path) -> None:
    said = wichtel("compare", experiment)
    assert "FROM BASELINE" in said.out
    assert "holds" in said.out
    assert "protocol=SetHyperparameters" in said.err
    assert "values.weight=2" in said.err
    found = wichtel("compare", "--query", "model:compared/one status:SATISFIED", "--reference", experiment, "--json").data
    assert [e["id"] for e in found["experiments"]] == [experiment]
    [row] = csv.DictReader(wichtel("compare", experiment, "--csv").out.splitlines())
    assert (row["experiment"], row["auc.outcome"]) == (experiment, "holds")
    wichtel("compare", experiment, "--objectives", "auc,model_bytes", "--html", "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "model_bytes" in page
    assert experiment in page
    assert "which experiments?" in wichtel("compare", expect=2).err
    assert "no experiment 'e-0'" in wichtel("compare", "e-0", expect=4).err
    assert "character" in wichtel("compare", "--query", "modle:x", expect=2).err
    assert "Did you mean 'auc'" in wichtel("compare", experiment, "--objectives", "acu", expect=2).err


def test_export(wichtel: Any, experiment: str, service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)
    repository = Repository(tmp_path / "models")
    repository.commit({f"one/{path.name}": path.read_bytes() for path in (service.folder / "plan").iterdir()})
    assert "git am" in wichtel("experiments", "export", experiment, "--patch", "c.patch", "--path", "one").err
    repository.git("apply", "--check", str(tmp_path / "c.patch"))
    assert wichtel("experiments", "export", experiment, "--patch", "-").out.startswith("From 0000")
    made = wichtel("experiments", "export", experiment, "--repository", "models", "--path", "one")
    assert f"push REMOTE wichtel/{experiment}" in made.err
    assert b"tunable.Set" in repository.files(f"wichtel/{experiment}")["one/plan.py"]
    again = wichtel("experiments", "export", experiment, "--repository", "models", "--path", "one", expect=2)
    assert "there is a branch" in again.err
    assert "plan.py is not there" in wichtel("experiments", "export", experiment, "--repository", "models", "--branch", "b", expect=2).err
    assert "DESCRIPTION.md" in wichtel("experiments", "export", experiment, "--folder", "pr").err
    assert "SATISFIED" in (tmp_path / "pr/DESCRIPTION.md").read_text()
    assert "to what?" in wichtel("experiments", "export", experiment, expect=2).err
    assert "of which repository?" in wichtel("experiments", "export", experiment, "--patch", "-", "--branch", "b", expect=2).err


def test_rerun(wichtel: Any, experiment: str) -> None:
    made = wichtel("experiments", "rerun", experiment, "--seed", "fresh", "--json").data
    assert made["config"]["rerun_of"] == experiment
    wichtel("experiments", "cancel", made["id"])
    assert "Did you mean 'head'" in wichtel("experiments", "rerun", experiment, "--on", "haed", expect=2).err
