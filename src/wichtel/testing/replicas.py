"""Processes of a service that can be stopped, killed and started again: for tests of restarts, and for scripts that disturb a service."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path


class ReplicaProcess:
    """One ``wichtel serve``, always at the same address.

    Args:
        name: Of its log.
        roles: With commas between.
        environment: Settings, as ``WICHTEL_…``, over what this process has.
        folder: Where its log is, and where it runs.
    """

    def __init__(self, name: str, roles: str, environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.roles = roles
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self._environment = {**os.environ, **environment}
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens if it has the role api."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        assert self._process is not None, "start() comes first"
        return self._process

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and return at once."""
        self._seen = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, "-m", "wichtel", "serve", "--port", str(self.port), "--roles", self.roles]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment, cwd=self._folder)

    def wait_ready(self, timeout_seconds: float = 120.0) -> None:
        """Wait until it says that it serves.

        Raises:
            RuntimeError: it ended, or took too long; with the end of its log.
        """
        deadline = time.monotonic() + timeout_seconds
        while "Stop it with ctrl-C" not in self.said():
            if not self.alive or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not serve:\n{self.said()[-4000:]}")
            time.sleep(0.05)

    def said(self) -> str:
        """What it printed since it was started last."""
        with self.log.open("rb") as log:
            log.seek(self._seen)
            return log.read().decode("utf-8", "replace")

    def kill(self) -> None:
        """As ``kill -9``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, timeout_seconds: float = 60.0) -> int:
        """Ask it to stop, and wait until it has; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_seconds)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
