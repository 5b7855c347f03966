"""Who may do what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wichtel.experiments.access import digest


def bearer(api: Any, name: str, role: str, **more: Any) -> dict[str, str]:
    return {"Authorization": "Bearer " + api("POST", "/v1/tokens", 201, json={"name": name, "role": role, **more})["token"]}


def test_without_a_token_nothing_but_health_is_told(api: Any, anonymous: Any) -> None:
    for path, methods in api.document["paths"].items():
        for method in methods:
            answer = anonymous.http.request(method.upper(), path)
            if path not in ("/healthz", "/readyz"):
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "Authorization: Bearer" in answer.json()["hint"]
            else:
                assert answer.status_code == 200, (method, path)


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic d3JvbmcK", "wrong"])
def test_a_wrong_token_is_refused(anonymous: Any, header: str) -> None:
    answer = anonymous.http.get("/v1/models", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["code"] == "not_permitted"


def test_an_expired_token_is_refused(api: Any, anonymous: Any, service: Any) -> None:
    bearer(api, "late", "viewer")
    with service.app.db.transaction() as tx:
        tx.tokens.add("late", digest("wt_over"), expires=tx.now)
        tx.tokens.add("late", digest("wt_good"), expires=tx.now + timedelta(days=1))
    assert anonymous.http.get("/v1/models", headers={"Authorization": "Bearer wt_good"}).status_code == 200
    assert anonymous.http.get("/v1/models", headers={"Authorization": "Bearer wt_over"}).status_code == 401
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    problem = api("POST", "/v1/tokens", 422, json={"name": "late", "expires": past})
    assert (problem["where"], "is past" in problem["message"]) == ("expires", True)


def test_a_viewer_sees_but_changes_nothing(api: Any, anonymous: Any, service: Any) -> None:
    headers = bearer(api, "viewer", "viewer")

    def status(method: str, path: str, **request: Any) -> int:
        return int(anonymous.http.request(method, path, headers=headers, **request).status_code)

    assert status("GET", "/v1/models") == 200
    dataset = {"name": "mine", "files": [str(service.folder / "d.csv")], "time_column": "t"}
    assert status("POST", "/v1/datasets", json=dataset) == 403
    assert status("PUT", "/v1/models/mine", content=b"") == 403
    assert status("POST", "/v1/registrations", json={"models": ["m"], "protocols": [{"protocol": "TrainModel"}]}) == 403
    intent = {"name": "mine", "primary": "auc", "constraints": [{"metric": "auc", "expectation": "larger"}]}
    assert status("PUT", "/v1/intents", json=intent) == 403
    assert status("DELETE", "/v1/intents/mine") == 403
    assert status("PUT", "/v1/quota-groups", json={"name": "mine"}) == 403
    assert status("POST", "/v1/tokens", json={"name": "mine", "role": "admin"}) == 403
    assert status("POST", "/v1/experiments/e-1:finish", json={"status": "SATISFIED", "cause": "so"}) == 403
    study = {"name": "mine", "space": {"x": {"kind": "bool"}}, "objectives": [{"metric": "l", "better": "smaller"}], "entry": "a:b"}
    assert status("POST", "/v1/studies", json=study) == 403


def test_an_editor_is_no_admin(api: Any, anonymous: Any) -> None:
    headers = bearer(api, "editor", "editor")
    answer = anonymous.http.post("/v1/tokens", headers=headers, json={"name": "me", "role": "admin"})
    assert answer.status_code == 403
    assert "admin" in answer.json()["message"]
    assert "WWW-Authenticate" not in answer.headers


def test_there_is_no_such_role(api: Any) -> None:
    assert api("POST", "/v1/tokens", 422, json={"name": "x", "role": "admn"})["hint"] == "Did you mean 'admin'?"


def test_a_time_of_expiry_without_a_zone_is_refused(api: Any) -> None:
    body = {"name": "zoneless", "role": "viewer", "expires": "2030-01-01T00:00:00"}
    assert "time zone" in api("POST", "/v1/tokens", 422, json=body)["message"]
