"""The bar at the top of every page: what it leads to, for whom, and on how little room."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from wichtel.server.pages.navigation import PLACES


def test_keys_and_addresses_are_there_once() -> None:
    assert len({place.key for place in PLACES}) == len({place.path for place in PLACES}) == len(PLACES)


def test_every_place_is_reached_on_wide_and_narrow_screens_with_and_without_scripts(world: Any, tab: Callable[..., Any]) -> None:
    wide, narrow = tab(), tab(width=390)
    for made, width in ((wide, 1280), (narrow, 390)):
        page = made.page
        page.goto("/me")
        page.locator(".more > summary").press("Enter")
        if folder := os.environ.get("WICHTEL_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/menu-{width}.png")
        for place in PLACES:
            shown = page.locator(f".bar a[href='{place.path}']:visible").all()
            assert len(shown) == (2 if place.path == "/" else 1), (place.name, width)
        assert page.evaluate("document.querySelector('.bar').scrollWidth") <= width
        page.keyboard.press("Escape")
        assert not page.locator(".more .menu-panel").is_visible()
    page = wide.page
    for place in PLACES:
        page.goto("/me")
        page.keyboard.press("g")
        page.keyboard.press(place.key)
        page.wait_for_url(lambda url, place=place: urlsplit(url).path.startswith(place.path) and urlsplit(url).path != "/me")


def test_only_those_who_may_are_led_to_the_administration(world: Any, tab: Callable[..., Any]) -> None:
    admin = world.app.access.authenticate(world.token)
    token = world.app.access.create_token(admin, "looks-around", role="viewer")
    page = tab(token=token).page
    page.goto("/")
    page.locator(".more > summary").click()
    assert page.locator(".bar a[href='/health']").is_visible()
    assert page.locator(".bar a[href='/admin']").count() == 0
