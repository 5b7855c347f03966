"""Keys, conditions and tags."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import httpx2
import pytest

STUDY = {
    "space": {"x": {"kind": "float", "low": 0, "high": 1}},
    "objectives": [{"metric": "loss", "better": "smaller"}],
    "entry": "operator:attrgetter",
    "trials": 1,
}


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def test_a_lost_answer_is_asked_for_again(api: Any) -> None:
    headers = key()
    first = api.http.post("/v1/studies", json={**STUDY, "name": "once"}, headers=headers)
    again = api.http.post("/v1/studies", json={**STUDY, "name": "once"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["content-type"] == "application/json"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert first.headers["location"] == again.headers["location"] == f"/v1/studies/{first.json()['spec']['id']}"
    assert api("POST", "/v1/studies", 409, json={**STUDY, "name": "once"}, headers=key())["code"] == "already_exists"


def test_a_key_is_for_one_request(api: Any) -> None:
    headers = key()
    api("POST", "/v1/studies", 201, json={**STUDY, "name": "mine"}, headers=headers)
    problem = api("POST", "/v1/studies", 422, json={**STUDY, "name": "other"}, headers=headers)
    assert "another request" in problem["message"]
    assert "Idempotency-Key" in problem["where"]
    api("POST", "/v1/studies", 422, json={**STUDY, "name": "x"}, headers={"Idempotency-Key": "k" * 201})


def test_a_refusal_is_not_kept(api: Any) -> None:
    headers = key()
    api("POST", "/v1/studies", 422, json={**STUDY, "name": ""}, headers=headers)
    api("POST", "/v1/studies", 201, json={**STUDY, "name": "refused"}, headers=headers)


def test_of_many_at_once_one_does_it(api: Any, service: Any) -> None:
    headers = {**key(), "Authorization": f"Bearer {service.token}"}
    answers: list[Any] = []

    def ask() -> None:
        answers.append(httpx2.post(f"{service.url}/v1/studies", json={**STUDY, "name": "many"}, headers=headers, timeout=60))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


def test_a_key_is_its_principals(api: Any) -> None:
    headers = key()
    api("POST", "/v1/studies", 201, json={**STUDY, "name": "of the admin"}, headers=headers)
    token = api("POST", "/v1/tokens", 201, json={"name": "eva", "role": "editor", "team": "default"})["token"]
    mine = {**headers, "Authorization": f"Bearer {token}"}
    answer = api.http.post("/v1/studies", json={**STUDY, "name": "of the admin"}, headers=mine)
    assert answer.status_code == 409, "it was carried out, not replayed"


def test_the_same_token_is_told_again_and_not_kept_in_words(api: Any, service: Any) -> None:
    headers = key()
    wanted = {"name": "told-twice", "role": "viewer"}
    tokens = {api("POST", "/v1/tokens", 201, json=wanted, headers=headers)["token"] for _ in range(2)}
    assert len(tokens) == 1
    token = tokens.pop()
    assert api.http.get("/v1/models", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    with service.app.db.read() as tx:
        rows = tx.connection.exec_driver_sql("SELECT * FROM idempotency").all()
    assert rows
    assert not any(token.encode() in bytes(row.body) for row in rows)


def test_a_dataset_is_read_once(api: Any, service: Any) -> None:
    headers = key()
    wanted = {"name": "once", "files": [str(service.folder / "d.csv")], "time_column": "t"}
    first = api("POST", "/v1/datasets", 201, json=wanted, headers=headers)
    assert api("POST", "/v1/datasets", 201, json=wanted, headers=headers) == first
    api("POST", "/v1/datasets", 409, json=wanted, headers=key())


def test_the_key_of_a_registration_may_stand_in_its_body(api: Any) -> None:
    request = {"models": ["none"], "protocols": [{"protocol": "TrainModel"}], "idempotency_key": "one"}
    problem = api("POST", "/v1/registrations", 422, json=request, headers=key())
    assert "different keys" in problem["message"]
    api("POST", "/v1/registrations", 404, json=request, headers={"Idempotency-Key": "one"})


def intent(threshold: float) -> dict[str, Any]:
    return {
        "name": "careful",
        "primary": "auc",
        "models": "tags/*",
        "constraints": [{"metric": "auc", "expectation": "larger", "threshold": threshold}],
    }


def test_what_has_not_changed_is_not_sent_again(api: Any) -> None:
    first = api.http.get("/v1/protocols/TrainModel")
    tag = first.headers["etag"]
    for said in (tag, f'"other", W/{tag}', "*"):
        again = api.http.get("/v1/protocols/TrainModel", headers={"If-None-Match": said})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert api.http.get("/v1/protocols/TrainModel", headers={"If-None-Match": '"other"'}).status_code == 200
    assert api.http.get("/v1/protocols/TrainModel", headers={"If-None-Match": "unquoted"}).status_code == 422


def test_nobody_overwrites_what_they_have_not_seen(api: Any) -> None:
    made = api.http.put("/v1/intents", json=intent(0.1), headers={"If-None-Match": "*"})
    assert made.status_code == 200
    assert api("PUT", "/v1/intents", 412, json=intent(0.2), headers={"If-None-Match": "*"})["code"] == "precondition_failed"
    seen = api.http.get("/v1/intents/careful", params={"model": "tags/one"})
    assert seen.headers["etag"] == made.headers["etag"]
    changed = api.http.put("/v1/intents", json=intent(0.2), headers={"If-Match": seen.headers["etag"]})
    assert changed.status_code == 200
    problem = api("PUT", "/v1/intents", 412, json=intent(0.3), headers={"If-Match": seen.headers["etag"]})
    assert "has changed" in problem["message"]
    query = {"models": "tags/*"}
    api("DELETE", "/v1/intents/careful", 412, params=query, headers={"If-Match": seen.headers["etag"]})
    api("DELETE", "/v1/intents/careful", 204, params=query, headers={"If-Match": changed.headers["etag"]})
    assert "not there" in api("PUT", "/v1/intents", 412, json=intent(0.3), headers={"If-Match": "*"})["message"]


def test_of_two_who_saw_the_same_one_may_change_it(api: Any, service: Any) -> None:
    tag = api.http.put("/v1/intents", json=intent(0.1)).headers["etag"]
    headers = {"If-Match": tag, "Authorization": f"Bearer {service.token}"}
    found: list[int] = []

    def change(threshold: float) -> None:
        found.append(httpx2.put(f"{service.url}/v1/intents", json=intent(threshold), headers=headers, timeout=60).status_code)

    threads = [threading.Thread(target=change, args=(0.2 + i / 100,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200, *[412] * 5]
    api("DELETE", "/v1/intents/careful", 204, params={"models": "tags/*"})


def test_a_call_that_knows_no_conditions_says_so(api: Any) -> None:
    problem = api("POST", "/v1/studies", 422, json={**STUDY, "name": "conditions"}, headers={"If-Match": '"x"'})
    assert "knows no conditions" in problem["message"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_every_call_that_changes_something_knows_keys(api: Any, method: str) -> None:
    for path, methods in api.document["paths"].items():
        operation = methods.get(method.lower())
        if operation is not None and path.startswith("/v1"):
            names = [p["name"] for p in operation["parameters"]]
            assert "Idempotency-Key" in names or path.endswith((":preview", ":test")), path
