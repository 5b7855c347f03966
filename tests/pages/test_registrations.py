"""Registrations: who asked for what, how it stands, and how the rest of it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wichtel.domain import Tally
from wichtel.experiments import ProtocolRequest, RegisterModels
from wichtel.server.pages.registrations import sentence


def test_how_it_stands_is_a_sentence() -> None:
    def said(**counts: int) -> str:
        return sentence(Tally(counts=counts, teams=()))

    assert said(SATISFIED=3, UNSATISFIED=20, ENQUEUED=37) == "Of 60, 3 satisfied, 20 not satisfied and 37 waiting."
    assert said(IN_PROGRESS=1) == "It is in progress."
    assert said(USER_ERROR=2) == "All 2 ended with a user error."
    assert said() == "None of its experiments is kept."


def test_what_is_left_of_a_registration_is_canceled_from_its_matrix(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    admin = world.app.access.authenticate(world.token)
    page.goto("/registrations")
    world.client.quota_groups.pause("default", "the matrix is looked at")
    try:
        wanted = (
            ProtocolRequest(protocol="TrainModel", intent="better"),
            ProtocolRequest(protocol="SetHyperparameters", intent="better", parameters={"values": {"weight": 7}}),
        )
        made = world.app.experiments.register_models(RegisterModels(models=("shop/weighed", "shop/broken"), protocols=wanted), admin)
        # It comes by itself, and says what it is.
        row = page.locator(f"tr[data-row='/registrations/{made.id}']")
        row.wait_for()
        assert "2 protocols on 2 models" in row.inner_text()
        assert "All 4 are waiting." in row.inner_text()
        row.get_by_role("link", name="2 protocols on 2 models").click()
        page.wait_for_url(f"**/registrations/{made.id}")
        assert page.locator(".matrix tbody tr").count() == 2
        assert page.locator(".matrix td .badge").all_inner_texts() == ["enqueued"] * 4
        assert "values={weight: 7}" in page.locator(".matrix thead").inner_text()
        assert "better" in page.locator(".matrix thead").inner_text()
        # To be told of it.
        page.get_by_role("button", name="Watch").click()
        page.get_by_role("button", name="Stop watching").click()
        page.get_by_role("button", name="Watch", exact=True).wait_for()
        # One of them ends: seen without a reload.
        page.evaluate("window.kept = true")
        world.client.experiments.cancel(made.experiments[0])
        page.locator(".matrix .badge", has_text="canceled").wait_for()
        page.get_by_text("Of 4, 1 canceled and 3 waiting.").first.wait_for()
        assert page.evaluate("window.kept")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel what is left").click()
        page.get_by_text("All 4 are canceled.").first.wait_for()
        assert page.get_by_role("button", name="Cancel what is left").count() == 0
        # The way on: to the search of them.
        page.get_by_role("link", name="Search them").click()
        page.locator("tbody tr").first.wait_for()
        assert page.locator("tbody tr").count() == 4
    finally:
        world.client.quota_groups.resume("default")


def test_registrations_of_somebody_and_their_pages_are_in_the_address(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/registrations?owner=nobody")
    assert "nobody has asked for nothing" in page.inner_text("main")
    page.goto("/registrations")
    page.get_by_role("navigation", name="Whose").get_by_role("link", name="Mine").click()
    page.wait_for_url("**/registrations?owner=*")
    page.locator("tbody tr").first.wait_for()
    assert page.goto("/registrations/r-nothing").status == 404


def test_a_long_matrix_comes_in_parts(world: Any, tab: Callable[..., Any]) -> None:
    admin = world.app.access.authenticate(world.token)
    wanted = tuple(
        ProtocolRequest(protocol="SetHyperparameters", intent="better", parameters={"values": {"weight": 1 + n % 9}}) for n in range(60)
    )
    world.client.quota_groups.pause("default", "a long matrix")
    try:
        made = world.app.experiments.register_models(RegisterModels(models=("shop/weighed",), protocols=wanted), admin)
        page = tab().page
        page.goto(f"/registrations/{made.id}")
        assert page.locator(".matrix tbody tr").count() == 50
        assert "Protocols 1 to 50 of 60" in page.inner_text("main")
        page.get_by_role("link", name="Next").click()
        page.wait_for_url("**line=51")
        assert page.locator(".matrix tbody tr").count() == 10
        world.client.registrations.cancel(made.id)
    finally:
        world.client.quota_groups.resume("default")
