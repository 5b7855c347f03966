"""Requests made up from the OpenAPI document, by schemathesis, against a service that runs: is each answer what the document says?

``WICHTEL_FUZZ=100 pytest tests/server/test_schemathesis.py`` makes up more of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from wichtel.app import App
from wichtel.server import Background, listen
from wichtel.settings import load_settings

EXAMPLES = int(os.environ.get("WICHTEL_FUZZ", "2"))

CONFIG = """
[checks.positive_data_acceptance]
# What fits the schema may still be refused: a name that is no name, a protocol that does not exist, a version of another model.
expected-statuses = ["2xx", "304", "401", "403", "404", "409", "412", "422", "503"]

[checks.negative_data_rejection]
expected-statuses = ["401", "403", "404", "405", "406", "409", "412", "413", "422"]

[checks.missing_required_header]
expected-statuses = ["401", "403", "422"]
"""

#: It knows no archives.
HOOKS = """
import schemathesis

@schemathesis.serializer("application/zip")
def archive(context, value):
    return {"data": value if isinstance(value, bytes) else str(value).encode()}
"""


def test_nothing_is_wrong_with_the_document_or_the_service(tmp_path: Path) -> None:
    app = App(load_settings({"home": tmp_path / "home", "requests_per_second": 0.0, "workers": 1}))
    try:
        # No worker runs: what is asked for is stored, and never carried out.
        app.start(())
        socket = listen("127.0.0.1", 0)
        with Background(app, socket):
            found = schemathesis(f"http://127.0.0.1:{socket.getsockname()[1]}", app.access.initialise(), tmp_path)
    finally:
        app.stop()
    assert found.returncode == 0, found.stdout[-20_000:]


def schemathesis(url: str, token: str | None, folder: Path) -> Any:
    (folder / "schemathesis.toml").write_text(CONFIG)
    (folder / "hooks.py").write_text(HOOKS)
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", folder / "schemathesis.toml"),
            *("run", f"{url}/v1/openapi.json", "-H", f"Authorization: Bearer {token}"),
            *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(EXAMPLES)),
            *("--seed", "1", "--no-shrink", "--continue-on-failure", "--warnings", "off", "--suppress-health-check", "all"),
            # Streams do not end.
            *("--exclude-operation-id", "events_stream"),
            *("--request-timeout", "30"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "160"},
    )
