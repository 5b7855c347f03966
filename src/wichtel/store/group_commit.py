"""Many small writes, few commits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from wichtel.store.database import Database
from wichtel.store.transaction import Transaction

T = TypeVar("T")

#: Bounds how long one batch holds the write lock of SQLite: about 50 ms of small writes.
_BATCH = 500


@dataclass(slots=True)
class _Write:
    apply: Callable[[Transaction], Any]
    future: Future[Any] = field(default_factory=Future)


class GroupCommit:
    """One thread that applies writes in the order in which they were submitted, as many in one transaction as have gathered.

    A write that raises is undone alone; the others of its batch are applied. For that the writes of the batch are called again, each in
    a transaction of its own, since some refusals come only at the commit. So a write may be *called* twice, though it is applied once: it
    must do nothing but write to the transaction that it is given.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[_Write] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="group-commit", daemon=True)
        self._thread.start()

    def submit(self, write: Callable[[Transaction], T]) -> Future[T]:
        """Have `write` applied soon. The future has its result, or its exception, once it is committed.

        Raises:
            RuntimeError: it is closed.
        """
        submitted = _Write(write)
        with self._changed:
            if self._closed:
                raise RuntimeError("the group commit is closed")
            self._waiting.append(submitted)
            # The thread sleeps only when nothing waits.
            if len(self._waiting) == 1:
                self._changed.notify_all()
        return submitted.future

    def flush(self) -> None:
        """Wait until all that was submitted before is committed or has failed; what failed is told by its future alone.

        Raises:
            RuntimeError: it is closed.
        """
        # Writes are applied in order: when this one is done, all before it are.
        wait([self.submit(lambda _: None)])

    def close(self) -> None:
        """Apply what has been submitted, then stop. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> GroupCommit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._apply([write for write in batch if write.future.set_running_or_notify_cancel()])

    def _apply(self, batch: list[_Write]) -> None:
        try:
            with self._database.transaction() as tx:
                results = [write.apply(tx) for write in batch]
        except BaseException as error:  # noqa: BLE001 -- it is told to the submitter, whom it concerns
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:
                for write in batch:
                    self._apply([write])
            return
        for write, result in zip(batch, results, strict=True):
            write.future.set_result(result)
