"""Commands that need no service, and what they say when they do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_help_tells_the_exit_codes(alone: Any) -> None:
    said = alone("--help")
    assert "3 an experiment" in said.out.replace("\n", " ")
    for command in ("models", "run", "register", "tune", "serve", "db", "config"):
        assert f"\n  {command} " in said.out
    assert "--local" in alone("experiments", "show", "--help").out


def test_help_waits_for_nothing_heavy() -> None:
    heavy = ("fastapi", "pydantic", "sqlalchemy", "dbos", "httpx2", "rich", "numpy")
    code = f"import sys, wichtel.cli; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_without_a_service(alone: Any, free_port: int) -> None:
    said = alone("models", "list", "--url", f"http://127.0.0.1:{free_port}", expect=5)
    assert "wichtel serve" in said.err
    assert said.out == ""
    report = json.loads(alone("models", "list", "--json", "--url", f"http://127.0.0.1:{free_port}", expect=5).err)
    assert report["error"]["code"] == "no_service"


def test_version_and_config(alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert alone("version").out[0].isdigit()
    assert alone("config", "show", "--json").data["home"] == str(tmp_path / "home")
    monkeypatch.setenv("WICHTEL_TOKEN", "wt_hush")
    said = alone("config", "show", "--origin", "--url", "http://there")
    assert "flag" in said.out
    assert "environment" in said.out
    assert "hush" not in said.out
    (tmp_path / "wichtel.toml").write_text("prot = 1\n")
    assert "Did you mean 'port'?" in alone("config", "show", expect=2).err


def test_db(alone: Any, tmp_path: Path) -> None:
    alone("db", "upgrade")
    alone("db", "check")
    assert (tmp_path / "home/wichtel.db").exists()


def test_tune(alone: Any, tmp_path: Path) -> None:
    (tmp_path / "mine_to_tune.py").write_text("def train(x):\n    return {'loss': (x - 2) ** 2}\n")
    (tmp_path / "space.toml").write_text("x = {kind = 'float', low = 0, high = 4}\n")
    arguments = ["tune", "mine_to_tune:train", "--space", "space.toml", "--minimize", "loss", "--trials", "5", "--workers", "1"]
    best = alone(*arguments, "--searcher", "random", "--json").data["best"]
    assert best["metrics"]["loss"] == pytest.approx((best["config"]["x"] - 2) ** 2)
    assert "Did you mean 'train'?" in alone("tune", "mine_to_tune:trian", "--space", "space.toml", "--minimize", "loss", expect=2).err
    assert "cannot be imported" in alone("tune", "not_mine:train", "--space", "space.toml", "--minimize", "loss", expect=2).err
    (tmp_path / "broken_to_tune.py").write_text("1 / 0\n")
    assert "ZeroDivisionError" in alone("tune", "broken_to_tune:train", "--space", "space.toml", "--minimize", "loss", expect=2).err
    (tmp_path / "space.toml").write_text("x = {kind = 'flaot', low = 0, high = 4}\n")
    assert "Did you mean 'float'?" in alone(*arguments, expect=2).err
    assert "where" not in alone("tune", "x", "--space", "space.toml", expect=2).out


def test_a_registration_file_with_a_value_where_a_table_belongs(alone: Any, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('models = ["m"]\nprotocols = ["TrainModel"]\nparameters = 3\n')
    assert "parameters is no table" in alone("register", "--file", "r.toml", expect=2).err


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_live_table_shows_what_moves_first(capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace
    from datetime import UTC, datetime

    from wichtel.cli.follow import _Live, exit_code
    from wichtel.domain import Constraint, Expectation, Experiment, ExperimentConfig, ExperimentState, ExperimentStatus, Intent

    intent = Intent(name="i", constraints=(Constraint(metric="auc", expectation=Expectation.LARGER),), primary="auc")
    waiting = Experiment(
        id="e-waits",
        registration="r",
        model="m",
        target="v",
        protocol="TrainModel",
        config=ExperimentConfig(intent=intent),
        owner="o",
        quota_group="q",
        created=datetime.now(UTC),
    )
    moving = replace(waiting, id="e-moves", state=ExperimentState.IN_PROGRESS)
    with _Live() as view:
        view.show([*[(waiting, "")] * 40, (moving, "train_candidate (5/8)")])
    shown = capsys.readouterr().err
    assert shown.index("e-moves") < shown.index("e-waits")
    assert "and 11 more" in shown
    ended = [replace(waiting, status=status) for status in (ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED)]
    assert [exit_code(ended[:1]), exit_code(ended), exit_code([replace(waiting, status=ExperimentStatus.USER_ERROR), *ended])] == [0, 3, 2]
