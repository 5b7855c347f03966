"""What a client is told when something is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from wichtel.domain import SystemFault

REGISTRATION = {"models": ["m"], "protocols": [{"protocol": "TrainModel"}]}


def test_an_unknown_field_is_refused_with_the_nearest(api: Any) -> None:
    problem = api("POST", "/v1/registrations", 422, json={**REGISTRATION, "idempotency_kay": "x"})
    assert (problem["code"], problem["status"]) == ("invalid_input", 422)
    assert problem["hint"] == "Did you mean 'idempotency_key'?"
    assert "idempotency_kay" in problem["message"]


def test_an_unknown_field_deep_inside_says_where(api: Any) -> None:
    problem = api("POST", "/v1/registrations", 422, json={"models": ["m"], "protocols": [{"protocol": "TrainModel", "intend": "x"}]})
    assert problem["where"] == "body, protocols[0].intend"
    assert problem["hint"] == "Did you mean 'intent'?"


def test_a_body_that_is_not_json(api: Any) -> None:
    problem = api("POST", "/v1/registrations", 422, content=b"{models", headers={"Content-Type": "application/json"})
    assert "not JSON" in problem["message"]
    assert problem["where"] == "body"


def test_a_value_of_the_wrong_type(api: Any) -> None:
    problem = api("PUT", "/v1/quota-groups", 422, json={"name": "x", "max_in_progress": "many"})
    assert problem["where"] == "body, max_in_progress"


def test_a_value_that_the_domain_refuses(api: Any) -> None:
    problem = api("PUT", "/v1/quota-groups", 422, json={"name": "x", "max_in_progress": -1})
    assert problem["message"] == "max_in_progress is -1, but a share is not negative."


def test_an_unknown_parameter_does_not_widen_a_search(api: Any) -> None:
    problem = api("GET", "/v1/experiments", 422, params={"stauts": "SATISFIED"})
    assert problem["hint"].startswith("Did you mean 'stat")


@pytest.mark.parametrize(
    "query", [{"status": "GOOD"}, {"limit": "0"}, {"limit": "100000"}, {"created_from": "2026-01-01T00:00:00"}, {"cursor": "x"}]
)
def test_a_parameter_that_does_not_fit(api: Any, query: dict[str, str]) -> None:
    assert api("GET", "/v1/experiments", 422, params=query)["code"] == "invalid_input"


def test_what_is_not_there(api: Any) -> None:
    problem = api("GET", "/v1/experiments/e-none", 404)
    assert problem["code"] == "not_found"
    assert "e-none" in problem["detail"]
    for path in ("models/none/such", "versions/v", "datasets/none", "registrations/r", "runs/a/b", "studies/s", "protocols/Train"):
        api("GET", f"/v1/{path}", 404)
    for path, query in (
        ("versions", {"model": "none"}),
        ("measurements", {"run": "x"}),
        ("logs", {"run": "x"}),
        ("trials", {"study": "x"}),
    ):
        api("GET", f"/v1/{path}", 404, params=query)


def test_an_address_that_is_not_there_and_a_wrong_method(api: Any) -> None:
    assert api.http.get("/v1/nothing").json()["code"] == "not_found"
    answer = api.http.delete("/v1/protocols")
    assert (answer.status_code, answer.json()["code"]) == (405, "invalid_input")


@pytest.mark.parametrize("length", [True, False])
def test_a_body_that_is_too_large(api: Any, length: bool) -> None:
    data = b"x" * (3 * 2**20)
    answer = api.http.post("/v1/registrations", content=data if length else iter([data[: 2**20]] * 3))
    assert answer.status_code == 413
    problem = answer.json()
    assert (problem["status"], problem["message"]) == (413, "the request's body is larger than 2 MiB.")


def test_an_archive_may_be_larger_than_other_bodies(api: Any) -> None:
    assert api("PUT", "/v1/models/large", 422, content=b"x" * (3 * 2**20))["code"] == "plan_error"


def test_entries_of_wichtel_are_not_for_callers(api: Any) -> None:
    study = {
        "name": "bad",
        "space": {"x": {"kind": "bool"}},
        "objectives": [{"metric": "loss", "better": "smaller"}],
        "entry": "wichtel.tuning.function:call",
    }
    assert api("POST", "/v1/studies", 422, json=study)["where"] == "body, entry"
    assert api("POST", "/v1/studies", 422, json={**study, "space": {"x": {"kind": "flaot"}}})["hint"] == "Did you mean 'float'?"


def test_the_request_id_of_a_proxy_is_kept_unless_it_is_odd(api: Any) -> None:
    assert api.http.get("/v1/experiments/e-none", headers={"X-Request-Id": "abc-1"}).json()["request_id"] == "abc-1"
    assert api.http.get("/healthz", headers={"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"


def test_a_fault_nobody_foresaw_is_told_without_its_traceback(
    api: Any, service: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(service.app.datasets, "get", broken)
    answer = api.http.get("/v1/datasets/d")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "system_fault")
    assert "secret" not in answer.text
    assert problem["request_id"] in problem["hint"]
    assert any(problem["request_id"] in record.getMessage() and record.exc_info for record in caplog.records)


def test_a_database_that_is_away_makes_the_service_not_ready(anonymous: Any, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise SystemFault("the database failed.", where="postgresql://inside/wichtel")

    monkeypatch.setattr(service.app.db, "check", away)
    answer = anonymous.http.get("/readyz")
    assert (answer.status_code, answer.json()["parts"]["database"]) == (503, False)
    assert "inside" not in answer.text


def test_a_number_that_no_database_holds(api: Any) -> None:
    assert "does not fit" in api("GET", "/v1/events", 422, params={"cursor": 10**30})["message"]
    api("PUT", "/v1/quota-groups", 422, json={"name": "default", "max_in_progress": 10**30})


def test_a_study_that_cannot_be_carried_is_refused_before_it_begins(api: Any) -> None:
    objectives = [{"metric": "loss", "better": "smaller"}]
    study = {"name": "two", "space": {"x": {"kind": "bool"}}, "objectives": objectives, "entry": "mine:train"}
    answer = api("POST", "/v1/studies", 422, json=study | {"terminators": [{"name": "no_improvment"}]})
    assert "no terminator" in answer["message"]
    assert "twice" in api("POST", "/v1/studies", 422, json=study | {"objectives": objectives * 2})["message"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workers": 10**9}, "workers are more than"),
        ({"folds": 10**5, "repeats": 10**5}, "evaluations of each trial are more than"),
        ({"trials": 10**12}, "trials are more than"),
        ({"priority": 2**40}, "32 bits"),
        ({"resources": {"gpus": "$NaN"}}, "not finite"),
        ({"timeout_seconds": -1.0}, "timeout_seconds"),
        ({"max_failed_share": "$NaN"}, "no share"),
        ({"meta": {"rows": "$Infinity"}}, "no finite number"),
        ({"origins": [1]}, "expected `str`"),
        ({"id": "s/3"}, "'/'"),
        ({"searcher": {"name": "pbt", "options": {"population": 10**30}}}, "population"),
        ({"searcher": {"name": "evolution", "options": {"population": 10**30}}}, "population"),
        ({"id": ""}, "an id and a name"),
        ({"entry": "wichtel:tuning.function.call"}, "not for callers"),
    ],
)
def test_a_study_that_would_harm_the_service_is_refused(api: Any, changes: dict[str, Any], words: str) -> None:
    objectives = [{"metric": "loss", "better": "smaller"}]
    study = {"name": "harmful", "space": {"x": {"kind": "bool"}}, "objectives": objectives, "entry": "mine:train"}
    answer = api("POST", "/v1/studies", 422, json=study | changes)
    assert words in answer["message"]
    assert answer["where"]


def test_a_body_that_is_nested_too_deeply(api: Any) -> None:
    for depth in (900, 100_000):
        assert api("POST", "/v1/studies", 422, content=b'{"name":' + b"[" * depth + b"]" * depth + b"}")["code"] == "invalid_input"
