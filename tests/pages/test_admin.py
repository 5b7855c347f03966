"""Administration, and one's own: people, tokens, sessions, channels, the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_a_service_account_is_added_gets_a_token_that_is_shown_once_and_loses_it(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/admin/people")
    page.locator("#add summary").click()
    page.fill("#f-person-name", "admin")
    page.get_by_role("button", name="Add", exact=True).click()
    assert page.locator("#d-person-name.problem").is_visible()
    page.fill("#f-person-name", "night-build")
    page.select_option("#f-person-kind", "service")
    page.select_option("#f-person-role", "editor")
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url("**/admin/people/night-build")
    page.get_by_role("link", name="Make one").click()
    assert page.input_value("#f-token-name") == "night-build"
    page.fill("#f-token-label", "<i>nightly</i>")
    page.get_by_label("launch and cancel experiments").check()
    page.get_by_role("button", name="Make it").click()
    secret = page.input_value("#secret")
    assert world.app.access.authenticate(secret).name == "night-build"
    row = page.locator("tr", has_text="<i>nightly</i>")
    assert "experiments:write" in row.inner_text()
    page.goto("/admin/tokens")
    assert secret not in page.content()
    page.locator("tr", has_text="<i>nightly</i>").get_by_role("button", name="Revoke").click()
    page.wait_for_url("**/admin/tokens")
    assert page.locator("tr", has_text="<i>nightly</i>").count() == 0
    page.goto("/admin/people/night-build")
    page.get_by_role("button", name="Disable").click()
    page.get_by_role("button", name="Enable").wait_for()
    page.goto("/admin/audit?subject=night-build")
    done = page.locator("tbody td:nth-child(3)").all_inner_texts()
    assert done == ["disable principal", "revoke token", "create token", "add principal"]


def test_people_get_roles_in_teams(world: Any, tab: Callable[..., Any]) -> None:
    world.client.principals.add("admin-guest", team="elsewhere", role="viewer")
    page = tab().page
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/admin/teams")
    page.fill("#f-team-name", "admin-team")
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/admin/teams?team=admin-team")
    page.fill("#f-member-name", "admin-gest")
    page.get_by_role("button", name="Give", exact=True).click()
    assert "admin-guest" in page.locator("#d-member-name").inner_text()
    page.fill("#f-member-name", "admin-guest")
    page.get_by_role("button", name="Give", exact=True).click()
    page.get_by_role("link", name="admin-guest").wait_for()
    page.get_by_role("button", name="Remove").click()
    page.get_by_text("Nobody has a role in it.").wait_for()


def test_who_is_no_admin_sees_what_is_theirs(world: Any, tab: Callable[..., Any]) -> None:
    admin = world.app.access.authenticate(world.token)
    other = tab(token=world.app.access.create_token(admin, "admin-viewer", role="viewer")).page
    other.goto("/admin/tokens")
    assert other.locator("tbody tr").count() == 1
    other.goto("/admin/people/admin")
    assert "for admins" in other.inner_text("main")
    assert other.get_by_role("button", name="Disable").is_disabled()
    other.goto("/admin/audit?action=log_in")
    assert set(other.locator("tbody td:nth-child(2)").all_inner_texts()) >= {"admin-viewer"}
    other.goto("/admin/audit?since=whenever")
    assert "is no day" in other.inner_text("main")


def test_one_manages_ones_own_tokens_sessions_channels_and_watches(world: Any, tab: Callable[..., Any]) -> None:
    admin = world.app.access.authenticate(world.token)
    token = world.app.access.create_token(admin, "me-editor", role="editor")
    page, elsewhere = tab(token=token).page, tab(token=token).page
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/me")
    assert page.locator("#sessions li").count() == 2
    page.locator("#sessions li", has_not_text="This browser").get_by_role("button", name="End").click()
    page.wait_for_url("**/me#sessions")
    assert page.locator("#sessions li").count() == 1
    elsewhere.goto("/me")
    assert "/login" in elsewhere.url
    page.get_by_text("Make a token").click()
    page.fill("#f-token-label", "my notebook")
    page.get_by_role("button", name="Make it").click()
    assert page.input_value("#secret").startswith("wt_")
    page.goto("/me")
    page.get_by_text("Add a channel").click()
    page.select_option("#f-channel-kind", "webhook")
    page.fill("#f-channel-address", "nowhere")
    page.get_by_role("button", name="Add", exact=True).click()
    assert page.locator("#d-channel-address.problem").is_visible()
    page.fill("#f-channel-address", "https://hooks.example/secret-path")
    page.get_by_role("button", name="Add", exact=True).click()
    assert page.input_value("#secret").startswith("whsec_")
    page.goto("/me")
    assert "secret-path" not in page.content()
    page.locator("#channels li").get_by_role("button", name="Delete").click()
    page.get_by_text("Nobody tells you anything yet.").wait_for()
    page.get_by_text("Watch something").click()
    page.fill("#f-watch-subject", "shop/weighed")
    page.get_by_role("button", name="Watch", exact=True).click()
    page.locator("#watches li", has_text="shop/weighed").get_by_role("button", name="Stop").click()
    page.get_by_text("Your own experiments are told of anyway.").wait_for()
