"""From where datasets are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from wichtel.domain import InvalidInput
from wichtel.experiments import Datasets, Principal, Role
from wichtel.store import Artifacts, Database

EDITOR = Principal(name="ed", team="ads", role=Role.EDITOR)
CSV = "t,x\n2020-01-01T00:00:00Z,1\n"


@pytest.fixture
def datasets(tmp_path: Path, database: Database) -> Datasets:
    """Read from one folder; a secret lies beside it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/d.csv").write_text(CSV)
    (tmp_path / "secret.csv").write_text(CSV)
    (tmp_path / "data-of-others").mkdir()
    (tmp_path / "data-of-others/d.csv").write_text(CSV)
    (tmp_path / "data/link.csv").symlink_to(tmp_path / "secret.csv")
    (tmp_path / "data/inner.csv").symlink_to(tmp_path / "data/d.csv")
    return Datasets(database, Artifacts(tmp_path / "artifacts"), folders=[str(tmp_path / "data")])


@pytest.mark.parametrize("path", ["data/d.csv", "data/inner.csv", "data/../data/d.csv"])
def test_files_of_the_folder_are_read(datasets: Datasets, tmp_path: Path, path: str) -> None:
    assert datasets.add("d", [str(tmp_path / path)], "t", EDITOR).rows == 1


@pytest.mark.parametrize("path", ["secret.csv", "data/link.csv", "data/../secret.csv", "data-of-others/d.csv", "data/a\0b.csv"])
def test_others_are_not_whatever_leads_there(datasets: Datasets, tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidInput) as error:
        datasets.add("d", [str(tmp_path / "data/d.csv"), str(tmp_path / path)], "t", EDITOR)
    assert error.value.where == str(tmp_path / path)
    assert datasets.list().items == ()


def test_without_folders_all_that_can_be_read_are(database: Database, datasets: Datasets, tmp_path: Path) -> None:
    anywhere = Datasets(database, Artifacts(tmp_path / "artifacts"))
    assert anywhere.add("d", [str(tmp_path / "secret.csv")], "t", EDITOR).rows == 1
