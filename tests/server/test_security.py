"""What comes over the network and means harm: told apart, refused, and never a fault of the service."""

from __future__ import annotations

import io
import socket
import time
import zipfile
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from wichtel.domain import Analysis, ExperimentStatus, Failure, Metadata, Model, ModelVersion, RunSpec
from wichtel.plans import SourceTree, read_job

SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}


def raw(service: Any, data: bytes) -> bytes:
    """Sent as it is; what comes back until the service closes the connection, or for a while."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(data)
        sock.settimeout(3)
        found = b""
        try:
            while part := sock.recv(65536):
                found += part
        except (TimeoutError, ConnectionResetError):
            pass
        return found


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/v1/protocols", 200), ("/v1/nothing", 404), ("/nothing", 404)])
def test_every_answer_is_safe_to_show(api: Any, path: str, status: int) -> None:
    answer = api.http.get(path)
    assert answer.status_code == status
    assert SAFE.items() <= dict(answer.headers).items()
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_pages_say_what_they_may_load(api: Any) -> None:
    assert "default-src 'self'" in api.http.get("/docs").headers["content-security-policy"]


def test_tokens_that_are_forged_or_cut_are_refused(service: Any, api: Any) -> None:
    good = service.token
    bad = [good[:-1], good + "a", good[1:], good.upper(), good.swapcase(), "wt_", "wt_" + "0" * 43, "null", "a" * 5000]
    for token in bad:
        answer = httpx2.get(f"{service.url}/v1/models", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        assert answer.status_code == 401, token
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert good not in answer.text
    for header in (f"Basic {good}", good, "Bearer", f"Bearer {good} {good}", f"Token {good}"):
        assert httpx2.get(f"{service.url}/v1/models", headers={"Authorization": header}, timeout=60).status_code == 401, header
    line = f"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {good[:-1]}".encode()
    assert raw(service, line + b"\xff\xfe\r\n\r\n").startswith(b"HTTP/1.1 401")


#: Paths out of a folder, NUL bytes, other control characters, right-to-left marks, emoji, long names, what databases and shells know.
ODD = [
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "....//....//etc/passwd",
    "\x00",
    "e-1\x00.txt",
    "a\r\nSet-Cookie: x=y",
    "\x1b[31m",
    "\u202eabc",
    "😀" * 50,
    "\ufffd",
    "é",
    "x" * 3000,
    "'; DROP TABLE experiments; --",
    "%' OR '1'='1",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "-1",
    " ",
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: quote(odd)[:20])
def test_no_name_however_odd_is_a_fault_or_leads_out(api: Any, odd: str) -> None:
    name = quote(odd, safe="")
    for path, methods in api.document["paths"].items():
        if "{" not in path:
            continue
        for method, operation in methods.items():
            if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
                continue
            where = path
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    where = where.replace("{" + parameter["name"] + "}", name)
            query = {p["name"]: odd for p in operation.get("parameters", ()) if p["in"] == "query" and p["required"]}
            answer = api.http.request(method.upper(), where, params=query, content=b"{}" if "requestBody" in operation else None)
            assert answer.status_code < 500, (method, where, answer.text)
            assert b"root:" not in answer.content
            assert "set-cookie" not in answer.headers
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", (method, where)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: quote(odd)[:20])
def test_no_search_however_odd_is_a_fault(api: Any, odd: str) -> None:
    for path, methods in api.document["paths"].items():
        operation = methods.get("get")
        if operation is None or "{" in path or "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
            continue
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "query":
                answer = api.http.get(path, params={parameter["name"]: odd})
                assert answer.status_code < 500, (path, parameter["name"], answer.text)


def test_paths_that_were_not_made_by_a_client_of_ours(service: Any) -> None:
    head = f" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {service.token}\r\n\r\n".encode()
    for path in (
        b"/v1/../../etc/passwd",
        b"/v1/logs?run=../../../../etc/passwd",
        b"/static/../application.py",
        b"/static/..%2f..%2fapplication.py",
        b"/static/%2e%2e/%2e%2e/application.py",
        b"/v1/experiments/%ff%fe",
        b"/v1/experiments/%",
        b"//v1/models",
        b"/v1/models?limit=1&limit=x",
        b"/v1/models?contains=%00",
    ):
        answer = raw(service, b"GET " + path + head)
        assert answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4", b"HTTP/1.1 307")), (path, answer[:200])
        assert b"root:" not in answer
        assert b"create_app" not in answer


@pytest.mark.parametrize("length", [b"-1", b"abc", b"1e3", b"99999999999999999999999", b"5, 6", b""])
def test_lengths_that_are_none(service: Any, length: bytes) -> None:
    head = f"POST /v1/registrations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token}\r\n".encode()
    answer = raw(service, head + b"Content-Length: " + length + b"\r\n\r\n{}")
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 413", b"HTTP/1.1 422"), answer[:200]


def test_two_lengths_are_one_too_many(service: Any) -> None:
    head = f"POST /v1/registrations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token}\r\n".encode()
    hidden = b"0\r\n\r\nGET /v1/tokens HTTP/1.1\r\nHost: x\r\n\r\n"
    both = raw(service, head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + hidden)
    assert both.count(b"HTTP/1.1 ") == 1, "what follows is no second request"
    assert raw(service, head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}").startswith(b"HTTP/1.1 400")


def test_a_wrong_method_is_told_the_right_ones(api: Any) -> None:
    for path, methods in {"models": "GET", "models/a/b": "GET, PUT", "models/a:launch": "POST", "runs/a/b:cancel": "POST"}.items():
        answer = api.http.request("OPTIONS", f"/v1/{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, methods), path


def test_headers_that_are_too_long_or_split_the_answer(service: Any, api: Any) -> None:
    assert raw(service, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    for given in ("a\tb", "a b", "é".encode("latin-1").decode("latin-1"), "x" * 65, "<b>", "'"):
        answer = api.http.get("/healthz", headers={"X-Request-Id": given.encode("latin-1")})
        assert answer.status_code == 200
        assert answer.headers["x-request-id"] != given


def bomb(size: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("job.toml", "")
        made.writestr("plan.py", b" " * size)
    return buffer.getvalue()


def entry(name: str, mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        made.writestr(info, b"/etc/passwd")
        made.writestr("plan.py", b"")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "archive",
    [bomb(300 * 2**20), entry("../outside.py"), entry("/tmp/outside.py"), entry("link", 0o120777), entry("a\\..\\b"), b"PK\x05\x06", b""],
    ids=["bomb", "parent", "absolute", "link", "backslash", "cut", "empty"],
)
def test_archives_that_are_no_source_tree(api: Any, archive: bytes) -> None:
    assert api("PUT", "/v1/models/security/one", 422, content=archive)["code"] in ("plan_error", "invalid_input")


def test_json_that_is_not_what_it_seems(api: Any) -> None:
    for body in (
        b'"\xff"',
        b'{"name": "\\ud800"}',
        b'{"name": "\\u0000"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b"1e999",
        b'{"a":1,"a":2}',
        b"null",
    ):
        for path in ("/v1/studies", "/v1/registrations", "/v1/tokens", "/v1/datasets"):
            assert api.http.post(path, content=body).status_code in (400, 404, 422), (path, body[:30])


def test_a_query_is_data_and_never_sql(api: Any) -> None:
    before = len(api("GET", "/v1/quota-groups")["items"])
    for text in ("' OR 1=1 --", "'; DROP TABLE experiments; --", "%", "_", "\\", '"', "model:' UNION SELECT hash FROM tokens --"):
        for name in ("q", "text", "model", "owner"):
            answer = api.http.get("/v1/experiments", params={name: text})
            assert answer.status_code in (200, 422), answer.text
            if answer.status_code == 200:
                assert answer.json()["items"] == []
    assert len(api("GET", "/v1/quota-groups")["items"]) == before


def test_nobody_sends_tests_to_others_without_end(api: Any) -> None:
    """An address need not be one's own."""
    token = api("POST", "/v1/tokens", 201, json={"name": "pest", "role": "viewer"})["token"]
    headers = {"Authorization": f"Bearer {token}"}
    # Written so that nothing but the connection notices where it leads.
    channel = api("POST", "/v1/channels", 201, json={"kind": "webhook", "address": "https://127.1/"}, headers=headers)["channel"]["id"]
    tried = [api.http.post(f"/v1/channels/{channel}:test", headers=headers) for _ in range(11)]
    assert [answer.status_code for answer in tried] == [200] * 10 + [429]
    assert {answer.json()["error"] for answer in tried[:10]} == {"127.0.0.1 is not on the public internet."}


