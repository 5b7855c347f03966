"""Jobs, exports, usage, shares, limits and health, as somebody who looks after the service types them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def finished(wichtel: Any, service: Any) -> str:
    """An experiment that has finished."""
    known = wichtel("experiments", "list", "model:operations state:FINISHED", "--json").data
    if known:
        return str(known[0]["id"])
    wichtel("datasets", "add", "d", service.folder / "d.csv", "--time-column", "t")
    wichtel("models", "add", "operations", service.folder / "plan")
    [done] = wichtel("run", "TrainModel", "operations", "--follow", "--json", expect=3).data
    return str(done["id"])


@pytest.fixture
def viewer(wichtel: Any) -> str:
    """A token of somebody who may only look."""
    return str(wichtel("tokens", "create", "looks-on", "--role", "viewer").out.strip())


def test_jobs(wichtel: Any, viewer: str) -> None:
    listed = wichtel("jobs", "list").out
    assert listed.splitlines()[0].split() == ["JOB", "DUE", "LAST", "ENDED", "TOOK", "OUTCOME", "ERROR"]
    assert "collect-garbage" in listed
    assert {j["name"] for j in wichtel("jobs", "list", "--json").data} >= {"export", "collect-garbage", "clean-workflows"}
    assert "answers" in wichtel("jobs", "run", "forget-requests").out
    ran = wichtel("jobs", "run", "forget-requests", "--json").data
    assert (ran["outcome"].keys(), ran["error"]) == ({"answers", "counts"}, "")
    assert "3600 s" in wichtel("jobs", "show", "forget-requests").out
    assert wichtel("jobs", "show", "forget-requests", "--json").data["ended"] == ran["ended"]
    would = wichtel("jobs", "run", "collect-garbage", "--dry-run", "--json").data
    assert would["artifacts"] == 0
    assert "artifacts" in wichtel("jobs", "run", "collect-garbage", "--dry-run").out
    assert wichtel("jobs", "show", "collect-garbage", "--json").data["ended"] is None, "it was not run"


def test_jobs_that_are_not_there_or_not_for_everybody(wichtel: Any, viewer: str) -> None:
    assert "Did you mean 'export'?" in wichtel("jobs", "run", "exprt", expect=4).err
    assert "there is no job" in wichtel("jobs", "show", "exprt", expect=4).err
    assert wichtel("jobs", "run", "forget-requests", "--dry-run", expect=2).err
    wichtel("jobs", "run", "export", "--wait", "-1", expect=2)
    for command in (["list"], ["show", "export"], ["run", "export"], ["run", "export", "--dry-run"]):
        said = wichtel("jobs", *command, "--token", viewer, expect=5)
        assert "looks-on is a viewer" in said.err
        assert said.out == ""


def test_exports(wichtel: Any, finished: str, tmp_path: Path) -> None:
    wichtel("jobs", "run", "export")
    [export] = wichtel("exports", "list", "--json").data
    [day] = export["files"]
    assert (export["number"], export["rows"]) == (1, 1)
    assert day in wichtel("exports", "list").out
    assert wichtel("exports", "get", "1", day).out.split() == ["file", f"export-000001-{day}.parquet"]
    assert pq.read_table(tmp_path / f"export-000001-{day}.parquet")["id"].to_pylist() == [finished]
    assert wichtel("exports", "get", "1", day, "--to", tmp_path / "a/b.parquet", "--json").data == {"file": str(tmp_path / "a/b.parquet")}
    assert "there is no export" in wichtel("exports", "get", "9", day, expect=4).err
    assert "has no file of" in wichtel("exports", "get", "1", "2001-01-01", expect=4).err
    wichtel("exports", "get", "one", day, expect=2)
    (tmp_path / "file").touch()
    assert "cannot be written" in wichtel("exports", "get", "1", day, "--to", tmp_path / "file/x", expect=2).err


def test_export(wichtel: Any, finished: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert str(out / "experiments.parquet") in wichtel("export", out).out
    assert pq.read_table(out / "experiments.parquet")["id"].to_pylist() == [finished]
    files = wichtel("export", out, "--format", "csv", "--usage", "--json").data
    assert files == [str(out / "experiments.csv"), str(out / "usage.json")]
    with (out / "experiments.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["UNSATISFIED"]
    assert json.loads((out / "usage.json").read_text())["totals"]["experiments"] == 1
    wichtel("export", out, "--since", "2031-01-01")
    assert pq.read_table(out / "experiments.parquet").num_rows == 0
    wichtel("export", out, "--team", "nobody")
    assert pq.read_table(out / "experiments.parquet").num_rows == 0
    assert "Did you mean 'csv'?" in wichtel("export", out, "--format", "cvs", expect=2).err
    wichtel("export", out, "--since", "yesterday", expect=2)
    (tmp_path / "file").touch()
    assert "cannot be written" in wichtel("export", tmp_path / "file", expect=2).err


def test_usage(wichtel: Any, finished: str) -> None:
    text = wichtel("usage").out
    # The heading and the totals go with the tables, into whatever file they go.
    assert "Median times, by status" in text
    assert text.splitlines()[-2].startswith("experiments  1 (")
    assert "TrainModel  basic" in text
    report = wichtel("usage", "--json").data
    assert report["totals"]["experiments"] == 1
    tables = {name: wichtel("usage", name, "--json").data for name in ("statuses", "times", "protocols")}
    assert tables == {name: report[name] for name in tables}
    assert wichtel("usage", "times").out.splitlines()[0].split() == ["STATUS", "QUEUING", "SCHEDULING", "EXECUTION"]
    assert wichtel("usage", "protocols", "--before", "2001-01-01", "--json").data == []
    assert "Did you mean 'times'?" in wichtel("usage", "tmes", expect=4).err
    wichtel("usage", "requests")


def test_shares_and_limits(wichtel: Any, viewer: str) -> None:
    wichtel("quotas", "set", "cli-ops", "3", "--runs", "2")
    assert wichtel("quotas", "show", "cli-ops", "--json").data["max_runs"] == 2
    assert "2 workers" in wichtel("quotas", "show", "cli-ops").out
    assert "Did you mean 'cli-ops'?" in wichtel("quotas", "show", "cli-op", expect=4).err
    assert "cannot name" in wichtel("quotas", "set", "a b", "3", expect=2).err
    assert "by admin: repairs" in wichtel("quotas", "pause", "cli-ops", "--reason", "repairs").out
    assert "cli-ops" in wichtel("queue").out
    assert wichtel("queue", "--group", "cli-ops", "--json").data["groups"][0]["group"]["paused"]["reason"] == "repairs"
    assert wichtel("quotas", "resume", "cli-ops", "--json").data["paused"] is None
    assert wichtel("quotas", "delete", "cli-ops", "--json").data == {"deleted": "cli-ops"}
    assert "is not paused" in wichtel("quotas", "resume", "cli-ops", expect=4).err
    wichtel("quotas", "limit", "user", "*", "--in-progress", "2", "--starts-per-hour", "9")
    assert wichtel("quotas", "limits").out.splitlines()[1].split() == ["each", "user", "2", "9"]
    assert wichtel("quotas", "unlimit", "user", "*", "--json").data == {"lifted": "*"}
    assert "is 'ana'" in wichtel("quotas", "limit", "user", "ana@example.org", "--in-progress", "1", expect=2).err
    for command in (["set", "x", "1"], ["pause", "x"], ["limit", "user", "bob", "--in-progress", "1"], ["unlimit", "user", "bob"]):
        assert "takes the role admin" in wichtel("quotas", *command, "--token", viewer, expect=5).err


def test_health(wichtel: Any, viewer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = wichtel("health").out
    assert text.splitlines()[0].split() == ["status", "ok"]
    for word in ("replicas", "leaders", "workers", "jobs", "database"):
        assert word in text
    found = wichtel("health", "--json", "--token", viewer).data
    assert (found["status"], found["problems"]) == ("ok", [])
    monkeypatch.setenv("WICHTEL_URL", "http://127.0.0.1:9")
    said = wichtel("health", "--json", expect=5)
    assert json.loads(said.err)["error"]["code"] == "no_service"
    assert said.out == ""
