"""A replica to be killed: ``python crash_replica.py URL EXECUTOR FOLLOW_UPS`` carries out chains until all have ended."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from wichtel.store import Database
from wichtel.workflows import Graph, Handler, HandlerContext, Step, StepContext, Workflows


class Bodies:
    def __init__(self, db: Database, executor: str) -> None:
        self.db = db
        self.executor = executor
        self.workflows: Workflows

    def _began(self, key: str) -> None:
        with self.db.transaction() as tx:
            tx.connection.execute(
                text("INSERT INTO began (key, executor) VALUES (:key, :executor)"), {"key": key, "executor": self.executor}
            )

    def _effect(self, key: str, value: int, then: tuple[str, dict[str, Any]] | None = None) -> int:
        """Idempotent by its key: a row is there once, with the first value that was written."""
        with self.db.transaction() as tx:
            kept = tx.connection.execute(text("SELECT value FROM effects WHERE key = :key"), {"key": key}).scalar()
            if kept is None:
                tx.connection.execute(text("INSERT INTO effects (key, value) VALUES (:key, :value)"), {"key": key, "value": value})
                if then is not None:
                    self.workflows.enqueue(tx, "follow", *then)
        return value if kept is None else int(kept)

    def add(self, context: StepContext, inputs: dict[str, Any]) -> dict[str, int]:
        self._began(context.key)
        value = 1 + sum(v["n"] for k, v in inputs.items() if k != "input")
        last = context.step == "d"
        value = self._effect(context.key, value, (f"{context.workflow}/follow", {"n": value}) if last else None)
        time.sleep(0.05)
        return {"n": value}

    def submit(self, context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"key": context.key, "due": time.time() + 0.3, **self.add(context, inputs)}

    def ask(self, context: StepContext, ticket: dict[str, Any]) -> dict[str, int] | None:
        return {"n": ticket["n"]} if time.time() >= ticket["due"] else None

    def follow(self, context: HandlerContext, given: dict[str, Any]) -> int:
        self._began(context.key)
        return self._effect(context.key, given["n"])


def workflows(db: Database, executor: str) -> Workflows:
    bodies = Bodies(db, executor)
    chain = Graph(
        "chain",
        (
            Step("a", bodies.add),
            Step("b", bodies.submit, after=("a",), poll=bodies.ask),
            Step("c", bodies.add, after=("a",)),
            Step("d", bodies.add, after=("b", "c")),
        ),
    )
    bodies.workflows = Workflows(
        db,
        executor_id=executor,
        graphs=[chain],
        handlers=[Handler("follow", bodies.follow)],
        threads=4,
        poll_seconds=0.3,
        beat_seconds=0.3,
        dead_after_seconds=2.0,
    )
    return bodies.workflows


def main(url: str, executor: str, follow_ups: int) -> None:
    db = Database.open(url)
    running = workflows(db, executor)
    running.start()
    print("started", flush=True)
    while True:
        with db.read() as tx:
            followed = tx.connection.execute(text("SELECT count(*) FROM effects WHERE key LIKE '%/follow'")).scalar()
        # What a body did is written a moment before it is known to have ended.
        if followed == follow_ups and not running.list_underway(datetime.now(UTC)):
            break
        time.sleep(0.1)
    running.stop()
    db.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
