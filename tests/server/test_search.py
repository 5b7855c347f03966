"""Queries, pages and choices of fields, over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from wichtel.domain import (
    BUILT_IN_INTENTS,
    Expectation,
    Experiment,
    ExperimentConfig,
    ExperimentResult,
    ExperimentStatus,
    Float,
    Measurement,
    Model,
    Objective,
    Registration,
    RunSpec,
    Space,
    StudySpec,
    StudyState,
    Trial,
    Verdict,
    VerdictStatus,
)


@pytest.fixture(scope="module")
def found(service: Any) -> None:
    """Seven experiments of two owners."""
    with service.app.db.transaction() as tx:
        now = tx.now
        tx.models.add(Model(name="search/one", owner="ana", team="t", head="v", created=now))
        for i in range(7):
            tx.registrations.add(
                Registration(id=f"r-s{i}", owner="ana" if i % 2 else "bo", models=(), protocols=(), experiments=(), created=now)
            )
            tx.experiments.add(
                Experiment(
                    id=f"e-s{i}",
                    registration=f"r-s{i}",
                    model="search/one",
                    target="v",
                    protocol="SetHyperparameters",
                    config=ExperimentConfig(intent=BUILT_IN_INTENTS[0], parameters={"values": {"weight": i}}),
                    owner="ana" if i % 2 else "bo",
                    quota_group="t",
                    created=now + timedelta(seconds=i),
                )
            )
            verdict = Verdict(status=VerdictStatus.SATISFIED, intent="improve_quality", findings=(), reason=f"Reason {i}.")
            result = ExperimentResult(
                baseline="b",
                candidate="c",
                verdict=verdict,
                models_trained=2,
                baseline_metrics={"auc": 0.5},
                candidate_metrics={"auc": 0.5 + i / 16},
            )
            tx.experiments.finish(f"e-s{i}", ExperimentStatus.SATISFIED, f"Cause {i}.", result)
        spec = StudySpec(
            id="s-search",
            name="Search me",
            entry="m:f",
            space=Space({"x": Float(0, 1)}),
            objectives=(Objective(metric="x", better=Expectation.LARGER),),
        )
        tx.studies.add(spec)
        # So that nobody carries it out.
        tx.studies.set_state(spec.id, StudyState.CANCELED)
        tx.trials.put_many(Trial(study="s-search", number=i, config={"x": 0.5}, created=now) for i in range(5))
        tx.runs.add(RunSpec(id="run-search", entry="m:f"))
        tx.measurements.add_many(
            Measurement(run="run-search", attempt=a, step=s, metrics={"x": float(a)}) for a, s in [(1, 1), (1, 2), (1, 3), (2, 2), (2, 4)]
        )


def given(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def ids(api: Any, query: str, **more: Any) -> list[str]:
    return [e["id"] for e in api("GET", "/v1/experiments", params={"query": f"model:search/one {query}", **more})["items"]]


@pytest.mark.usefixtures("found")
def test_a_query_over_http(api: Any) -> None:
    assert ids(api, "owner:ana") == ["e-s5", "e-s3", "e-s1"]
    assert ids(api, "delta.auc>0.2") == ["e-s6", "e-s5", "e-s4"]
    assert ids(api, "relative.auc>50% -owner:bo") == ["e-s5"]
    assert ids(api, "cause:4 OR (owner:ana id:*5)", sort="id") == ["e-s4", "e-s5"]
    assert ids(api, "", owner="bo", text="cause 2") == ["e-s2"]
    assert ids(api, "", model="SEARCH", status="SATISFIED", state="FINISHED", intent="improve_quality", quota_group="t", limit=2) == [
        "e-s6",
        "e-s5",
    ]
    assert ids(api, "", sort="-delta.auc", limit=1) == ["e-s6"]


@pytest.mark.usefixtures("found")
def test_pages_and_counts(api: Any) -> None:
    seen, cursor = [], None
    while True:
        page = api("GET", "/v1/experiments", params=given(query="model:search/*", sort="delta.auc", limit=3, cursor=cursor))
        assert page["total"] is None
        seen += [e["id"] for e in page["items"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == [f"e-s{i}" for i in range(7)]
    assert api("GET", "/v1/experiments", params={"query": "model:search/* owner:ana", "limit": 1, "count": True})["total"] == 3


@pytest.mark.usefixtures("found")
def test_what_is_wrong_with_a_query(api: Any) -> None:
    problem = api("GET", "/v1/experiments", 422, params={"query": "owner:ana stattus:SATISFIED"})
    assert problem["where"] == "query, character 11"
    assert "\n  owner:ana stattus:SATISFIED\n            ^^^^^^^\n" in problem["message"]
    assert "Did you mean 'status'" in problem["hint"]
    assert "Did you mean 'created'" in api("GET", "/v1/experiments", 422, params={"sort": "-createt"})["hint"]
    cursor = api("GET", "/v1/experiments", params={"limit": 1})["cursor"]
    assert "another order" in api("GET", "/v1/experiments", 422, params={"sort": "id", "cursor": cursor})["message"]
    api("GET", "/v1/experiments", 422, params={"query": "x" * 5000})


@pytest.mark.usefixtures("found")
def test_every_list_comes_in_pages(api: Any) -> None:
    for path, asked, key in (
        ("/v1/registrations", {"owner": "ana"}, "id"),
        ("/v1/trials", {"study": "s-search"}, "number"),
        ("/v1/measurements", {"run": "run-search"}, "step"),
        ("/v1/studies", {"name": "search"}, "state"),
        ("/v1/datasets", {}, "name"),
        ("/v1/versions", {"model": "search/one"}, "id"),
    ):
        whole = api("GET", path, params=asked)["items"]
        seen, cursor = [], None
        while True:
            page = api("GET", path, params=given(**asked, limit=1, cursor=cursor))
            assert len(page["items"]) == min(1, len(whole))
            seen += page["items"]
            cursor = page["cursor"]
            if cursor is None:
                break
        assert seen == whole
        api("GET", path, 422, params={**asked, "limit": 0})
        api("GET", path, 422, params={**asked, "cursor": "x"})
        assert [set(item) for item in fields(api, path, **asked, fields=key)["items"]] == [{key}] * len(whole)
    assert [r["id"] for r in api("GET", "/v1/registrations", params={"owner": "ana"})["items"]] == ["r-s5", "r-s3", "r-s1"]
    assert [t["number"] for t in api("GET", "/v1/trials", params={"study": "Search me"})["items"]] == list(range(5))
    curve = api("GET", "/v1/measurements", params={"run": "run-search"})["items"]
    assert [(m["step"], m["attempt"]) for m in curve] == [(1, 1), (2, 2), (3, 1), (4, 2)]
    assert api("GET", "/v1/studies", params={"name": "nobody"})["items"] == []
    assert "s-search" in [s["spec"]["id"] for s in api("GET", "/v1/studies", params={"state": "CANCELED"})["items"]]


@pytest.mark.usefixtures("found")
def test_a_page_that_is_just_full_is_the_last(api: Any) -> None:
    for path, asked in (("/v1/models", {"contains": "search"}), ("/v1/runs", {}), ("/v1/events", {"subject": "registration/"})):
        whole = api("GET", path, params={**asked, "limit": 1000})["items"]
        assert whole
        last = api("GET", path, params={**asked, "limit": len(whole)})
        assert (last["items"], last["cursor"]) == (whole, None)
        if len(whole) > 1:
            first = api("GET", path, params={**asked, "limit": len(whole) - 1})
            assert api("GET", path, params={**asked, "cursor": first["cursor"]})["items"] == whole[-1:]


def test_a_parameter_that_is_given_twice_is_refused(api: Any) -> None:
    answer = api("GET", "/v1/experiments", 422, params=[("status", "SATISFIED"), ("status", "USER_ERROR")])
    assert answer["where"] == "query parameter 'status'"


def fields(api: Any, path: str, expect: int = 200, **params: Any) -> Any:
    # Not held against the document: an answer with some fields lacks the others.
    answer = api.http.get(path, params=params)
    assert answer.status_code == expect, answer.text
    return answer.json()


@pytest.mark.usefixtures("found")
def test_only_the_fields_that_are_wanted(api: Any) -> None:
    page = fields(api, "/v1/experiments", query="id:e-s3", fields="id, status,result.verdict.reason,config.parameters.values")
    assert page["items"] == [
        {
            "id": "e-s3",
            "status": "SATISFIED",
            "result": {"verdict": {"reason": "Reason 3."}},
            "config": {"parameters": {"values": {"weight": 3}}},
        }
    ]
    assert set(page) == {"items", "cursor", "total"}
    one = fields(api, "/v1/experiments/e-s3", fields="result.verdict.reason,result.verdict")
    assert set(one["result"]["verdict"]) == {"status", "intent", "findings", "reason"}
    assert fields(api, "/v1/experiments/e-s3", fields="result.baseline_metrics.auc") == {"result": {"baseline_metrics": {"auc": 0.5}}}
    assert [set(i) for i in fields(api, "/v1/intents", fields="name")["items"]][:1] == [{"name"}]


@pytest.mark.usefixtures("found")
def test_fields_that_there_are_not(api: Any) -> None:
    problem = fields(api, "/v1/experiments", 422, query="id:nobody", fields="id,statsu")
    assert "no field 'statsu'" in problem["message"]
    assert "Did you mean 'status'" in problem["hint"]
    assert "'verdict'" in fields(api, "/v1/experiments/e-s3", 422, fields="result.verdikt")["hint"]
    assert "no fields of its own" in fields(api, "/v1/experiments/e-s3", 422, fields="id.x")["hint"]
    for wrong in ("", ",", "id,", "result..verdict"):
        fields(api, "/v1/experiments/e-s3", 422, fields=wrong)
    fields(api, "/v1/experiments/e-s3/diff", 422, fields="id")
    api("POST", "/v1/experiments/e-s3:cancel", 422, params={"fields": "id"})
    document = api.document["paths"]
    assert "fields" in [p["name"] for p in document["/v1/experiments"]["get"]["parameters"]]
    assert "fields" not in [p["name"] for p in document["/v1/experiments/{experiment}:cancel"]["post"].get("parameters", ())]
