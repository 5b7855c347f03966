"""Launch: what is filled in and from where, what is wrong as it is typed, what it would cost; one experiment, and many."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

ONE = "/launch?model=shop/weighed&protocol=SetHyperparameters&intent=better"


def shot(page: Any, name: str) -> None:
    if folder := os.environ.get("WICHTEL_SCREENSHOTS"):
        page.wait_for_timeout(300)
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def row(page: Any, field: str) -> Any:
    return page.locator(f'[id="row-{field}"]')


def test_one_is_launched_with_a_value_of_ones_own(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    # All by keyboard: the model by a part of its name, then the protocol and the intent.
    page.goto("/launch")
    page.wait_for_load_state("networkidle")
    page.focus("#add-model")
    page.keyboard.type("weigh")
    page.get_by_role("option", name="shop/weighed").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_label("shop/weighed").wait_for(state="attached")
    page.focus("#protocol-SetHyperparameters")
    page.keyboard.press("Space")
    row(page, "t.SetHyperparameters.weight").wait_for()
    page.select_option("#intent", "better")
    page.wait_for_url("**/launch?model=shop%2Fweighed&protocol=SetHyperparameters&intent=better")

    # Where values come from.
    assert "plan.py" in row(page, "t.SetHyperparameters.weight").inner_text()
    assert "intent better" in row(page, "g.auc").inner_text()
    assert "sklearn" in row(page, "c.replicates").inner_text()
    assert page.locator("#launch-button").is_disabled()

    # Told at the field, as it is typed, with what to do.
    weight = row(page, "t.SetHyperparameters.weight")
    weight.locator("input").fill("70")
    weight.locator(".problem").wait_for()
    assert "whole numbers 1 to 9" in weight.inner_text()
    assert weight.locator("input").get_attribute("aria-invalid") == "true"
    shot(page, "wrong-light-1280")
    weight.locator("input").fill("7")
    page.locator("#card-change .diff").wait_for()
    assert '"weight": 7' in page.locator("#card-change").inner_text()
    assert "you" in weight.locator(".value-origin").inner_text()
    side = page.locator(".launch-side").inner_text()
    assert "baseline's is there already" in side
    assert "auc at least 1% larger" in side
    assert "A gain of" in side
    row(page, "c.seed").locator("input").fill("11")
    page.wait_for_url("**c.seed=11*")
    shot(page, "one-light-1280")

    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/experiments/e-*")
    identity = page.url.rpartition("/")[2]
    e = world.client.experiments.get(identity)
    assert (e.config.parameters["values"], e.config.seed, e.config.origin["seed"], e.owner) == ({"weight": 7}, 11, "user", "admin")
    assert not made.said

    # Once more like this.
    page.goto(f"/launch?like={identity}")
    assert page.url.endswith("/launch?model=shop/weighed&protocol=SetHyperparameters&intent=better&t.SetHyperparameters.weight=7&c.seed=11")
    assert row(page, "t.SetHyperparameters.weight").locator("input").input_value() == "7"


def test_pressed_twice_it_is_launched_once(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    made.page.goto(f"{ONE}&t.SetHyperparameters.weight=6&c.seed=12")
    key = made.page.input_value("[name=key]")
    csrf = made.page.get_attribute("#launch-button", "value")
    form = {
        "model": "shop/weighed",
        "protocol": "SetHyperparameters",
        "intent": "better",
        "t.SetHyperparameters.weight": "6",
        "key": key,
        "csrf_token": csrf,
    }
    send = made.context.request.post
    answers = [send("/launch", form=form, headers={"Origin": world.url}, max_redirects=0) for _ in range(2)]
    # Who goes back, changes a value and presses it again means something else.
    answers.append(send("/launch", form={**form, "c.seed": "13"}, headers={"Origin": world.url}, max_redirects=0))
    assert [a.status for a in answers] == [303, 303, 303]
    first, again, changed = (a.headers["location"].rpartition("/")[2] for a in answers)
    assert first == again != changed
    assert world.client.experiments.get(changed).config.seed == 13


def test_nobody_else_can_have_it_pressed(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    made.page.goto("/launch")
    form = {"model": "shop/weighed", "protocol": "TrainModel", "c.seed": "4711"}
    csrf = made.page.get_attribute("#launch-button", "value")
    for origin, token in ((world.url, ""), (world.url, "guessed"), ("https://elsewhere.example", csrf)):
        answer = made.context.request.post("/launch", form={**form, "csrf_token": token}, headers={"Origin": origin}, max_redirects=0)
        assert answer.status == 403, answer.text()
    # An address changes nothing, whatever stands in it.
    assert made.context.request.get("/launch", params={**form, "csrf_token": csrf, "key": "k"}).status == 200
    assert not [e for e in world.client.experiments.search("model:shop/weighed protocol:TrainModel", limit=20) if e.config.seed == 4711]


EVIL = '"><img src=x onerror=alert(1)>'
DEEP = "[" * 20_000
NASTY = (
    {"model": EVIL, "protocol": EVIL, "intent": EVIL},
    {"model": f"{EVIL}*", "protocol": "TrainModel"},
    {"model": "shop/weighed\0", "protocol": "TrainModel"},
    {"model": "\ud7ff\U0010ffff*[", "protocol": "TrainModel", "like": ""},
    {"model": "x" * 20_000, "protocol": "TrainModel"},
    {"model": "*a" * 90 + "*", "protocol": "TrainModel"},
    {"t.SetHyperparameters.weight": EVIL, "c.seed": EVIL, "c.priority": "1" * 5_000, "g.auc": EVIL},
    {"t.SetHyperparameters.weight": DEEP, "c.seed": "9" * 40, "c.replicates": "1e400", "g.auc": "nan", "c.baseline_max_age_days": "1e308"},
    {"protocol": "TuneHyperparameters", "s.TuneHyperparameters.weight": "fixed", "s.TuneHyperparameters.weight.value": DEEP},
    {
        "protocol": "TuneHyperparameters",
        "s.TuneHyperparameters.weight": "choice",
        "s.TuneHyperparameters.weight.options": EVIL + ",1" * 9_000,
    },
    {"protocol": "TuneHyperparameters", "s.TuneHyperparameters.weight": "range", "s.TuneHyperparameters.weight.low": "-1e308"},
    {"protocol": "TuneHyperparameters", "p.TuneHyperparameters.trials": "9" * 400, "p.TuneHyperparameters.searcher": EVIL},
)


@pytest.mark.parametrize("given", NASTY, ids=range(len(NASTY)))
def test_whatever_stands_in_the_address_is_text(world: Any, tab: Callable[..., Any], given: dict[str, str]) -> None:
    made = tab()
    asked = {"model": "shop/weighed", "protocol": "SetHyperparameters", **given}
    answer = made.context.request.get("/launch", params=asked)
    assert answer.status == 200, answer.text()[:500]
    assert "<img" not in answer.text()
    assert " disabled" in answer.text().partition('id="launch-button"')[2].partition(">")[0]


def test_a_thousand_models_that_do_not_exist_are_soon_told(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    names = "&".join(f"model=none/{n}{'*' if n % 2 else ''}" for n in range(1000))
    began = time.monotonic()
    answer = made.context.request.get(f"/launch?protocol=TrainModel&{names}")
    assert (answer.status, "At most 20 patterns" in answer.text()) == (200, True)
    assert time.monotonic() - began < 5
    assert made.context.request.get("/launch?model=" + "x" * 200_000).status in (400, 414, 431)


def test_on_a_small_screen_it_is_launched_from_wherever_one_is(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    made.page.set_viewport_size({"width": 390, "height": 844})
    made.page.goto(f"{ONE}&t.SetHyperparameters.weight=6")
    bar = made.page.locator(".launch-bar")
    for place in (0, 1200, 100_000):
        made.page.mouse.wheel(0, place)
        made.page.wait_for_timeout(100)
        box = bar.bounding_box()
        assert box is not None
        assert abs(box["y"] + box["height"] - 844) < 1
    assert "1 experiment" in bar.inner_text()
    # Nothing is hidden behind it at the end.
    last = made.page.locator(".launch-side > section").last.bounding_box()
    assert last["y"] + last["height"] <= box["y"]
    shot(made.page, "one-light-390")


def test_a_search_over_a_range_of_ones_own(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/launch?model=shop/weighed&protocol=TuneHyperparameters&intent=better&p.TuneHyperparameters.trials=3")
    weight = row(page, "s.TuneHyperparameters.weight")
    assert "1 to 9" in weight.inner_text()
    weight.locator("select").select_option("range")
    low = page.locator('[id="s.TuneHyperparameters.weight.low"]')
    low.wait_for()
    low.fill("4")
    page.locator('[id="s.TuneHyperparameters.weight.high"]').fill("12")
    weight.locator(".problem").wait_for()
    assert "The plan takes whole numbers 1 to 9" in weight.inner_text()
    page.locator('[id="s.TuneHyperparameters.weight.high"]').fill("8")
    weight.locator(".help").wait_for()
    page.wait_for_url("**weight.high=8*")
    assert "4" in page.locator("#h-cost + dl").inner_text()
    shot(page, "search-light-1280")
    world.client.quota_groups.pause("default", "the tests look")
    try:
        page.click("#launch-button")
        page.wait_for_url("**/experiments/e-*")
        e = world.client.experiments.get(page.url.rpartition("/")[2])
        world.client.experiments.cancel(e.id)
    finally:
        world.client.quota_groups.resume("default")
    assert e.config.parameters["space"] == {"weight": {"kind": "int", "low": 4, "high": 8, "log": False}}
    assert e.config.parameters["trials"] == 3
    assert e.config.origin["parameters.space"] == "user"
    assert "mode" not in e.config.parameters
    page.goto(f"/launch?like={e.id}")
    assert page.locator('[id="s.TuneHyperparameters.weight.high"]').input_value() == "8"


@pytest.fixture(scope="module")
def fixed(world: Any, service: Any) -> str:
    """A model without a holdout window, which no search can be judged on."""
    import shutil

    folder = service.folder / "launch-fixed"
    shutil.copytree(service.folder / "plan", folder)
    job = (folder / "job.toml").read_text()
    (folder / "job.toml").write_text("\n".join(line for line in job.splitlines() if not line.startswith("holdout")))
    world.client.models.add("launch/fixed", folder)
    world.client.models.add("launch/whole", service.folder / "plan")
    return "launch/fixed"


def test_of_many_the_one_that_does_not_fit_is_left_out(world: Any, tab: Callable[..., Any], fixed: str) -> None:
    page = tab().page
    page.goto("/launch?protocol=TuneHyperparameters&protocol=TrainModel&intent=better")
    page.fill("#add-model", "launch/*")
    page.get_by_role("option", name="launch/*").wait_for()
    # What is offered stays while the rest is filled in again.
    with page.expect_response(lambda answer: "/launch?" in answer.url):
        page.evaluate("document.getElementById('intent').dispatchEvent(new Event('input', { bubbles: true }))")
    page.wait_for_function("!document.querySelector('[aria-busy]')")
    assert page.get_by_role("option", name="launch/*").is_visible()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Launch 3 experiments").wait_for()
    left_out = page.locator("section", has=page.locator("#h-refused")).inner_text()
    assert "TuneHyperparameters on launch/fixed" in left_out
    assert "holdout" in left_out
    shot(page, "many-light-1280")
    world.client.quota_groups.pause("default", "the tests look")
    try:
        page.click("#launch-button")
        page.wait_for_url("**/registrations/r-*")
        made = world.client.registrations.get(page.url.rpartition("/")[2])
        pairs = {(e.protocol, e.model) for e in map(world.client.experiments.get, made.experiments)}
        world.client.registrations.cancel(made.id)
    finally:
        world.client.quota_groups.resume("default")
    assert pairs == {("TuneHyperparameters", "launch/whole"), ("TrainModel", "launch/whole"), ("TrainModel", fixed)}


def test_without_scripts_it_is_filled_in_when_one_asks(world: Any, browser: Any) -> None:
    context = browser.new_context(base_url=world.url, java_script_enabled=False)
    assert context.request.post("/login", form={"token": world.token}, headers={"Origin": world.url}).ok
    page = context.new_page()
    page.goto("/launch")
    page.fill("#add-model", "shop/weighed")
    page.check("#protocol-SetHyperparameters")
    page.locator("noscript button").click()
    page.fill('[id="t.SetHyperparameters.weight"]', "8")
    page.locator("noscript button").click()
    assert '"weight": 8' in page.inner_text("#card-change")
    assert page.locator("#launch-button").is_enabled()
    context.close()


def test_a_viewer_sees_it_all_and_launches_nothing(world: Any, tab: Callable[..., Any]) -> None:
    admin = world.app.access.authenticate(world.token)
    made = tab(token=world.app.access.create_token(admin, "launch-reads-only", role="viewer"))
    made.page.goto(f"{ONE}&t.SetHyperparameters.weight=6")
    button = made.page.locator("#launch-button")
    assert button.is_disabled()
    assert "editor" in str(button.get_attribute("title"))
    form = {"model": "shop/weighed", "protocol": "TrainModel", "csrf_token": button.get_attribute("value")}
    answer = made.context.request.post("/launch", form=form, headers={"Origin": world.url})
    assert answer.status == 422
    assert "takes the role editor" in answer.text()
