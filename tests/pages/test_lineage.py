"""Versions are drawn so that each stands above the one it was made of, and no two in one place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from wichtel.domain import Analysis, Expectation, Job, Metadata, ModelVersion, Window
from wichtel.server.pages.lineage import lineage

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_versions_stand_above_what_they_were_made_of() -> None:
    day = timedelta(days=1)
    job = Job(dataset="d", label="y", train=Window(start=START - day, end=START), evaluation=Window(start=START, end=START + day))
    metadata = Metadata(primary_metric="auc", better=Expectation.LARGER)
    analysis = Analysis(trainer="sklearn", features=(), tunables=(), metadata=metadata, job=job)
    first = ModelVersion(id="a", model="m", tree="t", analysis=analysis, created=START)
    made = [("b", "a", ""), ("x", "a", "e-1"), ("y", "x", "e-2"), ("c", "b", ""), ("z", "c", "e-3"), ("lost", "older", "e-4")]
    versions = [first]
    for at, (name, parent, experiment) in enumerate(made, 1):
        versions.append(replace(first, id=name, parent=parent, experiment=experiment, created=START + timedelta(hours=at)))
    drawn = lineage(versions[::-1], "c")
    rows = {row.version.id: row for row in drawn.rows}
    assert len({row.y for row in drawn.rows}) == len(drawn.rows) == len(versions)
    for name, parent, _ in made[:-1]:
        assert rows[name].y < rows[parent].y
    assert rows["a"].x == rows["b"].x == rows["c"].x < rows["x"].x < rows["y"].x
    assert [row.version.id for row in drawn.rows if row.head] == ["c"]
    assert {row.version.id for row in drawn.rows if row.trunk} == {"a", "b", "c"}
    assert len(drawn.lines) == len(made)
