"""Every page, in every light and width: readable for all, small, quiet, and deaf to markup that others wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from wichtel.domain import Measurement
from wichtel.fleet import log_path

PAGES = {
    "login": "/login",
    "home": "/",
    "search": "/experiments",
    "mistake": "/experiments?query=owner:ana%20stattus:x",
    "nothing": "/experiments?query=owner:nobody",
    "satisfied": "/experiments/{good}",
    "failed": "/experiments/{failed}",
    "launch": "/launch",
    "launch_one": "/launch?model=shop/weighed&protocol=SetHyperparameters&intent=better&t.SetHyperparameters.weight=7&c.replicates=x",
    "launch_many": "/launch?model=shop/*&model=nobody&protocol=TuneHyperparameters&protocol=TrainModel",
    "analysis": "/analysis?query=model:shop/weighed",
    "analysis-of-what": "/analysis",
    "registrations": "/registrations",
    "registration": "/registrations/{registration}",
    "models": "/models",
    "model": "/models/shop/weighed",
    "onboarding": "/onboarding",
    "intents": "/intents?model=shop/weighed",
    "intent form": "/intents/form?name=better",
    "datasets": "/datasets",
    "dataset": "/datasets/d",
    "protocols": "/protocols",
    "protocol": "/protocols/TuneHyperparameters",
    "recipe": "/recipes/tunable_set",
    "queue": "/queue",
    "queue group": "/queue?group=default",
    "usage": "/usage?days=7",
    "health": "/health",
    "admin teams": "/admin/teams?team=default",
    "admin people": "/admin/people",
    "admin person": "/admin/people/admin",
    "admin tokens": "/admin/tokens",
    "admin audit": "/admin/audit",
    "me": "/me",
    "lost": "/nothing",
    "studies": "/studies",
    "study": "/studies/{study}",
}


#: No answer is awaited, and nothing moves that ever stops.
STILL = """() => !document.querySelector("[aria-busy], .htmx-request")
  && document.getAnimations().every((a) => a.playState !== "running" || a.effect.getTiming().iterations === Infinity)"""


def address(name: str, world: Any) -> str:
    return PAGES[name].format_map(vars(world))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(world: Any, tab: Callable[..., Any], axe: str, scheme: str, width: int) -> None:
    inside, outside = tab(scheme=scheme, width=width), tab(scheme=scheme, width=width, token="")
    for name in PAGES:
        page = (outside if name == "login" else inside).page
        page.goto(address(name, world))
        if folder := os.environ.get("WICHTEL_SCREENSHOTS"):
            page.wait_for_timeout(300)
            page.screenshot(path=f"{folder}/{name}-{scheme}-{width}.png", full_page=True)
        # What fades while an answer is awaited is judged when it is there.
        page.wait_for_function(STILL)
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        told = [(v["id"], [(node["html"][:200], node["failureSummary"]) for node in v["nodes"]]) for v in found]
        assert not told, f"{name}: {json.dumps(told, indent=1)}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


@pytest.mark.parametrize("name", ["login", "home", "search", "satisfied", "failed"])
def test_a_page_asks_little_and_says_nothing_on_the_console(world: Any, tab: Callable[..., Any], name: str) -> None:
    made = tab(**({"token": ""} if name == "login" else {}))
    finished: list[Any] = []
    begun: list[str] = []

    def ended(request: Any) -> None:
        finished.append(request)

    made.page.on("request", lambda request: begun.append(request.url))
    made.page.on("requestfinished", ended)
    made.page.goto(address(name, world))
    made.page.wait_for_timeout(500)
    sizes = [request.sizes() for request in finished]
    assert 3 <= len(begun) <= 12, begun
    assert sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) <= 500_000
    assert all(url.startswith(world.url) for url in begun)
    assert sum(":stream?" in url for url in begun) == (name != "login")
    assert not made.said


def test_what_others_wrote_stays_text(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    for path in (
        f"/experiments/{world.evil}",
        f"/experiments/{world.failed}",
        f"/experiments?query=id:{world.evil},{world.failed}&columns=id,cause",
        "/",
    ):
        page.goto(path)
        assert "<script>" in page.inner_text("main"), path
        assert page.evaluate("document.body.id") == "", path
    page.goto("/experiments?query=" + world.words.replace("#", ""))
    assert page.evaluate("document.body.id") == ""
    assert page.input_value("#query") == world.words
    # What a worker wrote down of a run.
    run = f"{world.good}/candidate/0"
    path = log_path(world.app.settings.home / "fleet", run, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(world.words)
    page.goto(f"/experiments/{world.good}")
    shown = page.locator(".runs details", has_text=run)
    shown.locator("summary").click()
    shown.get_by_text("What it printed").click()
    assert shown.locator("pre.log").inner_text() == world.words
    assert page.evaluate("document.body.id") == ""


def test_learning_curves_are_drawn_when_they_come_into_view(world: Any, tab: Callable[..., Any]) -> None:
    # As trainers report them that know steps.
    baseline = next(step for step in world.app.experiments.steps(world.good) if step.name == "baseline").output[0]["run"]
    with world.app.db.transaction() as tx:
        for run, slower in ((baseline, 2.0), (f"{world.good}/candidate/0", 1.0)):
            curve = [
                Measurement(run=run, attempt=1, step=step, metrics={"loss": slower / step, "auc": 1 - slower / step})
                for step in range(1, 9)
            ]
            tx.measurements.add_many(curve)
    made = tab()
    begun: list[str] = []
    made.page.on("request", lambda request: begun.append(request.url))
    made.page.goto(f"/experiments/{world.good}")
    made.page.locator(".chart").scroll_into_view_if_needed()
    made.page.locator(".chart svg").wait_for()
    made.page.locator(".chart").hover()
    made.page.locator(".chart canvas").wait_for()
    made.page.get_by_role("button", name="Light or dark").click()
    made.page.wait_for_timeout(300)
    assert not made.said
    assert sum(url.endswith("/curves") for url in begun) == 1
    assert len(begun) <= 12, begun
    if folder := os.environ.get("WICHTEL_SCREENSHOTS"):
        made.page.screenshot(path=f"{folder}/curves-dark-1280.png", full_page=True)


def test_a_failure_says_what_to_do(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto(f"/experiments/{world.failed}")
    said = page.inner_text(".state-card")
    assert "user error" in said
    assert "What to do:" in said
    assert "train" in said


def test_without_scripts_everything_can_be_read_and_turned(world: Any, browser: Any) -> None:
    context = browser.new_context(base_url=world.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/experiments?sort=id")
    page.fill("input[name=token]", world.token)
    page.get_by_role("button", name="Log in").click()
    assert page.url.endswith("/experiments?sort=id")
    page.fill("#query", f"id:{world.good} status:SATISFIED")
    page.get_by_role("button", name="Search").click()
    assert page.locator("tbody tr").count() == 1
    page.goto("/experiments?limit=25")
    assert page.locator("tbody tr").count() >= 4
    page.locator("tbody a").first.click()
    assert page.locator("h1").count() == 1
    context.close()


def test_the_theme_is_remembered(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/")
    page.get_by_role("button", name="Light or dark").click()
    page.goto("/experiments")
    assert page.get_attribute("html", "data-theme") == "dark"


def test_pages_of_a_list_its_size_and_columns_are_in_the_address_and_remembered(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto(f"/experiments?query=id:{world.plain},{world.good}&limit=50&columns=id,owner,delta.auc&sort=-delta.auc")
    assert page.locator("thead th").all_inner_texts()[1:] == ["Experiment", "Owner", "delta.auc↓"]
    assert page.locator("tbody tr a").first.inner_text() == world.good
    page.goto("/experiments")
    assert page.locator(".sizes [aria-current]").inner_text() == "50"
    assert page.locator("thead th").count() == 4
    page.locator("thead th a", has_text="Owner").click()
    page.wait_for_url("**/experiments?*sort=-owner*")
    page.go_back()
    page.wait_for_url("**/experiments")


def test_what_one_may_not_do_cannot_be_pressed(world: Any, tab: Callable[..., Any]) -> None:
    admin = world.app.access.authenticate(world.token)
    viewer = world.app.access.create_token(admin, "reads-only", role="viewer")
    page = tab(token=viewer).page
    page.goto(f"/experiments/{world.good}")
    page.get_by_text("Run again").first.click()
    button = page.locator("form[action$='/rerun'] button")
    assert button.is_disabled()
    assert "editor" in str(button.get_attribute("title"))


def test_a_list_is_told_by_its_stream_of_what_happens_and_of_what_happened_while_it_was_away(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if ":stream?" in request.url else None)
    world.client.quota_groups.pause("default", "lunch")
    try:
        page.goto("/experiments?query=state:ENQUEUED")
        page.get_by_text("Nothing fits").wait_for()
        first = world.client.register(["shop/weighed"], ["TrainModel"], intent="better").experiments[0]
        page.get_by_label(f"Choose {first}").wait_for()
        # As when another tab is shown: no stream is held.
        shown = "document.dispatchEvent(new Event('visibilitychange'))"
        page.evaluate(f"Object.defineProperty(document, 'hidden', {{value: true, configurable: true}}); {shown}")
        world.client.experiments.cancel(first)
        page.wait_for_timeout(1000)
        assert page.get_by_label(f"Choose {first}").is_visible()
        page.evaluate(f"delete document.hidden; {shown}")
        page.get_by_text("Nothing fits").wait_for()
    finally:
        world.client.quota_groups.resume("default")
    cursors = [int(url.rpartition("cursor=")[2]) for url in streams]
    assert len(cursors) == 2
    assert cursors[1] > cursors[0]
