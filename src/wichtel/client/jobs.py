"""Periodic jobs."""

from __future__ import annotations

import builtins
import time
from typing import Any
from urllib.parse import quote

from wichtel.client.connection import Connection
from wichtel.domain import SystemFault
from wichtel.store import JobStatus, codec


class Jobs:
    """What the service does again and again. All of it needs the role admin."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> builtins.list[JobStatus]:
        """How they stand."""
        return self._connection.all(JobStatus, "/v1/jobs")

    def get(self, name: str) -> JobStatus:
        """How one stands.

        Raises:
            NotFound: there is none of that name.
        """
        return self._connection.get(JobStatus, f"/v1/jobs/{quote(name)}")

    def run(self, name: str, *, wait_seconds: float = 0.0) -> JobStatus:
        """Have it carried out at once.

        Args:
            name: Which.
            wait_seconds: For its end; 0 to go on at once.

        Raises:
            NotFound: there is none of that name.
            SystemFault: it has not ended by then.
        """
        answer = self._connection.call("POST", f"/v1/jobs/{quote(name)}:run")
        status = codec.read(answer.content, JobStatus)
        deadline = time.monotonic() + wait_seconds
        while wait_seconds and (status.requested or status.holder):
            if time.monotonic() > deadline:
                hint = "Does a process with the role orchestrator run?" if status.requested else "See `wichtel jobs list`."
                raise SystemFault(f"the job {name!r} has not ended after {wait_seconds:g} s.", hint=hint)
            time.sleep(0.2)
            status = self.get(name)
        return status

    def preview(self, name: str) -> dict[str, Any]:
        """What it would do now; nothing is done.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: it cannot say.
        """
        answer = self._connection.call("POST", f"/v1/jobs/{quote(name)}:preview")
        return codec.read(answer.content, dict[str, dict[str, Any]])["outcome"]
