"""Calls that take long, such as adding a model that a worker loads first, keep nobody else waiting."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2

from wichtel.app import App
from wichtel.domain import RunState
from wichtel.plans import SourceTree
from wichtel.server import Background, listen
from wichtel.settings import load_settings

#: More than a service has threads for ordinary calls.
MANY = 45

JOB = """
[dataset]
name = "d"
label = "y"
[windows]
train = [2020-01-01, 2020-02-01]
evaluation = [2020-02-01, 2020-03-01]
"""


def test_others_are_answered_while_many_models_wait_for_a_worker(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("t,y\n2020-01-01T00:00:00Z,1\n2020-02-02T00:00:00Z,0\n")
    # No controller is started, so that no plan is ever loaded.
    app = App(load_settings({"home": tmp_path / "home"}))
    try:
        token = app.access.initialise()
        assert token is not None
        app.datasets.add("d", [str(tmp_path / "d.csv")], "t", app.access.authenticate(token))
        archive = SourceTree({"plan.py": b"", "job.toml": JOB.encode()}).to_archive()
        listening = listen("127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with Background(app, listening), httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
            sent = threading.Barrier(MANY + 1)

            def add(number: int) -> tuple[int, str]:
                sent.wait()
                answer = http.put(f"/v1/models/m{number}", content=archive, timeout=300)
                return answer.status_code, answer.text

            with ThreadPoolExecutor(MANY) as pool:
                added = [pool.submit(add, number) for number in range(MANY)]
                sent.wait()
                try:
                    while http.get("/v1/runs").json()["items"] == []:
                        time.sleep(0.05)
                    assert [http.get(path).status_code for path in ("/healthz", "/readyz", "/v1/models")] == [200, 200, 200]
                    assert not any(future.done() for future in added)
                finally:
                    # All of them wait for the analysis of one source tree.
                    while not all(future.done() for future in added):
                        with app.db.transaction() as tx:
                            waiting = tx.runs.list(state=RunState.PENDING)
                            tx.runs.update_many([replace(run, state=RunState.CANCELED, ended=tx.now) for run in waiting])
                        time.sleep(0.2)
            assert all("canceled" in text for _, text in (future.result() for future in added))
    finally:
        app.stop()
