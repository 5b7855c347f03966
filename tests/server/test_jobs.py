"""Jobs, exports and usage over HTTP, by client and by command."""

import io

import polars as pl
import pytest

from wichtel.client import Client
from wichtel.domain import ExperimentStatus, InvalidInput, NotFound


@pytest.fixture(scope="module")
def client(service):
    with Client(service.url, service.token) as made:
        yield made


@pytest.fixture(scope="module")
def finished(service, client):
    """The id of an experiment that has finished."""
    client.datasets.add("d", [service.folder / "d.csv"], time_column="t")
    client.models.add("exported", service.folder / "plan")
    (experiment,) = client.register(["exported"], ["TrainModel"]).experiments
    client.experiments.cancel(experiment)
    return experiment


def test_jobs_are_listed_and_run_now(api, client):
    jobs = {job["name"]: job for job in api("GET", "/v1/jobs")["items"]}
    assert {"clean-workflows", "export", "collect-garbage"} < set(jobs)
    assert jobs["export"]["due"].endswith("T02:00:00Z")
    api("POST", "/v1/jobs/clean-workflows:run")
    status = client.jobs.run("clean-workflows", wait_seconds=60)
    assert status.outcome["zombies"] == 0
    assert api("GET", "/v1/jobs/clean-workflows")["error"] == ""
    with pytest.raises(NotFound, match="clean-workflow"):
        client.jobs.run("clean-workflow")


def test_a_preview_says_what_would_be_deleted(api, client):
    assert set(api("POST", "/v1/jobs/collect-garbage:preview")["outcome"]) >= {"artifacts", "bytes"}
    assert client.jobs.preview("export")["rows"] >= 0
    with pytest.raises(InvalidInput, match="beforehand"):
        client.jobs.preview("forget-requests")


def test_what_has_finished_can_be_fetched_before_and_after_it_was_exported(api, client, finished):
    before = pl.read_parquet(io.BytesIO(client.exports.records()))
    assert finished in before["id"].to_list()
    client.jobs.run("export", wait_seconds=60)
    (export,) = api("GET", "/v1/exports")["items"]
    (day,) = export["files"]
    assert export["rows"] == 1
    assert pl.read_parquet(io.BytesIO(api("GET", f"/v1/exports/1/files/{day}")))["id"].to_list() == [finished]
    assert finished in api("GET", "/v1/exports/records?format=csv").decode()
    api("GET", "/v1/exports/1/files/1999-01-01", expect=404)
    api("GET", "/v1/exports/records?since=yesterday", expect=422)


def test_the_four_tables(api, client, finished):
    report = api("GET", "/v1/usage")
    rows = {row["status"]: row for row in api("GET", "/v1/usage/statuses")["items"]}
    assert rows["CANCELED"]["experiments"] == rows["Total"]["experiments"] == report["totals"]["experiments"] == 1
    assert len(api("GET", "/v1/usage/times")["items"]) == len(ExperimentStatus) + 1
    (protocol,) = api("GET", "/v1/usage/protocols?team=default")["items"]
    assert (protocol["protocol"], protocol["kind"]) == ("TrainModel", "basic")
    assert client.usage.report(team="nobody").totals.experiments == 0
