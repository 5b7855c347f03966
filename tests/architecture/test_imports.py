"""The rooms keep to their place: the contracts of pyproject.toml, and what they cannot say."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "wichtel"
ROOMS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))

#: What `import wichtel` must not load: each costs more than the whole budget of 0.2 s, or belongs to an extra.
HEAVY = {"alembic", "dbos", "fastapi", "jax", "keras", "lightgbm", "numpy", "optuna", "pandas", "polars", "psycopg", "pyarrow", "pydantic",
         "rich", "sklearn", "scipy", "sqlalchemy", "typer", "uvicorn"}  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(out.stdout.splitlines()[-1]))


def test_the_contracts_hold() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_domain_imports_nothing_but_the_standard_library() -> None:
    for path in (PACKAGE / "domain").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.startswith("wichtel.domain") or name.split(".")[0] in sys.stdlib_module_names, f"{path.name}: {name}"


@pytest.mark.parametrize("statement", ["import wichtel", "import wichtel.domain"])
def test_importing_is_cheap(statement: str) -> None:
    assert not HEAVY & loaded_by(statement)


def test_importing_has_no_side_effects(tmp_path: Path) -> None:
    code = "import os, threading, wichtel; assert threading.active_count() == 1; assert not os.listdir()"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.name)
def test_a_room_says_what_it_is_and_what_it_gives(room: Path) -> None:
    module = importlib.import_module(f"wichtel.{room.name}")
    told = " ".join((module.__doc__ or "").split()).lower()
    for word in ("owns", "may import", "start", "copy"):
        assert word in told, f"the docstring of {room.name} does not say: {word}"
    for name in module.__all__:
        assert hasattr(module, name), f"{room.name}.{name} is promised but not there"
