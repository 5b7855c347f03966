"""Many experiments side by side: what one sees at once, how one chooses, and where one goes from there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wichtel.domain import (
    Constraint,
    Estimate,
    Expectation,
    Experiment,
    ExperimentConfig,
    ExperimentResult,
    ExperimentState,
    ExperimentStatus,
    Intent,
    Registration,
    Verdict,
)

AUC = Constraint(metric="auc", expectation=Expectation.LARGER, threshold=0.01, relative=True)
TIME = Constraint(metric="step_seconds", expectation=Expectation.SMALLER, threshold=-0.1, relative=True)
INTENT = Intent(name="tradeoff", primary="auc", constraints=(AUC, TIME))
QUERY = "registration:r-sides"


def estimate(metric: str, baseline: float, candidate: float, noise: float) -> Estimate:
    delta = candidate - baseline
    low, high = delta - noise, delta + noise
    bounds = {"low": low, "high": high, "relative_low": low / baseline, "relative_high": high / baseline}
    return Estimate(metric=metric, baseline=baseline, candidate=candidate, confidence=0.95, method="made up", window="holdout", **bounds)


@pytest.fixture(scope="module")
def sides(world: Any) -> Iterator[list[str]]:
    """Sixteen experiments of one model and protocol, each better and slower than those before; the last two have no result."""
    with world.app.db.transaction() as tx:
        target = tx.models.get("shop/weighed").head
        names = [f"e-sides{i:02}" for i in range(18)]
        registration = Registration(id="r-sides", owner="ana", models=("shop/weighed",), protocols=("P",), experiments=(), created=tx.now)
        tx.registrations.add(registration)
        for i, name in enumerate(names):
            rate = 0.0001 * 2 ** (i % 8)
            settings = {"values": {"learning_rate": rate, "width": 16 * (1 + i // 2), "optimizer": ("adam", "sgd")[i % 2]}, "note": "same"}
            tx.experiments.add(
                Experiment(
                    id=name,
                    registration=registration.id,
                    model="shop/weighed",
                    target=target,
                    protocol="SetHyperparameters",
                    config=ExperimentConfig(intent=INTENT, parameters=settings, seed=i % 3),
                    owner="ana",
                    quota_group="default",
                    state=ExperimentState.IN_PROGRESS,
                    created=tx.now,
                )
            )
        for i, name in enumerate(names[:16]):
            auc, time = 0.70 + 0.0022 * i - 0.004 * (i % 3), 0.010 + 0.0004 * i * (1.6 if i % 4 == 1 else 0.35)
            found = {"auc": estimate("auc", 0.71, auc, 0.004), "step_seconds": estimate("step_seconds", 0.012, time, 0.0005)}
            verdict = Verdict.of(INTENT, found)
            more = {"log_loss": (0.6, 0.61 - 0.003 * i), "parameters": (1000.0, 900.0 + 60 * i)}
            result = ExperimentResult(
                baseline=target,
                candidate=target,
                verdict=verdict,
                models_trained=1,
                baseline_metrics={n: f.baseline for n, f in found.items()} | {n: v[0] for n, v in more.items()},
                candidate_metrics={n: f.candidate for n, f in found.items()} | {n: v[1] for n, v in more.items()},
            )
            tx.experiments.finish(name, ExperimentStatus(verdict.status), verdict.reason, result)
        tx.experiments.finish(names[16], ExperimentStatus.USER_ERROR, "It failed.")
    yield names
    with world.app.db.transaction() as tx:
        tx.experiments.finish(names[17], ExperimentStatus.CANCELED, "The tests are over.")


def settled(page: Any) -> None:
    page.locator("#tradeoff").locator("svg, canvas").wait_for()
    page.wait_for_timeout(200)


def test_the_page_is_understood_at_a_glance(world: Any, tab: Callable[..., Any], sides: list[str]) -> None:
    made = tab()
    page = made.page
    begun: list[str] = []
    page.on("request", lambda request: begun.append(request.url))
    page.goto(f"/analysis?query={QUERY}")
    settled(page)
    assert len(begun) <= 12, begun
    assert page.title() == "Analysis · 18 experiments of SetHyperparameters on shop/weighed · Wichtel"
    assert page.locator(".compare tbody tr").count() == 18
    # The best first; those without numbers last.
    assert page.locator(".compare tbody tr").last.locator(".mono").inner_text() in (sides[16], sides[17])
    first = page.locator(".compare tbody tr").first
    assert "%" in first.locator(".side-change").first.inner_text()
    assert "2 of 18 have no result" in page.locator(".doubts").text_content()
    assert page.locator(".multiples figure").count() >= 3
    # The trade-off of other metrics, in the address.
    page.locator("select[name=x]").select_option("parameters")
    page.wait_for_url("**x=parameters*")
    settled(page)
    assert page.locator("select[name=x]").input_value() == "parameters"
    page.locator("select[name=against]").select_option("values.width")
    page.wait_for_url("**against=values.width*")
    page.locator(".multiples.one figure").wait_for()
    # Columns, and the order.
    page.get_by_text("Columns", exact=True).click()
    page.locator(".menu-panel").get_by_label("log_loss").check()
    page.get_by_role("button", name="Show these").click()
    page.wait_for_url("**metrics=*log_loss*")
    page.locator("thead a", has_text="log_loss").first.click()
    page.wait_for_url("**sort=-value.log_loss*")
    page.locator(f".compare tbody tr:first-child[data-point='{sides[0]}']").wait_for()
    assert made.said == []


def test_a_point_and_its_row_light_up_together(world: Any, tab: Callable[..., Any], sides: list[str]) -> None:
    page = tab().page
    page.goto(f"/analysis?query={QUERY}&x=parameters&y=log_loss")
    settled(page)
    # The most parameters and the least loss: at the lower right.
    page.locator("#tradeoff").hover()
    page.locator("#tradeoff canvas").wait_for()
    box = page.locator("#tradeoff canvas").bounding_box()
    row = page.locator(f"tr[data-point='{sides[15]}']")
    found = False
    for right in range(20, 120, 4):
        for low in range(50, 110, 4):
            page.mouse.move(box["x"] + box["width"] - right, box["y"] + box["height"] - low)
            if "lit" in (row.get_attribute("class") or ""):
                found = True
                break
        if found:
            break
    assert found
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url(f"**/experiments/{sides[15]}")


def test_one_is_taken_as_candidate_and_the_others_are_compared_with_it(world: Any, tab: Callable[..., Any], sides: list[str]) -> None:
    page = tab().page
    page.goto(f"/analysis?query={QUERY}")
    page.get_by_label(f"Take as candidate: {sides[14]}").click()
    page.wait_for_url(f"**candidate={sides[14]}*")
    panel = page.locator("section.candidate")
    panel.get_by_role("link", name=sides[14]).wait_for()
    assert panel.locator(".finding").count() == 2
    assert "auc at least 1% larger" in panel.inner_text()
    assert "to the candidate" in page.locator(f"tr[data-point='{sides[3]}']").inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == 19
    assert "auc.to_reference" in lines[0]
    panel.get_by_role("link", name="Open").click()
    page.wait_for_url(f"**/experiments/{sides[14]}")
    # And back among its like.
    page.get_by_role("link", name="Compare").click()
    page.wait_for_url(f"**/analysis?query=*candidate={sides[14]}")
    page.locator("tr[aria-current]").wait_for()


def test_what_cannot_be_compared_is_said(world: Any, tab: Callable[..., Any]) -> None:
    page = tab().page
    assert page.goto("/analysis").status == 200
    page.get_by_role("link", name="SetHyperparameters on shop/weighed").wait_for()
    for address, said in (
        ("id=e-nothing", "no experiment 'e-nothing'"),
        ("query=owner:nobody", "No experiment fits"),
        ("query=stattus:x", "stattus"),
    ):
        assert page.goto(f"/analysis?{address}").status == 422
        assert said in page.inner_text(".error-box")


@pytest.mark.skipif("WICHTEL_SCREENSHOTS" not in os.environ, reason="pictures are for people")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pictures(world: Any, tab: Callable[..., Any], sides: list[str], axe: str, scheme: str, width: int) -> None:
    page = tab(scheme=scheme, width=width).page
    for name, address in {
        "none": "/analysis",
        "all": f"/analysis?query={QUERY}",
        "one": f"/analysis?query={QUERY}&candidate={sides[14]}",
    }.items():
        page.goto(address)
        if name != "none":
            settled(page)
            for chart in page.locator(".chart").all():
                chart.scroll_into_view_if_needed()
            page.wait_for_timeout(300)
        page.screenshot(path=f"{os.environ['WICHTEL_SCREENSHOTS']}/analysis-{name}-{scheme}-{width}.png", full_page=True)
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        assert not found, [(v["id"], [n["html"][:160] for n in v["nodes"]][:3]) for v in found]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
