"""Models: where versions came from and what they changed, what a plan still needs, what counts as better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

HOLDOUT = "holdout = [2020-01-03T00:00:00Z, 2020-01-04T00:00:00Z]"
TUNABLE = 'tunable.Int("weight", default=1, min=1, max=9)'


def files(world: Any) -> tuple[str, str]:
    """The tiny plan and its job."""
    folder = world.app.settings.home.parent / "plan"
    return (folder / "plan.py").read_text(), (folder / "job.toml").read_text()


def test_the_list_has_each_model_with_its_last_experiment(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/models?name=shop/*")
    row = page.locator("tr[data-row='/models/shop/weighed']")
    assert any(protocol in row.inner_text() for protocol in ("TrainModel", "SetHyperparameters", "TuneHyperparameters"))
    assert "auc" in row.inner_text()
    page.goto("/models?name=nothing-of-the-kind")
    assert "Nothing here" in page.inner_text("#results")
    page.get_by_role("link", name="Show all models").click()
    page.wait_for_url("**/models")
    row.get_by_role("link", name="shop/weighed").click()
    page.wait_for_url("**/models/shop/weighed")


def test_a_version_says_where_it_came_from_and_what_it_changed(world: Any, tab: Callable[..., Any]) -> None:
    made = tab()
    page = made.page
    page.goto("/models/shop/weighed")
    lineage = page.locator(".lineage")
    assert page.locator(".lineage > svg circle").count() == lineage.locator("li").count() >= 2
    lineage.get_by_role("link", name="SetHyperparameters").first.click()
    page.wait_for_url("**version=*")
    version = page.locator("#version")
    assert "tunable.Set" in version.locator(".diff .added").first.inner_text()
    version.get_by_role("link", name="job.toml").click()
    version.get_by_label("job.toml", exact=True).wait_for()
    assert 'label = "late"' in version.inner_text()
    page.locator("#history").scroll_into_view_if_needed()
    page.locator("#history svg").wait_for()
    assert not made.said
    assert page.goto("/models/shop/weighed?version=nothing").status == 404


def test_a_model_is_launched_watched_archived_and_restored(world: Any, tab: Callable[..., Any]) -> None:
    world.client.models.add("pages/tended", world.app.settings.home.parent / "plan")
    first = world.client.models.get("pages/tended").head
    changed = world.app.models.files(first)
    folder = world.app.settings.home.parent / "tended"
    folder.mkdir()
    for path, content in changed.items():
        (folder / path).write_bytes(content.replace(b"0.5", b"0.4"))
    world.client.models.add("pages/tended", folder)
    page = tab().page
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"/models/pages/tended?version={first}")
    page.get_by_role("button", name="Make it the head").click()
    page.get_by_role("heading", name="The head").wait_for()
    assert world.client.models.get("pages/tended").head == first
    page.get_by_role("button", name="Watch").click()
    page.get_by_role("button", name="Stop watching").click()
    page.get_by_role("button", name="Watch", exact=True).wait_for()
    page.locator("summary", has_text="More").last.click()
    page.get_by_role("button", name="Archive").click()
    page.get_by_role("button", name="Restore").click()
    page.locator("summary", has_text="More").last.wait_for()
    assert world.client.models.get("pages/tended").archived is None


def test_a_plan_is_checked_and_mended_and_added(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    plan, job = files(world)
    page.goto("/onboarding")
    page.fill("#f-plan", plan.replace(TUNABLE, "7"))
    page.fill("#f-job", job.replace(HOLDOUT, "").replace('"late"', '"lat"'))
    page.get_by_role("button", name="Check").click()
    problem = page.locator("#d-job")
    problem.wait_for()
    assert "'lat'" in problem.inner_text()
    page.fill("#f-job", page.input_value("#f-job").replace('"lat"', '"late"'))
    page.get_by_role("button", name="Check").click()
    needs = page.locator(".needs li", has_text="TuneHyperparameters")
    needs.wait_for()
    assert needs.locator(".lack").count() == 2
    page.get_by_role("button", name="Put the missing lines in").click()
    page.get_by_text("The lines were put in").wait_for()
    assert 'tunable.Int("weight", default=7' in page.input_value("#f-plan")
    assert "holdout = [2020-01-03T00:00:00Z," in page.input_value("#f-job")
    assert page.locator(".needs .warn").count() == 0
    page.get_by_role("button", name="Add the model").click()
    page.locator("#d-name.problem").wait_for()
    page.fill("#f-name", "pages/mended")
    page.get_by_role("button", name="Add the model").click()
    page.wait_for_url("**/models/pages/mended")
    assert [t.name for t in world.client.models.version(world.client.models.get("pages/mended").head).analysis.tunables] == ["weight"]


def test_files_of_a_disk_fill_the_form(world: Any, tab: Callable[..., Any], tmp_path: Any) -> None:
    import zipfile

    plan, job = files(world)
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("plan.py", plan.replace("import numpy", "import numpy\nimport more"))
        archive.writestr("job.toml", job)
        archive.writestr("more.py", "")
    page = tab().page
    page.goto("/onboarding")
    page.set_input_files("#f-files", tmp_path / "p.zip")
    page.get_by_text("Taken: p.zip").wait_for()
    page.get_by_role("button", name="Check").click()
    page.get_by_text("The plan fits its dataset").wait_for()
    assert "more.py" in page.inner_text("[data-others]")
    assert "import more" in page.input_value("#f-plan")


def test_an_intent_is_made_by_a_form_that_points_at_what_is_wrong(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/intents/form")
    page.fill("#f-name", "pages-better")
    page.fill("#f-models", "pages/*")
    page.fill("#f-amount-0", "much")
    page.get_by_role("button", name="Another constraint").click()
    page.fill("#f-metric-1", "$primary")
    page.get_by_role("button", name="Add", exact=True).click()
    assert "is not a number" in page.inner_text("#d-amount-0")
    assert "already" in page.inner_text("#d-metric-1")
    page.fill("#f-amount-0", "2")
    page.fill("#f-metric-1", "model_bytes")
    page.select_option("#f-better-1", "smaller")
    page.select_option("#f-kind-1", "lose")
    page.fill("#f-amount-1", "10")
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url("**/intents?name=pages-better")
    assert "the primary metric at least 2% larger" in page.inner_text("main")
    assert "model_bytes at most 10% larger" in page.inner_text("main")
    page.goto("/intents?model=pages/any")
    assert "applies" in page.locator(".intents", has_text="pages-better").inner_text()
    page.goto("/intents?name=pages-better")
    page.get_by_role("link", name="Change pages-better").click()
    assert page.input_value("#f-amount-0") == "2"
    page.fill("#f-amount-0", "3")
    page.get_by_role("button", name="Keep").click()
    page.wait_for_url("**/intents?name=pages-better")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/intents")
    assert page.goto("/intents?name=pages-better").status == 404


@pytest.mark.parametrize("address", ["/models/shop/weighed", "/onboarding", "/intents", "/intents/form"])
def test_a_viewer_reads_and_is_told_what_they_may_not(world: Any, tab: Callable[..., Any], address: str) -> None:
    admin = world.app.access.authenticate(world.token)
    name = f"reads-{abs(hash(address))}"
    page = tab(token=world.app.access.create_token(admin, name, role="viewer")).page
    assert page.goto(address).ok
    assert page.locator("main [disabled], main [aria-disabled=true]").count() >= 1
