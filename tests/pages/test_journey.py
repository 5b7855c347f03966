"""A day with the pages: come in, search, watch an experiment end, read why, cancel another, leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_the_journey(world: Any, tab: Callable[..., Any]) -> None:
    made = tab(token="")
    page = made.page

    # The link that the service printed; one comes back to the page that was wanted.
    page.goto("/experiments")
    assert page.url == f"{world.url}/login?next=%2Fexperiments"
    page.fill("input[name=token]", "wt_wrong")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").wait_for()
    assert "not valid" in page.get_by_role("alert").inner_text()
    page.goto(f"/login?next=/experiments#{world.token}")
    page.wait_for_url(f"{world.url}/experiments")
    made.said.clear()

    # Search, with completion, by keyboard.
    page.goto("/experiments")
    page.keyboard.press("/")
    page.keyboard.type("stat")
    page.get_by_role("option", name="status:").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("#query") == "status:"
    page.get_by_role("option", name="SATISFIED", exact=True).wait_for()
    page.keyboard.type("SATISFIED")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.wait_for_url("**/experiments?query=status*SATISFIED*")
    page.locator("tbody tr").first.wait_for()
    page.wait_for_function("document.querySelectorAll('tbody tr').length === 1")

    # One that waits; it is seen to end without a reload.
    world.client.quota_groups.pause("default", "lunch")
    waiting = world.client.register(
        ["shop/weighed"], ["SetHyperparameters"], intent="better", parameters={"values": {"weight": 6}}
    ).experiments[0]
    page.goto(f"/experiments/{waiting}")
    assert "lunch" in page.inner_text(".state-card")
    page.evaluate("window.kept = true")
    world.client.quota_groups.resume("default")
    page.locator(".graph .node.succeeded").first.wait_for(timeout=60_000)
    page.locator(".state-card .badge.good").wait_for(timeout=60_000)
    assert page.evaluate("window.kept")
    assert page.title().startswith("✓")

    # The verdict: each constraint with its numbers, and what would change.
    finding = page.locator(".finding").inner_text()
    for word in ("holds", "auc at least 1% larger", "baseline", "candidate", "interval", "threshold", "+1%"):
        assert word in finding
    assert '"weight": 6' in page.locator(".diff").inner_text()
    with page.expect_download() as download:
        page.get_by_text("Export", exact=True).click()
        page.get_by_role("link", name="A patch, for git am").click()
    assert download.value.suggested_filename == f"{waiting}.patch"

    # Another is canceled, from the list.
    world.client.quota_groups.pause("default", "lunch")
    other = world.client.register(["shop/weighed"], ["TrainModel"], intent="better").experiments[0]
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/experiments?query=state:ENQUEUED")
    page.get_by_label(f"Choose {other}").check()
    page.get_by_role("button", name="Cancel the chosen").click()
    page.get_by_text("Nothing fits").wait_for()
    world.client.quota_groups.resume("default")
    assert world.client.experiments.get(other).status == "CANCELED"
    assert not made.said

    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
