"""Pages go on as if nothing had happened when the replica that they hang on is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.pages.conftest import ROOT

from wichtel.client.client import home_token
from wichtel.store import Database
from wichtel.testing.replicas import ReplicaProcess, free_port


@pytest.mark.crash
def test_a_killed_replica_is_not_noticed(postgres_url: str, inputs: Path, browser: Any) -> None:
    environment = {"WICHTEL_DATABASE_URL": postgres_url, "WICHTEL_HOME": str(inputs / "home")}
    subprocess.run([sys.executable, "-m", "wichtel", "db", "upgrade"], env={**os.environ, **environment}, check=True, capture_output=True)
    replicas = [ReplicaProcess(f"api-{n}", "api", environment, inputs) for n in (1, 2)]
    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, str(ROOT / "scripts" / "proxy.py"), "--port", address.rpartition(":")[2], *(r.url for r in replicas)]
    for replica in replicas:
        replica.start()
    proxy = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for replica in replicas:
            replica.wait_ready()
        token = home_token(inputs / "home") or ""
        context = browser.new_context(base_url=address)
        assert context.request.post("/login", form={"token": token}, headers={"Origin": address}).ok
        page = context.new_page()
        told: list[str] = []
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto("/registrations")
        page.evaluate("window.kept = true")
        database = Database.open(postgres_url)
        for replica in replicas:
            # One of the two is the one that it hangs on. What happens just then is told, of whatever kind it is.
            replica.kill()
            with page.expect_response(lambda r: r.url == f"{address}/registrations" and r.ok, timeout=10_000), database.transaction() as tx:
                tx.events.add("registration.dreamt_of", "registration/r-1")
            replica.start()
            replica.wait_ready()
        database.close()
        assert page.evaluate("window.kept")
        assert told == []
        assert page.locator("[role=alert]").count() == 0
        context.close()
    finally:
        proxy.kill()
        proxy.wait()
        for replica in replicas:
            replica.kill()
