"""A day with the pages: come in, search, watch an experiment end, read why, cancel another, leave. And the way of a model through them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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
    page.keyboard.type("statu")
    page.get_by_role("option", name="status:").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("#query") == "status:"
    page.get_by_role("option", name="SATISFIED", exact=True).wait_for()
    page.keyboard.type("SATISFIED")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.wait_for_url("**/experiments?query=status*SATISFIED*")
    page.locator("tbody tr").first.wait_for()
    page.locator("tbody tr").nth(1).wait_for(state="detached")

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


def test_from_a_plan_to_its_patch(world: Any, service: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    name = "journey/weighed"

    # Onboard: the plan is checked, with what each protocol needs of it; then it is a model.
    page.goto("/onboarding")
    page.get_by_label("Name").fill(name)
    page.get_by_label("plan.py", exact=True).fill((service.folder / "weighed/plan.py").read_text())
    page.get_by_label("job.toml", exact=True).fill((service.folder / "weighed/job.toml").read_text())
    page.get_by_role("button", name="Check").click()
    page.get_by_text("The plan fits its dataset.").wait_for()
    assert "SetHyperparameters" in page.locator(".needs").inner_text()
    page.get_by_role("button", name="Add the model").click()
    page.wait_for_url(f"**/models/{name}")

    # Launch from there; nothing but the weight is typed.
    page.locator("#model").get_by_role("link", name="Launch", exact=True).first.click()
    page.wait_for_url("**/launch?model=journey*")
    page.locator("#protocol-SetHyperparameters").check(force=True)
    weight = page.locator('[id="row-t.SetHyperparameters.weight"]')
    weight.wait_for()
    page.select_option("#intent", "better")
    weight.locator("input").fill("6")
    page.locator("#card-change .diff").wait_for()
    page.locator("#launch-button:not([disabled])").click()
    page.wait_for_url("**/experiments/e-*")
    first = page.url.rpartition("/")[2]

    # Watch it end where it is, and read the verdict.
    page.evaluate("window.kept = true")
    page.locator(".state-card .badge.good").wait_for(timeout=60_000)
    assert page.evaluate("window.kept")
    assert "holds" in page.locator(".finding").inner_text()

    # Compare it with another of its kind, and take it along.
    other = world.client.register([name], ["SetHyperparameters"], intent="better", parameters={"values": {"weight": 2}}).experiments[0]
    world.client.experiments.wait([other], timeout_seconds=60)
    page.get_by_role("link", name="Compare").click()
    page.wait_for_url(f"**/analysis?*candidate={first}")
    assert "to the candidate" in page.locator(f"tr[data-point='{other}']").inner_text()
    with page.expect_download() as download:
        page.locator("section.candidate").get_by_role("link", name="Patch").click()
    assert '"weight": 6' in Path(download.value.path()).read_text()
    assert not made.said
