"""An experiment's page: what each step did, where it came from and what came of it, what it cost, and its curves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from wichtel.domain import Measurement
from wichtel.experiments import Rerun, Seed
from wichtel.server.pages.experiment import cost
from wichtel.server.pages.rendering import environment
from wichtel.workflows import StepStatus, WorkflowState


def test_a_step_tells_what_it_got_gave_ran_and_printed(world: Any, tab: Callable[..., Any], axe: str) -> None:
    made = tab()
    page = made.page
    page.goto(f"/experiments/{world.good}")
    node = page.get_by_role("link", name="train candidate")
    node.focus()
    page.keyboard.press("Enter")
    panel = page.locator("#step")
    panel.get_by_text("took").wait_for()
    assert f"{world.good}/candidate/0" in panel.inner_text()
    assert panel.locator("pre").count() >= 1
    panel.get_by_role("link", name=f"{world.good}/candidate/0").click()
    panel.locator("#step-log > *").first.wait_for()
    page.evaluate(axe)
    assert page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"] == []
    if folder := os.environ.get("WICHTEL_SCREENSHOTS"):
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=f"{folder}/step-{width}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})
    # Another takes its place; the same once more, and it goes.
    page.locator("a.node").last.click()
    panel.locator("#step-log").wait_for(state="detached")
    page.locator("a.node[data-at]").click()
    panel.locator(".step").wait_for(state="detached")
    assert made.said == []
    # Without scripts it is a page.
    assert page.goto(f"/experiments/{world.good}/steps/train_candidate").status == 200
    assert page.goto(f"/experiments/{world.good}/steps/nothing").status == 404


def test_where_it_came_from_and_what_came_of_it(world: Any, tab: Callable[..., Any]) -> None:
    admin = world.app.access.authenticate(world.token)
    world.client.quota_groups.pause("default", "nothing of this is to run")
    again = None
    try:
        again = world.app.experiments.rerun(world.good, Rerun(seed=Seed.FRESH), admin)
        page = tab().page
        page.goto(f"/experiments/{world.good}")
        kin = page.locator(".kin")
        result = world.client.experiments.get(world.good).result
        for version in (result.baseline, result.candidate):
            assert kin.get_by_role("link", name=version).is_visible()
        assert kin.get_by_role("link", name=world.registration).is_visible()
        assert page.locator(".cost tr").count() >= 1
        assert page.get_by_role("link", name="Launch like this").get_attribute("href") == f"/launch?like={world.good}"
        kin.get_by_role("link", name="Repeated").first.click()
        page.wait_for_url(f"**/experiments/{again.id}")
        page.locator(".kin").get_by_role("link", name=world.good).click()
        page.wait_for_url(f"**/experiments/{world.good}")
    finally:
        if again is not None:
            world.client.experiments.cancel(again.id)
        world.client.quota_groups.resume("default")


def test_curves_are_thinned_and_keep_what_is_lowest_and_highest(world: Any, tab: Callable[..., Any]) -> None:
    run = f"{world.plain}/candidate/0"
    with world.app.db.transaction() as tx:
        peaks = {1234: 9.0, 2345: -9.0}
        tx.measurements.add_many(Measurement(run=run, attempt=1, step=s, metrics={"loss": peaks.get(s, 0.5)}) for s in range(5000))
    got = tab().context.request.get(f"/experiments/{world.plain}/curves")
    curve = got.json()["candidate"]["loss"]
    assert len(curve) <= 500
    assert [1234, 9.0] in curve
    assert [2345, -9.0] in curve
    assert curve[0][0] == 0
    assert curve[-1][0] == 4999
    assert tab().context.request.get("/experiments/e-none/curves").status == 404


def test_two_hundred_steps_are_drawn_at_once_each_with_its_address() -> None:
    steps = {}
    for n in range(200):
        after = (f"s{n - 9}", f"s{n - 10}") if n > 9 else ()
        steps[f"s{n}"] = StepStatus(name=f"s{n}", state=WorkflowState.SUCCEEDED, after=after)
    template = environment().from_string('{% import "macros.html" as ui with context %}{{ ui.steps_graph(steps, "/here", "#step") }}')
    begun = time.perf_counter()
    drawn = template.render(steps=steps)
    assert time.perf_counter() - begun < 0.3
    assert drawn.count('href="/here/') == 200


def test_what_no_step_waited_for_is_a_trial() -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    trials = [(f"e/study/{n}", when, when.replace(hour=n)) for n in (1, 2)]
    found = cost([*trials, ("e/c", when, when.replace(minute=6))], {"e/c": "train"})
    assert [(c.step, c.runs, c.seconds) for c in found] == [("trials", 2, 10_800.0), ("train", 1, 360.0)]
