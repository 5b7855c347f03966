"""The command line, called in this process."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wichtel.cli import main


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its JSON."""
        return json.loads(self.out)


class Wichtel:
    """Calls `wichtel` as a shell does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str | Path, expect: int = 0) -> Said:
        self._monkeypatch.setattr(sys, "argv", ["wichtel", *map(str, arguments)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        said = Said(int(ended.value.code or 0), out, err)
        assert said.code == expect, said
        assert "Traceback" not in err
        return said


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Wichtel:
    """In an empty folder, with a home of its own and no service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WICHTEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("WICHTEL_WORKERS", "1")
    monkeypatch.setenv("WICHTEL_BOOTSTRAP_RESAMPLES", "100")
    return Wichtel(monkeypatch, capsys)


@pytest.fixture
def wichtel(alone: Wichtel, service: Any, monkeypatch: pytest.MonkeyPatch) -> Wichtel:
    """With the service that the tests share."""
    monkeypatch.setenv("WICHTEL_URL", service.url)
    monkeypatch.setenv("WICHTEL_TOKEN", service.token)
    return alone
