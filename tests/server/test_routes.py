"""Every route, in one story: from files to a verdict."""

from __future__ import annotations

import io
import math
import time
import zipfile
from typing import Any

from wichtel.domain import ExperimentStatus, Failure, Measurement


def archive(folder: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for path in folder.iterdir():
            made.writestr(path.name, path.read_bytes())
    return buffer.getvalue()


def test_every_route_once(api: Any, service: Any) -> None:
    assert api("GET", "/healthz") == {"status": "ok"}
    assert all(api("GET", "/readyz")["parts"].values())

    files = [str(service.folder / "d.csv")]
    dataset = api("POST", "/v1/datasets", 201, json={"name": "routes", "files": files, "time_column": "t"})
    assert dataset["rows"] == 432
    assert api("GET", "/v1/datasets/routes") == dataset
    assert dataset in api("GET", "/v1/datasets")["items"]

    source = archive(service.folder / "plan")
    if not any(d["name"] == "d" for d in api("GET", "/v1/datasets")["items"]):
        api("POST", "/v1/datasets", 201, json={"name": "d", "files": files, "time_column": "t"})
    version = api("PUT", "/v1/models/routes/one", 201, content=source, params={"team": "routes", "new": "true"})
    assert [t["name"] for t in version["analysis"]["tunables"]] == ["weight"]
    assert api("PUT", "/v1/models/routes/one", 201, content=source)["id"] == version["id"], "the same tree is the same version"
    checked = api("POST", "/v1/models:check", content=source, params={"team": "routes"})
    assert checked["onboarding"] == api("GET", "/v1/onboarding", params={"model": "routes/one"})["items"]
    assert api("GET", "/v1/models/routes/one")["head"] == version["id"]
    assert [m["name"] for m in api("GET", "/v1/models", params={"contains": "routes/"})["items"]] == ["routes/one"]
    assert api("GET", f"/v1/versions/{version['id']}") == version
    assert zipfile.ZipFile(io.BytesIO(api("GET", f"/v1/versions/{version['id']}/archive"))).namelist() == ["job.toml", "plan.py"]

    intent = {
        "name": "anything",
        "primary": "auc",
        "models": "routes/*",
        "constraints": [{"metric": "auc", "expectation": "larger", "threshold": -0.5}],
    }
    assert api("PUT", "/v1/intents", json=intent)["constraints"][0]["confidence"] == 0.95
    assert api("GET", "/v1/intents/anything", params={"model": "routes/one"})["models"] == "routes/*"
    assert "improve_quality" in [i["name"] for i in api("GET", "/v1/intents")["items"]]
    assert "routes/*" in api("GET", "/v1/intents/anything", 404, params={"model": "others/one"})["hint"]

    protocols = [p["name"] for p in api("GET", "/v1/protocols")["items"]]
    assert "SetHyperparameters" in protocols
    assert api("GET", "/v1/protocols/SetHyperparameters")["parameters"][0]["name"] == "values"

    assert api("PUT", "/v1/quota-groups", json={"name": "routes", "max_in_progress": 2})["max_in_progress"] == 2
    assert ("routes", 2) in [(g["name"], g["max_in_progress"]) for g in api("GET", "/v1/quota-groups")["items"]]
    assert api("GET", "/v1/quota-groups/routes")["max_in_progress"] == 2
    assert api("POST", "/v1/quota-groups/routes:pause", json={"reason": "repairs"})["paused"]["reason"] == "repairs"
    assert api("POST", "/v1/quota-groups/routes:resume")["paused"] is None
    api("DELETE", "/v1/quota-groups/routes", 204)
    limit = {"kind": "user", "name": "bob", "max_in_progress": 3}
    assert api("PUT", "/v1/limits", json=limit)["quota_group"] == "*"
    assert [one["name"] for one in api("GET", "/v1/limits")["items"]] == ["bob"]
    api("DELETE", "/v1/limits", 204, params={"kind": "user", "name": "bob"})
    assert api("GET", "/v1/queue")["items"] == []

    wanted = {"protocol": "SetHyperparameters", "intent": "anything", "parameters": {"values": {"weight": 2}}}
    request = {"models": ["routes/one"], "protocols": [wanted], "idempotency_key": "routes"}
    preview = api("POST", "/v1/registrations:preview", json=request)["items"]
    assert [e["config"]["parameters"] for e in preview] == [{"values": {"weight": 2}}]
    several = {"models": ["routes/one"], "protocols": [wanted, {"protocol": "SetHyperparameters"}], "skip_unfit": True}
    foreseen = api("POST", "/v1/registrations:preview", json=several, params={"forecast": "each"})
    assert [e["config"] for e in foreseen["items"]] == [e["config"] for e in preview]
    [misfit] = foreseen["refused"]
    assert (misfit["protocol"], misfit["code"], misfit["where"]) == ("SetHyperparameters", "invalid_input", "parameter 'values'")
    assert misfit["hint"]
    [outlook] = foreseen["forecasts"]
    assert (outlook["cost"]["trainings"], outlook["needs"][0]["constraint"]["metric"], outlook["needs"][0]["gain"]) == (2, "auc", None)
    together = api("POST", "/v1/registrations:preview", json=several, params={"forecast": "together"})
    assert (together["together"]["trainings"], together["forecasts"]) == (2, [])
    api("POST", "/v1/registrations:preview", 422, json={**several, "skip_unfit": False})
    api("POST", "/v1/registrations:preview", 422, json=several, params={"forecast": "all"})
    registration = api("POST", "/v1/registrations", 201, json=request)
    assert api("POST", "/v1/registrations", 201, json=request) == registration, "the same key is the same registration"
    assert api("GET", f"/v1/registrations/{registration['id']}") == registration
    [experiment] = registration["experiments"]
    while api("GET", f"/v1/experiments/{experiment}")["state"] != "FINISHED":
        time.sleep(0.2)
    finished = api("GET", f"/v1/experiments/{experiment}")
    assert finished["status"] == "SATISFIED", finished["cause"]
    assert [e["id"] for e in api("GET", "/v1/experiments", params={"registration": registration["id"], "limit": 1})["items"]] == [
        experiment
    ]
    assert {s["state"] for s in api("GET", f"/v1/experiments/{experiment}/steps")["items"]} == {"SUCCEEDED"}
    assert api("GET", f"/v1/experiments/{experiment}/waiting")["text"] == "It has finished."
    diff = api("GET", f"/v1/experiments/{experiment}/diff")
    assert b'+    "weight": 2,' in diff
    candidate = finished["result"]["candidate"]
    assert api("GET", f"/v1/versions/{candidate}/diff", params={"base": version["id"]}) == diff
    assert candidate in [v["id"] for v in api("GET", "/v1/versions", params={"model": "routes/one"})["items"]]
    assert api("POST", "/v1/models/routes/one:launch", json={"version": candidate})["head"] == candidate
    assert api("POST", "/v1/models/routes/one:archive")["archived"]
    assert "routes/one" not in [m["name"] for m in api("GET", "/v1/models")["items"]]
    assert "routes/one" in [m["name"] for m in api("GET", "/v1/models", params={"archived": True})["items"]]
    api("POST", "/v1/registrations", 409, json={**request, "idempotency_key": "archived"})
    assert api("POST", "/v1/models/routes/one:restore")["archived"] is None

    assert f"Wichtel-Experiment: {experiment}".encode() in api("GET", f"/v1/experiments/{experiment}/export")
    folder = api("GET", f"/v1/experiments/{experiment}/export", params={"form": "folder", "prefix": "models/one"})
    assert "tree/models/one/plan.py" in zipfile.ZipFile(io.BytesIO(folder)).namelist()
    compared = api("GET", "/v1/analysis", params={"ids": experiment})
    assert compared["experiments"][0]["metrics"]["auc"]["outcome"] == "holds"
    again = api("POST", f"/v1/experiments/{experiment}:rerun", 201, params={"seed": "fresh"})
    assert again["config"]["rerun_of"] == experiment
    api("POST", f"/v1/experiments/{again['id']}:cancel")
    applied = api("GET", "/v1/intents", params={"model": "routes/one"})["items"]
    assert [a["intent"]["name"] for a in applied] == ["anything", "improve_quality", "optimize_resources"]
    assert api("GET", "/v1/protocols/SetHyperparameters")["schema"]["required"] == ["values"]

    runs = api("GET", "/v1/runs", params={"state": "SUCCEEDED"})["items"]
    run = next(r["spec"]["id"] for r in runs if r["spec"]["id"].startswith(f"{experiment}/candidate"))
    assert api("GET", f"/v1/runs/{run}")["state"] == "SUCCEEDED"
    with service.app.db.transaction() as tx:
        tx.measurements.add_many([Measurement(run=run, attempt=1, step=9, metrics={"auc": math.inf})])
    assert api("GET", "/v1/measurements", params={"run": run})["items"][-1]["metrics"] == {"auc": "$Infinity"}
    api("GET", "/v1/logs", params={"run": run})
    api("POST", f"/v1/runs/{run}:cancel", 409)
    api("POST", f"/v1/experiments/{experiment}:cancel", 409)
    api("POST", f"/v1/registrations/{registration['id']}:cancel", 409)
    api("POST", f"/v1/experiments/{experiment}:finish", 409, json={"status": "SATISFIED", "cause": "twice"})

    study = {
        "name": "routes",
        "space": {"x": {"kind": "float", "low": 0, "high": 1}},
        "objectives": [{"metric": "loss", "better": "smaller"}],
        "entry": "operator:attrgetter",
        "trials": 1,
    }
    made = api("POST", "/v1/studies", 201, json=study)
    assert api("GET", "/v1/studies/routes")["spec"] == made["spec"]
    assert made["spec"]["id"] in [s["spec"]["id"] for s in api("GET", "/v1/studies")["items"]]
    api("GET", "/v1/trials", params={"study": "routes"})
    assert api("GET", "/v1/trials:columns", params={"study": "routes"})["study"] == made["spec"]["id"]
    assert api("GET", "/v1/trials:curves", params={"study": "routes", "metric": "loss"})["items"] == []
    assert api("GET", "/v1/trials:importance", params={"study": "routes"}) == {}
    assert api("GET", "/v1/trials:warnings", params={"study": "routes"})["items"] == []
    answer = api.http.post("/v1/studies/routes:cancel")
    assert answer.status_code in (200, 409), "it may have ended by itself"

    kinds = [e["kind"] for e in api("GET", "/v1/events", params={"subject": f"experiment/{experiment}"})["items"]]
    assert kinds[0] == "experiment.added"
    assert kinds[-1] == "experiment.finished"
    token = api("POST", "/v1/tokens", 201, json={"name": "routes", "role": "viewer"})["token"]
    assert api.http.get("/v1/models", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert api("DELETE", "/v1/intents/anything", 204, params={"models": "routes/*"}) == b""

    kept = api("POST", "/v1/saved-searches", 201, json={"name": "routes", "query": "owner:admin"})
    assert api("GET", f"/v1/saved-searches/{kept['id']}") in api("GET", "/v1/saved-searches")["items"]
    assert api("PUT", f"/v1/saved-searches/{kept['id']}", json={"name": "routes", "query": "owner:ana"})["query"] == "owner:ana"
    assert api("DELETE", f"/v1/saved-searches/{kept['id']}", 204) == b""

    tell(api, service, experiment)
    admit(api)
    assert registration["id"] in [r["id"] for r in api("GET", "/v1/registrations")["items"]]
    look_after(api)
    assert api("POST", "/v1/models/routes/one:archive")["archived"] is not None
    assert api("POST", "/v1/models/routes/one:restore")["archived"] is None

    operations = {o["operationId"] for methods in api.document["paths"].values() for o in methods.values()}
    # The stream has a test of its own.
    assert operations - api.called == {"events_stream", "studies_cancel"}


def look_after(api):
    """Jobs, exports, usage and health, each of which has tests of its own."""
    assert "export" in [job["name"] for job in api("GET", "/v1/jobs")["items"]]
    assert api("GET", "/v1/jobs/export")["name"] == "export"
    api("POST", "/v1/jobs/export:run")
    api("POST", "/v1/jobs/export:preview")
    api("GET", "/v1/exports")
    api("GET", "/v1/exports/99/files/2026-01-01", 404)
    api("GET", "/v1/exports/records")
    for table in ("", "/requests", "/statuses", "/times", "/protocols"):
        api("GET", f"/v1/usage{table}")
    assert api("GET", "/v1/health")["database"]
    assert b"wichtel_" in api("GET", "/metrics")


def test_a_study_of_a_function_that_the_workers_can_import_finds_its_best(api):
    study = {
        "name": "fractions",
        "space": {"numerator": {"kind": "int", "low": 1, "high": 5}, "denominator": {"kind": "fixed", "value": 2}},
        "objectives": [{"metric": "size", "better": "larger"}],
        "entry": "wichtel.tuning.function:call_named",
        "payload": {"function": "fractions:Fraction", "metric": "size"},
        "searcher": {"name": "grid"},
        "trials": 5,
    }
    api("POST", "/v1/studies", 201, json=study)
    deadline = time.monotonic() + 60
    while (found := api("GET", "/v1/studies/fractions"))["state"] != "FINISHED":
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    trials = api("GET", "/v1/trials?study=fractions")["items"]
    assert sorted(t["metrics"]["size"] for t in trials) == [0.5, 1.0, 1.5, 2.0, 2.5]


def tell(api: Any, service: Any, experiment: str) -> None:
    """Channels, watches, notifications and triage."""
    made = api(
        "POST", "/v1/channels", 201, json={"kind": "webhook", "address": "https://hooks.example.invalid/a/secret", "events": ["SATISFIED"]}
    )
    channel = made["channel"]
    assert made["secret"].startswith("whsec_")
    assert channel["address"] == "https://hooks.example.invalid/…"
    assert api("GET", "/v1/channels")["items"] == api("GET", "/v1/channels", params={"everyone": "true"})["items"] == [channel]
    assert api("GET", f"/v1/channels/{channel['id']}") == channel
    assert api("POST", f"/v1/channels/{channel['id']}:test")["state"] == "failed"
    problem = api("POST", "/v1/channels", 422, json={"kind": "webhook", "address": "https://127.0.0.1/"})
    assert "public internet" in problem["message"]
    assert api("DELETE", f"/v1/channels/{channel['id']}", 204) == b""
    watch = api("POST", "/v1/watches", 201, json={"kind": "model", "subject": "routes/one"})
    assert watch in api("GET", "/v1/watches")["items"]
    assert api("DELETE", "/v1/watches", 204, params={"kind": "model", "subject": "routes/one"}) == b""
    assert api("GET", "/v1/notifications", params={"everyone": "true", "experiment": experiment})["items"] == []
    with service.app.db.transaction() as tx:
        case = tx.triage.note(Failure(category="unknown", status=ExperimentStatus.SYSTEM_ERROR, message="fire"), "P", experiment)
    assert api("GET", "/v1/triage", params={"state": "open"})["items"][0]["fingerprint"] == case
    assert api("POST", f"/v1/triage/{case}:resolve", json={"state": "fixed", "note": "put out"})["who"] == "admin"
    assert api("GET", f"/v1/triage/{case}")["note"] == "put out"
    with service.app.db.transaction() as tx:
        tx.triage.note(Failure(category="unknown", status=ExperimentStatus.SYSTEM_ERROR, message="fire"), "P", experiment)
    assert api("GET", f"/v1/triage/{case}")["state"] == "open", "it has happened again"


def admit(api):
    """Teams, principals and their tokens, and what is written down of it."""
    assert api("GET", "/v1/me")["role"] == "admin"
    assert api("PUT", "/v1/teams", json={"name": "routes/team"})["description"] == ""
    assert api("GET", "/v1/teams/routes/team") in api("GET", "/v1/teams")["items"]
    made = api("POST", "/v1/principals", 201, json={"name": "routes-bot", "kind": "service"})
    assert api("GET", "/v1/principals/routes-bot") == made
    assert made in api("GET", "/v1/principals")["items"]
    assert api("PATCH", "/v1/principals/routes-bot", json={"role": "editor"})["role"] == "editor"
    member = api("PUT", "/v1/members", json={"team": "routes/team", "principal": "routes-bot", "role": "approver"})
    assert api("GET", "/v1/members", params={"team": "routes/team"})["items"] == [member]
    api("DELETE", "/v1/members", 204, params={"team": "routes/team", "principal": "routes-bot"})
    token = api("POST", "/v1/tokens", 201, json={"name": "routes-bot", "scopes": ["read"]})
    assert [t["id"] for t in api("GET", "/v1/tokens", params={"principal": "routes-bot"})["items"]] == [token["id"]]
    assert api("DELETE", f"/v1/tokens/{token['id']}", 204) == b""
    assert api("POST", "/v1/principals/routes-bot:disable")["disabled"]
    assert api("POST", "/v1/principals/routes-bot:enable")["disabled"] is None
    entries = api("GET", "/v1/audit", params={"subject": "routes-bot"})["items"]
    assert [e["action"] for e in entries][:2] == ["enable_principal", "disable_principal"]
