"""Datasets: who learns from them, which part, and how a new one comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_a_dataset_says_who_learns_from_which_part_of_it(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/datasets")
    row = page.locator("tr[data-row='/datasets/d']")
    # Two models of the tests, and whatever others add.
    assert int(row.locator("td").nth(4).inner_text()) >= 2
    row.get_by_role("link").click()
    page.wait_for_url("**/datasets/d")
    assert "shop/weighed" in page.locator(".spans").inner_text()
    windows = page.locator(".spans tr", has_text="shop/weighed").locator("svg").get_attribute("aria-label")
    assert windows == "train 2020-01-01 to 2020-01-02, evaluation 2020-01-02 to 2020-01-03, holdout 2020-01-03 to 2020-01-04"
    columns = {line.split("\t")[0]: line for line in page.get_by_role("group", name="Columns").inner_text().splitlines()}
    assert "time" in columns["t"]
    assert "label of" in columns["late"]
    assert "feature of" in columns["city"]
    assert page.goto("/datasets/nothing").status == 404


def test_a_dataset_is_added_by_a_form_that_says_what_is_wrong(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    file = world.app.settings.home.parent / "d.csv"

    def send(name: str, files: str, column: str) -> None:
        page.fill("#f-name", name)
        page.fill("#f-files", files)
        page.fill("#f-time_column", column)
        page.get_by_role("button", name="Add", exact=True).click()

    page.goto("/datasets")
    page.locator("#add summary").click()
    for sent, field, said in (
        (("d", str(file), "t"), "name", "there is a dataset 'd' already"),
        (("more/d", f"{file}.gone", "t"), "files", "there is no such file"),
        (("more/d", str(file), "when"), "time_column", "there is no column 'when'"),
        (("more/d", str(file), "size"), "time_column", "not a time"),
    ):
        send(*sent)
        problem = page.locator(".field .problem")
        problem.wait_for()
        assert said in problem.inner_text()
        assert problem.get_attribute("id") == f"d-{field}"
        assert [page.input_value(f"#f-{name}") for name in ("name", "files", "time_column")] == list(sent)
    send("more/d", str(file), "t")
    page.wait_for_url("**/datasets/more/d")
    assert "No model" in page.inner_text("main")


def test_a_viewer_sees_the_form_and_cannot_send_it(world: Any, tab: Callable[..., Any]) -> None:
    admin = world.app.access.authenticate(world.token)
    page = tab(token=world.app.access.create_token(admin, "reads-datasets", role="viewer")).page
    page.goto("/datasets")
    page.locator("#add summary").click()
    assert page.get_by_role("button", name="Add", exact=True).is_disabled()
