"""The health of the service, and its metrics."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from wichtel.client import Client
from wichtel.experiments.health import Health


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_health_tells_of_replicas_leaders_workers_and_the_database(api: Any, service: Any) -> None:
    service.app.workflows._heartbeat.beat()
    found = api("GET", "/v1/health")
    assert (found["status"], found["problems"]) == ("ok", [])
    [replica] = found["replicas"]
    assert (replica["roles"], replica["state"]) == (["api", "orchestrator", "controller"], "working")
    assert [leader["name"] for leader in found["leaders"]] == ["controller"]
    assert found["workers"]["replica"] == replica["id"]
    assert found["database"]["revision"] == found["database"]["code"]
    with Client(service.url, service.token) as client:
        assert client.health.get().status == "ok"


def test_what_is_wrong_is_told_in_words(service: Any) -> None:
    found = Health(service.app.db, silent_after_seconds=-1).get()
    assert found.status == "degraded"
    assert any("has been silent since" in problem for problem in found.problems)
    assert "no orchestrator works" in found.problems


@pytest.mark.parametrize("probe", ["/healthz", "/readyz"])
def test_a_load_balancer_may_ask_for_the_head_alone(anonymous: Any, probe: str) -> None:
    answer = anonymous.http.head(probe)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_draining_replica_is_not_to_be_sent_requests(api: Any, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.app, "draining", True)
    assert api("GET", "/readyz", 503)["status"] == "draining"
    answer = api.http.get("/v1/models")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


def test_metrics_need_a_token_and_tell_of_requests_and_the_service(api: Any, anonymous: Any) -> None:
    assert anonymous.http.get("/metrics").status_code == 401
    assert anonymous.http.get("/healthz").status_code == 200
    api("GET", "/v1/models")
    answer = api.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(answer.text)
    assert found["wichtel_request_seconds_count", (("call", "models_list"), ("status", "2xx"))] >= 1
    buckets = [v for (name, labels), v in found.items() if name == "wichtel_request_seconds_bucket" and ("call", "models_list") in labels]
    assert buckets == sorted(buckets)
    assert buckets[-1] >= 1
    assert found["wichtel_up", ()] == 1
    assert found["wichtel_leader_token", (("lease", "controller"),)] >= 1
    assert ("wichtel_runs", (("state", "RUNNING"),)) in found


def test_metrics_go_on_without_the_database(api: Any, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from wichtel.domain import Unavailable
    from wichtel.server import metrics

    def away() -> None:
        raise Unavailable("the database failed.")

    # Authentication asks the database; the figures themselves must not.
    monkeypatch.setattr(service.app.health, "get", away)
    monkeypatch.setattr(metrics, "CACHE_SECONDS", -1.0)
    answer = httpx2.get(f"{service.url}/metrics", headers={"Authorization": f"Bearer {service.token}"})
    assert samples(answer.text)["wichtel_up", ()] == 0


def test_a_request_is_named_in_the_log(api: Any, service: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    from wichtel.domain.doing import said

    heard: list[dict[str, str]] = []

    def get(name: str, *_: Any) -> None:
        heard.append(dict(said()))
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(service.app.datasets, "get", get)
    answer = api.http.get("/v1/datasets/d", headers={"X-Request-Id": "mine-1"})
    assert answer.status_code == 500
    assert heard[0]["request_id"] == "mine-1"
    assert heard[0]["principal"] == "admin"
