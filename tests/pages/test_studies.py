"""Searches and their trials, as one looks at them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any


def test_a_study_is_found_drawn_and_read(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    page.goto("/studies?name=searched")
    page.get_by_role("link", name="searched well").click()
    page.wait_for_url("**/studies/searched")
    assert "200 of 200 trials have ended, 66 of them stopped early" in page.inner_text(".state-card")
    best = min(world.client.studies.trials(world.study), key=lambda t: t.metrics["loss"])
    assert page.locator("#trials tbody tr").first.get_attribute("data-trial") == str(best.number)
    for chart in ("history", "parallel", "importance", "slice-1", "timeline"):
        page.locator(f"#study-{chart}").scroll_into_view_if_needed()
        page.locator(f"#study-{chart} canvas").first.wait_for()
    page.locator("#trials tbody tr").nth(1).hover()
    page.locator("#trials tbody tr").first.get_by_role("link").click()
    page.wait_for_url("**trial=*")
    assert f"Trial {best.number}" in page.locator("aside").inner_text()
    assert not made.said


def test_the_table_shows_what_was_chosen(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto(f"/studies/{world.study}?ranges=rate:0.01:0.2,layers:1:3&state=STOPPED")
    chosen = [
        t
        for t in world.client.studies.trials(world.study)
        if t.state == "STOPPED" and 0.01 <= t.config["rate"] <= 0.2 and t.config["layers"] <= 3
    ]
    assert page.locator("#trials tbody tr").count() == len(chosen) > 0
    page.get_by_role("link", name="All values").click()
    page.get_by_text("1 of 2").wait_for()
    page.get_by_role("link", name="Next").click()
    page.get_by_text("2 of 2").wait_for()
    page.goto("/studies?name=nothing-of-the-kind")
    assert "No study fits" in page.inner_text("#results")


def test_a_brushed_axis_filters_the_table(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto(f"/studies/{world.study}")
    chart = page.locator("#study-parallel")
    chart.scroll_into_view_if_needed()
    chart.locator("canvas").first.wait_for()
    page.wait_for_timeout(300)
    box = chart.bounding_box()
    # The first axis, its upper half.
    x = box["x"] + 40
    page.mouse.move(x, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    page.wait_for_url("**ranges=rate*")
    page.get_by_role("link", name="All values").wait_for()


def test_trials_are_taken_along(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    answer = made.context.request.get(f"/studies/{world.study}/trials.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text())))
    assert len(rows) == 200
    assert {"number", "state", "config.rate", "metrics.loss"} <= rows[0].keys()
    assert len(made.context.request.get(f"/studies/{world.study}/trials.json").json()) == 200


def test_pictures_are_had_by_the_api_too(world: Any) -> None:
    columns = world.client.studies.columns(world.study, most=50)
    assert columns.total == 200
    assert columns.shown == len(columns.number) == len(columns.config["rate"]) <= 50
    assert columns.staircase == sorted(columns.staircase, key=lambda step: -step[1])
    assert set(world.client.studies.importance(world.study)) == {"rate", "layers", "kind"}
    assert world.client.studies.curves(world.study, "loss") == []
