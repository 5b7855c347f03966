from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from wichtel.domain import AlreadyExists, Analysis, Dataset, Expectation, Metadata, Model, ModelVersion, NotPermitted, RunSpec
from wichtel.experiments import Models, Principal, Role
from wichtel.plans import SourceTree, read_job
from wichtel.store import Artifacts, Database

BOB = Principal(name="bob", team="maps", role=Role.EDITOR)
JOB = b"""
[dataset]
name = "d"
label = "y"

[windows]
train = ["2026-01-01", "2026-01-02"]
evaluation = ["2026-01-02", "2026-01-03"]
"""


@pytest.mark.parametrize(("new", "error"), [(False, NotPermitted), (True, AlreadyExists)])
def test_a_name_that_another_team_takes_while_the_plan_is_analysed_stays_theirs(tmp_path: Path, new: bool, error: type[Exception]) -> None:
    tree = SourceTree({"plan.py": b"", "job.toml": JOB})
    metadata = Metadata(primary_metric="auc", better=Expectation.LARGER)
    analysis = Analysis(trainer="sklearn", features=(), tunables=(), metadata=metadata, job=read_job(tree))

    class Overtaken(Models):
        def _analyse(self, spec: RunSpec, load_seconds: float) -> Analysis:
            with db.transaction() as tx:
                tx.versions.add(ModelVersion(id="v-ana", model="m", tree="t", analysis=analysis, created=tx.now))
                tx.models.add(Model(name="m", owner="ana", team="ads", head="v-ana", created=tx.now))
            return analysis

    db = Database.open(f"sqlite:///{tmp_path}/w.db", upgrade=True)
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC)
    with db.transaction() as tx:
        columns = {"y": "int64", "t": "timestamp[us, tz=UTC]"}
        tx.datasets.add(
            Dataset(name="d", digest="d", time_column="t", columns=columns, rows=9, start=start, end=end, owner="ana", created=tx.now)
        )
    models = Overtaken(db, Artifacts(str(tmp_path / "artifacts")))
    with pytest.raises(error):
        models.add("m", tree.to_archive(), BOB, new=new)
    assert models.get("m").head == "v-ana"
    assert [v.id for v in models.versions("m").items] == ["v-ana"]
    db.close()
