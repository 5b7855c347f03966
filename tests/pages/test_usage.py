"""Usage: the tables, as pictures and as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any


def test_the_tables_say_what_the_api_says(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    page.goto("/usage?days=7")
    page.locator("#chart-days svg").wait_for()
    page.locator("#chart-users svg").wait_for()
    page.locator("#h-latency").scroll_into_view_if_needed()
    total = page.locator("section:has(#h-statuses) tr.primary td").nth(3).inner_text()
    # A page may be a minute behind.
    assert 4 <= int(total) <= world.client.usage.report().totals.experiments
    assert "SetHyperparameters" in page.inner_text("section:has(#h-protocols)")
    assert "RegisterModels" in page.inner_text("section:has(#h-requests)") or "No call" in page.inner_text("section:has(#h-requests)")
    assert not made.said
    page.locator(".tabs").get_by_role("link", name="All", exact=True).click()
    page.wait_for_url("**/usage?days=0")


def test_each_table_is_a_file(world: Any, tab: Callable[..., Any]) -> None:
    asks = tab().context.request
    for table, first in (("requests", "call"), ("statuses", "status"), ("times", "status"), ("protocols", "protocol"), ("days", "day")):
        answer = asks.get(f"/usage/{table}.csv?days=7")
        assert answer.ok
        assert "attachment" in answer.headers["content-disposition"]
        rows = list(csv.reader(io.StringIO(answer.text())))
        assert not rows or rows[0][0] == first
    statuses = {row["status"]: row for row in csv.DictReader(io.StringIO(asks.get("/usage/statuses.csv").text()))}
    assert int(statuses["SATISFIED"]["experiments"]) >= 1
    assert asks.get("/usage/nothing.csv").status == 404
