"""What pages are made of: files that browsers keep, drawings, code in colours, columns, completion, and the way in."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.responses import Response

from wichtel.domain import Constraint, Estimate, InvalidInput
from wichtel.domain.intent import IMPROVE_QUALITY, judge
from wichtel.server.pages import graph, highlight
from wichtel.server.pages.columns import as_csv, read_columns
from wichtel.server.pages.verdicts import WIDTH, draw
from wichtel.server.wire import packed


@pytest.fixture(scope="module")
def browser(service: Any) -> Iterator[httpx2.Client]:
    headers = {"Origin": service.url, "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    with httpx2.Client(base_url=service.url, headers=headers, timeout=30) as made:
        assert made.post("/login", data={"token": service.token, "next": "/me"}).headers["location"] == "/me"
        yield made


def test_files_are_compressed_and_kept_for_as_long_as_they_stay_what_they_are(service: Any, browser: httpx2.Client) -> None:
    page = browser.get("/me").text
    place = page.split('rel="stylesheet" href="')[1].split('"')[0]
    answer = browser.get(place)
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert browser.get(place, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    plain = browser.get(place, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(gzip.compress(plain.content)) < len(plain.content) / 2
    # Another replica may be of another version: what it is asked for is there, but is not kept under the wrong name.
    other = browser.get(place.replace(place.split("/")[2], "0" * 12))
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-cache")
    for wrong in ("/static/nothing.js", "/static/../__init__.py", "/static/%2e%2e/__init__.py", "/static/pages", "/static/"):
        assert browser.get(wrong).status_code == 404, wrong
    assert browser.post(place).status_code == 405


def test_long_json_is_compressed_for_those_who_take_it_so() -> None:
    def answered(length: int, media_type: str = "application/json", accepts: str = "gzip, br") -> Response:
        return packed(Response(b"1" * length, media_type=media_type), {"accept-encoding": accepts})

    long = answered(100_000)
    assert gzip.decompress(long.body) == b"1" * 100_000
    assert (long.headers["content-encoding"], long.headers["content-length"]) == ("gzip", str(len(long.body)))
    for other in (answered(1000), answered(100_000, "text/csv"), answered(100_000, accepts="identity")):
        assert "content-encoding" not in other.headers
        assert int(other.headers["content-length"]) == len(other.body)


def test_whoever_is_not_in_is_led_to_the_login_and_back_but_nowhere_else(service: Any) -> None:
    with httpx2.Client(base_url=service.url, headers={"Accept": "text/html"}, timeout=30) as stranger:
        assert stranger.get("/experiments?query=a b").headers["location"] == "/login?next=%2Fexperiments%3Fquery%3Da%2520b"
        assert "evil.example" not in stranger.get("/login?next=//evil.example").text
        part = stranger.get("/experiments", headers={"HX-Request": "true", "HX-Current-URL": f"{service.url}/experiments?sort=id"})
        assert part.headers["hx-redirect"] == "/login?next=%2Fexperiments%3Fsort%3Did"
        # A program is told as ever.
        assert stranger.get("/v1/experiments").headers["content-type"] == "application/problem+json"
        assert stranger.get("/experiments", headers={"Accept": "*/*"}).status_code == 401


def test_changes_need_the_csrf_token_and_the_same_site(service: Any, browser: httpx2.Client) -> None:
    for path in ("/experiments/cancel", "/experiments/e-1/cancel", "/experiments/e-1/rerun"):
        for form in ({}, {"csrf_token": "0" * 64}):
            answer = browser.post(path, data=form)
            assert answer.status_code == 403, path
            assert "CSRF" in answer.text
            assert answer.headers["content-type"].startswith("text/html")
    csrf = browser.get("/v1/me").json()["session"]["csrf_token"]
    assert browser.post("/experiments/e-1/cancel", data={"csrf_token": csrf}, headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.post("/experiments/e-1/cancel", data={"csrf_token": csrf}).status_code == 404


def test_the_first_page_of_an_empty_service_says_how_to_begin(browser: httpx2.Client) -> None:
    for path in ("/", "/experiments"):
        page = browser.get(path).text
        assert "Nothing has been tried yet" in page
        for command in ("wichtel datasets add", "wichtel models add", "wichtel run"):
            assert command in page


def test_what_is_not_there_is_a_page_for_browsers(browser: httpx2.Client) -> None:
    for path in ("/experiments/e-nothing", "/nothing"):
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"] in answer.text


def test_a_query_is_completed_from_what_there_is(service: Any, browser: httpx2.Client) -> None:
    def ways(before: str) -> list[str]:
        return [one["text"] for one in browser.get("/experiments/completions", params={"before": before}).json()]

    assert ways("owner:ana st") == ["state:", "status:", "started>"]
    assert ways("-status:sat") == ["SATISFIED", "UNSATISFIED"]
    assert ways("status:SATISFIED,CAN") == ["CANCELED"]
    assert ways("(protocol:TrainM") == ["TrainModel"]
    assert ways("de") == ["delta."]
    assert ways("nonsense:") == []
    assert ways("nonsense.a") == []
    assert "default" in ways("team:def")
    assert ways("owner:ADM") == ["admin"]
    assert ways('"in quotes st') == ["state:", "status:", "started>"]


def test_a_wrong_query_is_pointed_at(browser: httpx2.Client) -> None:
    answer = browser.get("/experiments", params={"query": "owner:ana stattus:x"}, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert "^^^^^^^" in answer.text
    assert "Did you mean" in answer.text


def test_a_table_for_spreadsheets_has_no_formulas(service: Any) -> None:
    from datetime import UTC, datetime

    from wichtel.domain import Experiment, ExperimentConfig

    e = Experiment(id="e-1", registration="r-1", model="a", target="v", protocol="P", config=ExperimentConfig(intent=IMPROVE_QUALITY),
                   owner="ana", quota_group="t", cause="=1+1", created=datetime(2026, 1, 1, tzinfo=UTC))  # fmt: skip
    assert as_csv(read_columns(["owner,cause", "delta.auc"]), [e]).splitlines() == ["id,owner,cause,delta.auc", "e-1,ana,'=1+1,"]
    with pytest.raises(InvalidInput, match="no column"):
        read_columns(["nonsense"])


def test_steps_stand_after_those_they_wait_for_and_edges_pass_no_node() -> None:
    drawn = graph.drawing({"a": (), "b": ("a",), "c": ("b",), "d": ("a", "c")})
    assert [node.x for node in drawn.nodes] == sorted({node.x for node in drawn.nodes})
    straight = next(curve for a, b, curve in drawn.edges if (a, b) == ("a", "d"))
    assert straight.count("H") == 2
    assert all(node.x + graph.WIDTH <= drawn.width and node.y + graph.HEIGHT <= drawn.height for node in drawn.nodes)
    large = graph.drawing({str(i): (str(i - 1),) if i else () for i in range(300)}, keep=["7", "8"])
    assert ([node.name for node in large.nodes], large.hidden) == (["7", "8"], 298)
    assert graph.drawing({}).nodes == ()


@pytest.mark.parametrize(("expectation", "holds_right"), [("larger", True), ("smaller", False)])
def test_the_side_where_a_constraint_holds_is_drawn(expectation: str, holds_right: bool) -> None:
    constraint = Constraint(metric="m", expectation=expectation, threshold=0.1)
    estimate = Estimate(
        metric="m", baseline=1.0, candidate=1.3, low=0.2, high=0.4, relative_low=0.2, relative_high=0.4, confidence=0.95, method="x"
    )
    drawn = draw(judge(constraint, estimate))
    assert (drawn.good[1] == WIDTH) == holds_right
    assert drawn.zero < drawn.low < drawn.delta < drawn.high
    assert (drawn.threshold > drawn.zero) == holds_right


def test_a_diff_is_shown_as_text_whatever_it_holds() -> None:
    text = "diff --git a/plan.py b/plan.py\n--- a/plan.py\n+++ b/plan.py\n@@ -1,2 +1,2 @@\n x = 1\n-y = '<b>'\n+y = '</td><script>'\n"
    shown = str(highlight.diff(text))
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert shown.count("<tr") == 4
    assert "<caption>plan.py</caption>" in shown
