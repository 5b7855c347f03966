"""What the README shows is what happens."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import create_autospec

import pytest

import wichtel as wt

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TUNE, PLAN, REGISTER = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [shlex.split(line, comments=True) for line in re.findall(r"^\$ (.*)$", README, flags=re.MULTILINE)]


def run(script: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", script], cwd=script.parent, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_search_finds_a_good_fit(tmp_path: Path) -> None:
    script = tmp_path / "search.py"
    script.write_text(TUNE)
    best, explanation = run(script).splitlines()
    config, metrics = (ast.literal_eval(part + "}") for part in best.removesuffix("}").split("} "))
    assert "Gaussian process" in explanation
    assert config["degree"] >= 2
    assert metrics["loss"] < 0.1


def test_the_plan_runs_by_hand_and_is_understood(tmp_path: Path) -> None:
    from wichtel.plans import SourceTree, analyse_tree

    script = tmp_path / "plan.py"
    script.write_text(PLAN)
    run(script)
    shutil.copy(ROOT / "examples/flights/lightgbm/job.toml", tmp_path)
    analysis = analyse_tree(SourceTree.from_folder(tmp_path))
    assert [f.name for f in analysis.features] == ["carrier", "dest", "hour", "distance"]
    assert {t.name for t in analysis.tunables} == {"n_estimators", "learning_rate"}
    assert analysis.metadata.primary_metric == "auc"


def test_the_registration_uses_calls_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    client = create_autospec(wt.Client(url="http://127.0.0.1:1", token="t"), spec_set=True)
    client.experiments.wait.return_value = [create_autospec(wt.domain.Experiment, instance=True)]
    monkeypatch.setattr(wt, "Client", lambda: client, raising=False)
    exec(compile(REGISTER, "README.md", "exec"), {})
    client.register.assert_called_once()
    client.experiments.diff.assert_called_once()


@pytest.mark.parametrize("words", [c for c in COMMANDS if c[0] == "wichtel"], ids=" ".join)
def test_the_commands_are_there_with_their_options(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [c for c in COMMANDS if c[0] == "make"], ids=" ".join)
def test_the_targets_are_there(words: list[str]) -> None:
    assert re.search(rf"^{words[1]}:.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]), ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target
