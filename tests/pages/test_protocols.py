"""The catalogue: what a protocol does, needs and came to, and what a recipe makes of a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wichtel.recipes import recipe_names


def test_a_protocol_tells_all_that_is_declared_of_it(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/protocols")
    card = page.locator(".protocol", has_text="TuneHyperparameters")
    assert "a holdout window in job.toml" in card.inner_text()
    card.get_by_role("link", name="TuneHyperparameters", exact=True).click()
    page.wait_for_url("**/protocols/TuneHyperparameters")
    # The graph, and what each step does.
    assert page.locator(".graph .node").count() == page.locator(".steps li").count() == 10
    assert "on the same examples of the holdout window" in page.locator(".steps").inner_text()
    row = page.locator(".declared tr", has=page.get_by_role("rowheader", name="trials"))
    assert row.locator("td").all_inner_texts()[:3] == ["a whole number", "20", "1 to 100,000"]
    # What was really made of a plan.
    assert "tunable.Set({" in page.locator(".diff .added").all_inner_texts()[0]
    assert page.locator(".heading").get_by_role("link", name="Launch").get_attribute("href") == "/launch?protocol=TuneHyperparameters"
    assert page.goto("/protocols/Nothing").status == 404


def test_a_protocol_says_which_models_are_ready_and_what_came_of_it(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/protocols/SetHyperparameters?models=weighed")
    assert page.locator(".ready tbody tr").count() == 1
    assert "ready" in page.locator(".ready tbody tr").inner_text()
    assert page.get_by_label("Launch SetHyperparameters on shop/weighed").get_attribute("href") == (
        "/launch?model=shop%2Fweighed&protocol=SetHyperparameters"
    )
    assert int(page.locator("aside .numbers dd").first.inner_text()) >= 1
    page.locator("aside .legend a", has_text="satisfied").first.click()
    page.wait_for_url("**/experiments?query=protocol*SetHyperparameters*SATISFIED")
    assert world.good in page.inner_text("tbody")


def test_every_recipe_shows_what_it_makes_of_a_plan(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/protocols#recipes")
    assert page.locator("#recipes li").count() == len(recipe_names())
    for name in recipe_names():
        page.goto(f"/recipes/{name}")
        assert page.locator(".diff .added").count() >= 1, name
    page.goto("/recipes")
    assert page.url.endswith("/protocols#recipes")
