"""Without a service: this process does the work. And with one that has a life of its own."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WICHTEL = [sys.executable, "-c", "from wichtel.cli import main; main()"]


@pytest.fixture
def home(alone: Any, inputs: Path) -> Path:
    """A home with a model."""
    alone("datasets", "add", "d", inputs / "d.csv", "--time-column", "t", "--local")
    alone("models", "add", "one", inputs / "plan", "--local")
    return inputs / "home"


def shell(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """In a process of its own: only one in a process can carry out workflows, and the service of other tests does."""
    said = subprocess.run([*WICHTEL, *arguments], capture_output=True, text=True, timeout=120)
    assert said.returncode == expect, said
    return said


def test_all_the_way_without_a_service(alone: Any, home: Path) -> None:
    said = shell("run", "TrainModel", "one", "--local", expect=3)
    assert "UNSATISFIED" in said.stdout
    assert alone("experiments", "list", "--local", "--json").data[0]["status"] == "UNSATISFIED"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "token").stat().st_mode) == 0o600
    assert not (home / "local.sock").exists()


def test_a_lost_token_is_made_anew(alone: Any, home: Path) -> None:
    (home / "token").unlink()
    assert [m["name"] for m in alone("models", "list", "--local", "--json").data] == ["one"]
    (home / "token").write_text("wrong")
    assert [m["name"] for m in alone("models", "list", "--local", "--json").data] == ["one"]


def test_a_deep_home_has_its_socket_elsewhere(alone: Any, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    assert alone("models", "list", "--local", "--json", "--home", deep).data == []


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*WICHTEL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_service_serves_until_it_is_told_to_stop(alone: Any, home: Path) -> None:
    with started("serve", "--port", "0", "--json") as process:
        assert process.stdout is not None
        data = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        assert data["url"].startswith("http://127.0.0.1:")
        # The token was made, and kept, by the commands before.
        assert data["token"] is None
        # Neither address nor token need be said: both are found in the home.
        assert [m["name"] for m in alone("models", "list", "--json").data] == ["one"]
        said = alone("models", "list", "--local", expect=2)
        assert f"process {process.pid}, {data['url']}" in said.err
        assert "without --local" in said.err
        workers = children(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    time.sleep(0.2)
    assert not [pid for pid in workers if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert [m["name"] for m in alone("models", "list", "--local", "--json").data] == ["one"]


def test_the_first_token_is_told_once(alone: Any, tmp_path: Path) -> None:
    tokens = []
    for _ in range(2):
        with started("serve", "--port", "0", "--json") as process:
            assert process.stdout is not None
            tokens.append(json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["token"])
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
    assert tokens == [(tmp_path / "home/token").read_text().strip(), None]


def test_a_port_that_is_taken(alone: Any) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        assert "in use" in alone("serve", "--port", str(server.getsockname()[1]), expect=2).err
    assert "nonsense" in alone("serve", "--roles", "nonsense", expect=2).err


def test_ctrl_c_says_how_to_come_back(alone: Any, home: Path) -> None:
    with started("run", "TrainModel", "one", "--local") as process:
        assert process.stderr is not None
        line = next(line for line in iter(process.stderr.readline, "") if "ENQUEUED" in line or "IN_PROGRESS" in line)
        experiment = line.split()[0]
        os.kill(process.pid, signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(20) == 130, rest
    assert f"wichtel experiments show {experiment} --follow --local" in rest
    assert "Traceback" not in rest
    shell("experiments", "show", experiment, "--follow", "--local", expect=3)
