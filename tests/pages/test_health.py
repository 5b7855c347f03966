"""Health: one sentence, and what stands behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from wichtel.domain import ExperimentStatus, Failure


def test_it_says_that_everything_works_or_what_to_do(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/health")
    assert page.inner_text("h1") == "Everything works"
    assert "embedded" in page.inner_text("section:has(#h-replicas)")
    with world.app.db.transaction() as tx:
        tx.jobs.ensure("health-tests", 3600.0, tx.now.replace(year=tx.now.year - 1))
    try:
        page.locator("h1", has_text="1 thing to look at").wait_for()
        assert "health-tests has been due" in page.inner_text(".problems")
        assert "orchestrator" in page.inner_text(".problems")
    finally:
        with world.app.db.transaction() as tx:
            tx.jobs.ensure("health-tests", 7200.0, tx.now.replace(year=tx.now.year + 1))
    page.locator("h1", has_text="Everything works").wait_for()


def test_a_job_is_carried_out_now(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    page.goto("/health")
    before = world.client.jobs.get("forget-requests").token
    page.locator("tr", has_text="forget requests").get_by_role("button", name="Run now").click()
    page.wait_for_url("**/health#jobs")
    end = time.monotonic() + 20
    while world.client.jobs.get("forget-requests").token == before and time.monotonic() < end:
        time.sleep(0.2)
    assert world.client.jobs.get("forget-requests").token > before


def test_a_failure_that_nobody_knows_is_looked_into(world: Any, tab: Callable[..., Any]) -> None:
    failure = Failure(status=ExperimentStatus.SYSTEM_ERROR, category="unknown", step="train", message=f"the moon came down {world.words}")
    with world.app.db.transaction() as tx:
        case = tx.triage.note(failure, "TrainModel", world.failed)
    page = tab().page
    page.goto("/health")
    row = page.locator(".cases li", has_text="the moon came down")
    row.locator("summary").click()
    assert page.evaluate("document.body.id") == ""
    row.get_by_placeholder("Why it happens").fill("it does every month")
    row.get_by_role("button", name="Known").click()
    page.wait_for_url("**/health#triage")
    assert page.locator(".cases li", has_text="the moon came down").count() == 0
    assert world.client.triage.get(case).note == "it does every month"
    page.locator("#triage .tabs a", has_text="Known").click()
    assert "admin: it does every month" in page.locator(".cases li", has_text="the moon came down").inner_text()
