"""What docs/search.md and the example notebook show is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_guide_to_searching_runs_from_top_to_bottom(here: Path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "search.md").read_text(), flags=re.DOTALL)
    assert len(blocks) > 8
    (here / "guide.py").write_text("\n".join(blocks))
    ran = subprocess.run([sys.executable, "-W", "error", "guide.py"], capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert (here / "report.html").exists()


def test_the_notebook_runs(here: Path):
    notebook = nbformat.read(ROOT / "examples" / "search" / "digits.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without outputs, so that differences are readable"
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(here)}}).execute()
    texts = [str(output.get("data", {})) + str(output.get("text", "")) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("fresh seeds" in text for text in texts)
    assert sum("plotly" in text for text in texts) >= 3
