"""The queue: shares, pauses, limits, and what waits and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def test_a_group_is_given_a_share_is_paused_and_says_why_to_those_who_wait(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/queue")
    page.fill("#f-share-group", "queue-tests")
    page.fill("#f-share-max_in_progress", "two")
    page.get_by_role("button", name="Set", exact=True).first.click()
    assert "'two' is not a number" in page.locator("#d-share-max_in_progress").inner_text()
    assert page.input_value("#f-share-group") == "queue-tests"
    page.fill("#f-share-max_in_progress", "2")
    page.fill("#f-share-max_memory_gb", "1.5")
    page.get_by_role("button", name="Set", exact=True).first.click()
    page.wait_for_url("**/queue?group=queue-tests")
    share = world.client.quota_groups.get("queue-tests")
    assert (share.max_in_progress, share.max_memory_bytes, share.max_gpus) == (2, 1_500_000_000, None)
    assert "0 B of 1.5 GB" in page.inner_text(".shares")
    page.fill("#f-pause-reason", "<b>we move</b>")
    page.get_by_role("button", name="Pause queue-tests").click()
    page.get_by_text("Paused by admin").wait_for()
    assert "<b>we move</b>" in page.inner_text(".paused")
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause queue-tests").wait_for()
    page.get_by_role("button", name="Back to the default share").click()
    page.wait_for_url("**/queue")
    assert "queue-tests" not in [group.name for group in world.client.quota_groups.list()]


def test_what_waits_comes_and_goes_by_itself(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    world.client.quota_groups.pause("default", "somebody has lunch")
    try:
        page.goto("/queue?group=default")
        made = world.client.register(["shop/weighed"], ["TrainModel"], intent="better").experiments[0]
        row = page.locator(f"tr[data-row='/experiments/{made}']")
        row.wait_for()
        assert "paused by admin: somebody has lunch" in row.locator(".why").inner_text()
        world.client.experiments.cancel(made)
        row.wait_for(state="detached")
    finally:
        world.client.quota_groups.resume("default")


def test_limits_are_set_and_lifted_and_not_by_everybody(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/queue")
    page.get_by_text("Set a limit").click()
    page.fill("#f-limit-name", "queue-nobody")
    send = page.locator("#limits details").get_by_role("button", name="Set")
    send.click()
    assert "limits nothing" in page.locator("#d-limit-max_in_progress").inner_text()
    page.fill("#f-limit-max_starts_per_hour", "7")
    send.click()
    row = page.locator("li.limit", has_text="User queue-nobody")
    assert "7 starts an hour" in row.inner_text()
    row.get_by_role("button", name="Lift").click()
    row.wait_for(state="detached")
    admin = world.app.access.authenticate(world.token)
    viewer = tab(token=world.app.access.create_token(admin, "queue-viewer", role="viewer")).page
    viewer.goto("/queue?group=default")
    button = viewer.get_by_role("button", name="Pause default")
    assert button.is_disabled()
    assert "role admin" in str(button.get_attribute("title"))


def test_when_an_experiment_begins_is_told_from_how_the_group_went_on(world: Any) -> None:
    pace = world.app.waits.pace()
    # Those of the tests, at least three.
    assert 0 < pace["default"] < 3600
    with pytest.raises(KeyError):
        pace["queue-idle"]
