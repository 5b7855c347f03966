"""Searches and their trials, as one looks at them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from tests.pages.conftest import searched

from wichtel.domain import Run, RunSpec, RunState
from wichtel.tuning.guards.retraining import confirmation_runs


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
        page.locator(f"#study-{chart} svg").wait_for()
    # What somebody points at is drawn by what can be pointed at, and with it all that belongs together.
    page.locator("#trials tbody tr").nth(1).hover()
    for chart in ("history", "parallel", "timeline"):
        page.locator(f"#study-{chart} canvas").first.wait_for()
    page.locator("#trials tbody tr").first.get_by_role("link").click()
    page.wait_for_url("**trial=*")
    assert f"Trial {best.number}" in page.locator("aside").inner_text()
    assert not made.said


def test_how_much_of_the_best_may_be_luck_is_said_until_it_is_confirmed(world: Any, tab: Callable[..., Any]) -> None:
    few, many = searched(world.app, 30, "few"), searched(world.app, 180, "many")
    made = tab()
    page = made.page
    page.goto(f"/studies/{few}")
    assert not page.locator(".doubts").count()
    assert world.client.studies.warnings(few) == []
    page.goto(f"/studies/{many}")
    assert "The best of 120 values" in page.inner_text(".doubts")
    (warning,) = world.client.studies.warnings(many)
    assert "The best of 120 values" in warning
    # A fresh evaluation as good as what the search saw leaves nothing to be warned of; a worse one says so.
    confirmed(world.app, many, 0.0)
    page.reload()
    assert not page.locator(".doubts").count()
    confirmed(world.app, few, 1.0)
    page.goto(f"/studies/{few}")
    assert "The search was optimistic" in page.inner_text(".doubts")
    assert not made.said


def confirmed(app: Any, study: str, worse: float) -> None:
    """A fresh evaluation of the best, as `wt.tune(confirm=1)` leaves it."""
    best = min((t for t in app.studies.trials(study).items if t.state is RunState.SUCCEEDED), key=lambda t: t.metrics["loss"])
    with app.db.transaction() as tx:
        spec = tx.studies.get(study).spec
        (run,) = confirmation_runs(spec, best, 1)
        tx.runs.add(run)
        result = {"loss": best.metrics["loss"] + worse}
        tx.runs.update_many([Run(spec=run, attempt=1, state=RunState.SUCCEEDED, result=result, created=tx.now)])


def test_charts_tell_their_numbers_to_those_who_do_not_see_them(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto(f"/studies/{world.study}")
    best = min(world.client.studies.trials(world.study), key=lambda t: t.metrics["loss"])
    loss = f"{best.metrics['loss']:.4g}"
    page.get_by_role("img", name=f"Best loss so far: {loss} after 200 of 200 trials").wait_for()
    page.get_by_role("img", name=f"the best, trial {best.number}, has {loss}").wait_for()
    page.get_by_role("img", name=f"loss against layers: the best has {loss} at {best.config['layers']}").wait_for()


def test_the_list_says_whose_a_study_is_and_how_its_trials_stand(world: Any, tab: Callable[..., Any]) -> None:
    searched(world.app, 20, f"{world.good}/study")
    made = tab()
    page = made.page
    page.goto(f"/studies?name={world.good}")
    row = page.locator("tbody tr")
    experiment = world.client.experiments.get(world.good)
    row.get_by_role("img", name="20 planned: 14 succeeded, 6 stopped").wait_for()
    assert "20/20" in row.inner_text()
    assert experiment.owner in row.inner_text()
    row.get_by_role("link", name=f"SetHyperparameters on {experiment.model}").click()
    page.wait_for_url(f"**/experiments/{world.good}")
    # One that somebody submitted belongs to none.
    page.goto("/studies?name=searched well")
    assert not page.locator("tbody tr .what .row-sub").count()
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
    chart.hover()
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


def test_a_brushed_axis_of_options_filters_the_table_too(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    page.goto(f"/studies/{world.study}")
    chart = page.locator("#study-parallel")
    chart.hover()
    chart.locator("canvas").first.wait_for()
    page.wait_for_timeout(300)
    box = chart.bounding_box()
    # The third of four axes, around the upper of its two options.
    x = box["x"] + 40 + (box["width"] - 100) * 2 / 3
    page.mouse.move(x, box["y"] + 36)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    page.wait_for_url("**only=kind*")
    page.get_by_role("link", name="All values").wait_for()
    kinds = page.locator("#trials tbody tr td:nth-child(6)").all_inner_texts()
    assert set(kinds) == {"plain"}
    # And the address alone asks for the same.
    page.reload()
    assert page.locator("#trials tbody tr td:nth-child(6)").all_inner_texts() == kinds
    page.goto(f"/studies/{world.study}?only=kind:none")
    assert "No trial fits" in page.inner_text("#trials")
    assert not made.said


def test_what_the_address_asks_for_is_seen_on_the_axes_and_kept_by_the_next_brush(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    page.goto(f"/studies/{world.study}?ranges=layers:2:6")
    page.evaluate("window.kept = true")
    chart = page.locator("#study-parallel")
    chart.scroll_into_view_if_needed()
    chart.locator("canvas").first.wait_for()
    page.wait_for_timeout(300)
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    page.wait_for_url("**ranges=layers*rate*")
    page.get_by_role("link", name="All values").wait_for()
    layers = page.locator("#trials tbody tr td:nth-child(5)").all_inner_texts()
    assert layers
    assert all(2 <= int(text) <= 6 for text in layers)
    assert page.evaluate("window.kept")
    assert not made.said


def test_of_two_objectives_the_front_is_drawn(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    study = searched(world.app, 40, "traded", also="seconds")
    page.goto(f"/studies/{study}")
    page.locator("#study-pareto svg").wait_for()
    columns = world.client.studies.columns(study)
    page.get_by_role("img", name=f"{len(columns.front)} trials on the front").wait_for()
    assert 1 < len(columns.front) < 40
    assert page.locator("#trials thead").inner_text().lower().split()[2:4] == ["loss", "seconds"]
    assert not made.said


def test_each_mark_of_a_large_study_leads_to_its_trial(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    study = searched(world.app, 900, "large")
    page.goto(f"/studies/{study}")
    page.locator("#study-history").hover()
    page.locator("#study-history canvas").first.wait_for()
    x, y = page.evaluate(
        """async (number) => {
          const { assets } = document.querySelector("[data-assets]").dataset;
          const { getInstanceByDom } = await import(`${assets}vendor/echarts/echarts.esm.min.js`);
          const element = document.getElementById("study-history");
          const chart = getInstanceByDom(element);
          const mark = chart.getOption().series.flatMap((one) => one.data).find((one) => one.id === number);
          const [x, y] = chart.convertToPixel({ seriesIndex: 0 }, mark.value);
          const { left, top } = element.getBoundingClientRect();
          return [left + x, top + y];
        }""",
        30,
    )
    page.mouse.move(x - 2, y)
    page.mouse.move(x, y)
    page.mouse.click(x, y)
    page.wait_for_url("**trial=30")
    assert not made.said


@pytest.mark.parametrize(("chart", "word"), [("history", "best so far"), ("slice-1", "0.1")])
def test_the_first_picture_shows_what_stays_when_it_is_pointed_at(world: Any, tab: Callable[..., Any], chart: str, word: str) -> None:
    made = tab()
    page = made.page
    page.goto(f"/studies/{world.study}")
    place = page.locator(f"#study-{chart}")
    place.scroll_into_view_if_needed()
    place.locator("svg").wait_for()
    marks = """(element) => {
      const drawn = [...element.querySelectorAll("g path[fill]")].map((one) => one.getAttribute("d"));
      const circles = drawn.map((path) => [...path.matchAll(/M([\\d.]+) ([\\d.]+)a([\\d.]+)/g)]);
      return circles.find((found) => found.length).map(([, left, y, radius]) => [Number(left) + Number(radius), Number(y)]);
    }"""
    first = place.evaluate(marks)
    assert word in place.locator("text").all_text_contents()
    place.hover()
    place.locator("canvas").first.wait_for()
    then = place.evaluate(
        """async (element) => {
          const { assets } = document.querySelector("[data-assets]").dataset;
          const { getInstanceByDom } = await import(`${assets}vendor/echarts/echarts.esm.min.js`);
          const chart = getInstanceByDom(element);
          const round = chart.getOption().series.find((one) => one.symbol === "circle");
          return round.data.map((one) => chart.convertToPixel({ seriesIndex: 0 }, one.value));
        }"""
    )
    assert len(first) == len(then) > 100
    assert max(abs(a - b) for one, other in zip(first, then, strict=True) for a, b in zip(one, other, strict=True)) < 6
    assert not made.said


def test_the_timeline_has_a_row_for_each_worker_where_it_is_known(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    study = searched(world.app, 8, "handed")
    address = f"/studies/{study}"
    page.goto(address)
    page.locator("#study-timeline").scroll_into_view_if_needed()
    page.locator("#study-timeline svg").wait_for()
    assert "at once" in page.locator("#study-timeline text").all_text_contents()
    with world.app.db.transaction() as tx:
        # In one transaction: nobody takes them up.
        specs = [RunSpec(id=f"{study}/{n}", entry="wichtel.tuning.function:call_named") for n in range(8)]
        tx.runs.add_many(specs)
        done = [Run(spec=spec, attempt=1, worker=f"ada.{n % 2}", state=RunState.SUCCEEDED, created=tx.now) for n, spec in enumerate(specs)]
        tx.runs.update_many(done)
    assert world.client.studies.columns(study).workers == []
    columns = world.client.studies.columns(study, workers=True)
    assert [columns.workers[i] for i in columns.worker] == ["ada.0", "ada.1"] * 4
    page.goto(address)
    page.locator("#study-timeline").scroll_into_view_if_needed()
    page.locator("#study-timeline svg").wait_for()
    words = page.locator("#study-timeline text").all_text_contents()
    assert [word for word in words if word.startswith("ada")] == ["ada.1", "ada.0"]
    page.locator("#study-timeline").hover()
    page.locator("#study-timeline canvas").first.wait_for()
    assert not made.said


def test_a_trial_leads_to_what_it_printed_and_stands_first_on_a_small_screen(world: Any, tab: Callable[..., Any]) -> None:
    page = tab(width=390).page
    page.goto(f"/studies/{world.study}?trial=3")
    assert page.get_by_role("link", name="What it printed").get_attribute("href") == "/v1/logs?run=searched%2F3"
    tops = [page.locator(place).bounding_box()["y"] for place in (".state-card", "text=Best trial", "#h-history")]
    assert tops == sorted(tops)


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