JOB = """
[dataset]
name = "d"
label = "late"
[windows]
train = [2020-01-01T00:00:00Z, 2020-01-02T00:00:00Z]
evaluation = [2020-01-02T00:00:00Z, 2020-01-03T00:00:00Z]
"""

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'`${7*7}{{7*7}}"

#: What a browser renders, and may run.
ACTIVE = ("text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml", "text/javascript", "application/javascript")


def test_what_others_wrote_is_never_sent_as_a_page(api: Any, service: Any) -> None:
    """Wherever somebody's own words come out again, a browser must not take them for a page, whatever it asks for."""
    source = f"# {HOSTILE}\n".encode()
    with service.app.db.transaction() as tx:
        job = read_job(SourceTree({"job.toml": JOB.encode(), "plan.py": b""}))
        analysis = Analysis(
            trainer="sklearn", features=(), tunables=(), metadata=Metadata(primary_metric=HOSTILE, better="larger"), job=job
        )
        for name, extra in (("v-evil", b""), ("v-worse", source)):
            tree = SourceTree({"plan.py": source + extra, "job.toml": b""}).save(service.app.artifacts)
            tx.versions.add(ModelVersion(id=name, model="evil", tree=tree, analysis=analysis, created=tx.now))
        tx.models.add(Model(name="evil", owner=HOSTILE, team="default", head="v-evil", created=tx.now))
        # Its log is what it prints, which is its payload.
        tx.runs.add(RunSpec(id="run-evil", entry="builtins:print", payload={"x": HOSTILE}))
        case = tx.triage.note(Failure(category="unknown", status=ExperimentStatus.SYSTEM_ERROR, message=HOSTILE), HOSTILE, "e-none")
    study = {"name": HOSTILE, "space": {HOSTILE: {"kind": "bool"}}, "objectives": [{"metric": HOSTILE, "better": "larger"}], "entry": "a:b"}
    api("POST", "/v1/studies", 201, json=study)
    deadline = time.monotonic() + 120
    while not api.http.get("/v1/logs?run=run-evil").text and time.monotonic() < deadline:
        time.sleep(0.1)
    api("PUT", "/v1/quota-groups", json={"name": "evil", "max_in_progress": 1})
    api("POST", "/v1/quota-groups/evil:pause", json={"reason": HOSTILE})
    api("PUT", "/v1/teams", json={"name": "evil", "description": HOSTILE})
    shown = 0
    for path in (
        "/v1/models?owner=" + quote(HOSTILE),
        "/v1/models/evil",
        "/v1/versions?model=evil",
        "/v1/versions/v-evil",
        "/v1/versions/v-worse/diff?base=v-evil",
        "/v1/versions/v-evil/archive",
        "/v1/runs/run-evil",
        "/v1/logs?run=run-evil",
        "/v1/measurements?run=run-evil",
        f"/v1/triage/{case}",
        "/v1/triage",
        f"/v1/studies/{quote(HOSTILE, safe='')}",
        "/v1/studies",
        "/v1/quota-groups/evil",
        "/v1/queue",
        "/v1/teams/evil",
        "/v1/audit?limit=1000",
        "/v1/events?limit=1000",
        # An error says what was asked for.
        f"/v1/experiments/{quote(HOSTILE, safe='')}",
        f"/v1/experiments?query={quote(HOSTILE)}",
        f"/v1/{quote(HOSTILE)}",
        "/metrics",
    ):
        answer = api.http.get(path, headers={"Accept": "text/html,application/xhtml+xml"})
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind not in ACTIVE, path
        assert SAFE.items() <= dict(answer.headers).items(), path
        assert answer.headers["content-security-policy"].startswith("default-src 'none'"), path
        shown += "<script>" in answer.text
    assert shown > 10, "what is hostile comes out again, as it is"
