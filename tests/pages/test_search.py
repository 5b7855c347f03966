"""The search: what is kept under a name, what is taken along, what is compared, and how a query is completed."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyarrow import parquet


def test_a_search_is_kept_under_a_name_shared_renamed_and_forgotten(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/experiments?query=model:shop/broken&sort=id&columns=id,status,owner")
    page.locator("summary", has_text="Save").click()
    page.get_by_label("Save this search as").fill("Broken ones")
    page.locator(".menu-panel").get_by_role("button", name="Save").click()
    chip = page.get_by_role("navigation", name="Saved searches").get_by_role("link", name="Broken ones")
    chip.wait_for()
    assert chip.get_attribute("aria-current") == "page"
    # From elsewhere, one click leads to it, with its order and columns.
    page.goto("/experiments?columns=id")
    page.get_by_role("navigation", name="Saved searches").get_by_role("link", name="Broken ones").click()
    page.wait_for_url("**/experiments?query=model:shop*broken*sort=id*columns=id,status,owner*")
    page.locator("summary", has_text="Saved").click()
    page.get_by_label("Name").fill("Broken, of the shop")
    page.get_by_label("Shared with").select_option("default")
    page.get_by_role("button", name="Change").click()
    page.get_by_role("link", name="Broken, of the shop").wait_for()
    [kept] = [s for s in world.client.saved_searches.list() if s.name == "Broken, of the shop"]
    assert (kept.team, kept.columns) == ("default", ("id", "status", "owner"))
    # What is no name is said at the field, and what was typed is there still.
    page.locator("summary", has_text="Saved").click()
    page.get_by_label("Name").fill("x" * 90)
    page.get_by_role("button", name="Change").click()
    page.locator(".problem").wait_for()
    assert "is no name" in page.locator(".problem").inner_text()
    assert page.get_by_label("Name").input_value() == "x" * 90
    if folder := os.environ.get("WICHTEL_SCREENSHOTS"):
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=f"{folder}/saved-{width}.png")
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/experiments")
    assert kept.id not in [s.id for s in world.client.saved_searches.list()]


def test_rows_are_chosen_and_compared(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto(f"/experiments?query=id:{world.good},{world.plain}")
    compare = page.get_by_role("button", name="Compare the chosen")
    assert compare.is_disabled()
    for identity in (world.good, world.plain):
        page.get_by_label(f"Choose {identity}").check()
    # Both have ended.
    assert page.get_by_role("button", name="Cancel the chosen").is_disabled()
    compare.click()
    page.wait_for_url("**/analysis?id=*&id=*")
    assert "csrf" not in page.url
    assert page.locator(".compare tbody tr").count() == 2


def test_what_was_found_is_taken_along(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto(f"/experiments?query=id:{world.good},{world.failed}&columns=status,created,delta.auc&sort=id")
    asked = page.context.request
    for link, kind in (("CSV, for spreadsheets", "csv"), ("Parquet, for programs", "parquet")):
        page.get_by_text("Export", exact=True).click()
        address = page.get_by_role("link", name=link).get_attribute("href")
        answer = asked.get(address)
        assert answer.ok
        assert f"experiments.{kind}" in answer.headers["content-disposition"]
        page.get_by_text("Export", exact=True).click()
    assert answer.body()[:4] == b"PAR1"
    table = parquet.read_table(io.BytesIO(answer.body()))
    assert table.column_names == ["id", "status", "created", "delta.auc"]
    assert table.schema.field("created").type == pa.timestamp("us", tz="UTC")
    rows = {row["id"]: row for row in table.to_pylist()}
    assert rows[world.good]["delta.auc"] > 0
    assert rows[world.failed]["delta.auc"] is None
    assert asked.get("/experiments/export.parquet?query=stattus:x").status == 422


def test_names_that_occur_complete_a_query(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/experiments")
    page.fill("#query", "")
    page.locator("#query").press_sequentially("delta.au")
    page.get_by_role("option", name="auc>").click()
    assert page.input_value("#query") == "delta.auc>"
    asked = page.context.request
    for before, wanted in (
        ("owner:adm", "admin"),
        ("team:def", "default"),
        ("intent:bet", "better"),
        ("model:weig", "shop/weighed"),
        ("-low.a", "auc>"),
    ):
        assert wanted in [one["text"] for one in asked.get(f"/experiments/completions?before={before}").json()], before
    assert asked.get("/experiments/completions?before=status.x").json() == []
