"""What a service leaves in its home."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wichtel.domain import AlreadyExists, InvalidInput, StorageFailed
from wichtel.server import HomeLock, Serving, listen, read_token, serving, write_token


def test_a_home_has_one_service(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with HomeLock(home, "http://a"):
        assert serving(home) == Serving(os.getpid(), "http://a")
        with pytest.raises(AlreadyExists, match=f"process {os.getpid()}, http://a"), HomeLock(home, "http://b"):
            pass
    assert serving(home) is None
    with HomeLock(home, "http://c"):
        pass
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    dies = "import os, sys; from pathlib import Path; from wichtel.server import HomeLock; "
    dies += "HomeLock(Path(sys.argv[1]), 'http://a').__enter__(); os._exit(0)"
    subprocess.run([sys.executable, "-c", dies, str(tmp_path)], check=True)
    assert serving(tmp_path) is None
    with HomeLock(tmp_path, "http://b"):
        assert serving(tmp_path) == Serving(os.getpid(), "http://b")


def test_only_its_owner_may_read_the_token(tmp_path: Path) -> None:
    path = write_token(tmp_path / "home", "secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_token(tmp_path / "home") == "secret"
    assert read_token(tmp_path) is None


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(InvalidInput, match="Address already in use"):
        listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InvalidInput, match="cannot listen there"):
        listen("no.such.host.invalid", 0)


def test_a_home_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="--home"), HomeLock(tmp_path / "file", "http://a"):
        pass
