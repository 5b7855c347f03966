"""How many requests there were, and how long they took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from wichtel.app import App
from wichtel.client import Client
from wichtel.domain import NotFound
from wichtel.experiments import Usage
from wichtel.server import Background, listen
from wichtel.server.statistics import Requests
from wichtel.settings import load_settings
from wichtel.store import Database

NOON = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


def test_replicas_and_hours_add_up_and_what_is_written_twice_counts_once(database: Database) -> None:
    one, other = Requests(), Requests()
    for i in range(100):
        (one if i % 2 else other).add("experiments_get", 200, (i + 1) / 1000, "ana" if i % 3 else "eva", NOON)
        one.flush(database)
    one.add("experiments_get", 404, 0.5, "ana", NOON + timedelta(hours=1))
    one.add("studies_list", 500, 0.001, "", NOON + timedelta(hours=1))
    one.flush(database)
    other.flush(database)
    found = Usage(database).requests()
    assert [u.call for u in found] == ["GetExperiment", "studies_list"]
    assert (found[0].count, found[0].refused, found[0].failed, found[0].principals) == (101, 1, 0, 2)
    assert (found[1].count, found[1].failed, found[1].principals) == (1, 1, 0)
    assert found[0].max_ms == 500
    assert found[0].average_ms == pytest.approx((5050 + 500) / 101)
    assert found[0].p50_ms == pytest.approx(51, rel=0.1)
    [later] = [u for u in Usage(database).requests(since=NOON + timedelta(minutes=30)) if u.call == "GetExperiment"]
    assert later.count == 1
    assert one.flush(database) == 0
    assert one.totals()["GetExperiment", 2].count == 50


def test_a_service_counts_what_it_answers(tmp_path: Path) -> None:
    app = App(load_settings({"home": tmp_path / "home"}))
    try:
        token = app.access.initialise()
        socket = listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        with Background(app, socket), Client(url, token) as client:
            client.protocols.list()
            with pytest.raises(NotFound):
                client.experiments.get("e-none")
            assert httpx2.get(f"{url}/v1/protocols", timeout=60).status_code == 401
            assert httpx2.get(f"{url}/v1/nothing", timeout=60).status_code == 404
        found = {u.call: u for u in app.usage.requests()}
        assert (found["protocols_list"].count, found["protocols_list"].refused, found["protocols_list"].principals) == (2, 1, 1)
        assert (found["GetExperiment"].count, found["GetExperiment"].refused) == (1, 1)
        assert found["other"].count == 1
        assert found["protocols_list"].max_ms > 0
    finally:
        app.stop()
