"""Git repositories for tests, which know nothing of this user's or this machine's configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


class Repository:
    """A new git repository in `folder`.

    Args:
        folder: Where; made if need be.
        bare: Without a working tree.
    """

    def __init__(self, folder: Path, *, bare: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main", *(["--bare"] if bare else []))

    def git(self, *arguments: str, data: bytes = b"") -> bytes:
        """Call git there and return what it prints.

        Raises:
            AssertionError: it fails; with what it says.
        """
        done = subprocess.run(["git", *arguments], cwd=self.folder, input=data, env=environment(), capture_output=True, check=False)
        assert done.returncode == 0, (arguments, done.stderr.decode())
        return done.stdout

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put `files` into the working tree."""
        for path, content in files.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def commit(self, files: Mapping[str, bytes], message: str = "begin") -> str:
        """Commit `files` beside what is there, and return the commit."""
        self.write(files)
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").decode().strip()

    def files(self, tree: str) -> dict[str, bytes]:
        """Path → content, in a commit or tree."""
        entries = [entry.partition("\t") for entry in self.git("ls-tree", "-r", "-z", tree).decode().split("\0") if entry]
        return {path: self.git("cat-file", "blob", about.split()[2]) for about, _, path in entries}


def environment() -> dict[str, str]:
    """Environment variables with which git does the same for everybody."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = {
        f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Ana"), ("EMAIL", "ana@example.org"))
    }
    return {**given, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "TZ": "UTC"}
