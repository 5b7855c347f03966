"""What may not be committed, whoever writes it."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "wichtel").rglob("*.py"))


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", ["requirements/dev.txt", "requirements/uv.txt", "package-lock.json", "pyproject.toml"])
def test_no_requirement_names_the_host_it_came_from(name: str) -> None:
    assert not re.search(r"://|index-url|find-links|\"resolved\"", (ROOT / name).read_text())


def test_every_requirement_is_hashed() -> None:
    for name in ("dev.txt", "uv.txt"):
        text = (ROOT / "requirements" / name).read_text()
        pinned = re.findall(r"^[a-z0-9][^\n]*==[^\n]*(?:\n +[^\n]*)*", text, flags=re.MULTILINE)
        assert pinned
        assert all("--hash=sha256:" in entry for entry in pinned)


def test_nothing_names_the_folder_it_was_written_in() -> None:
    home = str(ROOT) + "/"
    for path in committed():
        assert home.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("path", [p for p in SOURCES if ">>> " in p.read_text()], ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_examples_in_docstrings_do_what_they_say(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_files_stay_small() -> None:
    lines = sorted((len(path.read_text().splitlines()), str(path.relative_to(ROOT))) for path in SOURCES)
    assert sum(count > 450 for count, _ in lines) <= len(lines) // 20, lines[-10:]
    assert lines[len(lines) // 2][0] <= 180


def test_assets_of_the_pages_are_not_from_elsewhere() -> None:
    """No page loads anything from another host."""
    for path in (ROOT / "src" / "wichtel").rglob("*.html"):
        assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", path.read_text()), path
