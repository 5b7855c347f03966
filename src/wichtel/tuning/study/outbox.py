"""Runs and copied trials on their way into the store, in the order of the trials' numbers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from itertools import takewhile
from typing import Protocol

from wichtel.domain import RunSpec, Trial

Item = RunSpec | Trial


class Fleet(Protocol):
    """What a study needs of a controller."""

    def submit(self, specs: Iterable[RunSpec]) -> Future[None]:
        """Have these carried out; one that was submitted before is not carried out again. Done when they are durable."""

    def cancel(self, run_id: str, reason: str) -> object:
        """End a run."""

    def forget(self, runs: Iterable[str]) -> object:
        """Remove the checkpoints that were kept of these runs."""


class Outbox:
    """Gives runs to the fleet and copied trials to the store so that they become durable in order, without waiting for either.

    Each of the two keeps its own order; an item for the other one waits until what was given before is durable. So after a kill
    no trial is in the store while one with a smaller number is not, whose number would be lost.

    Args:
        submit: Gives runs away; done when they are durable.
        write: Gives copied trials away; done when they are durable.
        lock: Held by whoever calls, and taken when something has become durable.
        on_sent: Called with the lock when all that waited was given away.
        on_lost: Called with the lock when something cannot be made durable; nothing more is given away then.
    """

    def __init__(
        self,
        submit: Callable[[list[RunSpec]], Future[None]],
        write: Callable[[list[Trial]], Future[None]],
        lock: threading.RLock,
        on_sent: Callable[[], None],
        on_lost: Callable[[BaseException], None],
    ) -> None:
        self._submit = submit
        self._write = write
        self._lock = lock
        self._on_sent = on_sent
        self._on_lost = on_lost
        self._items: deque[Item] = deque()
        self._last: tuple[type[Item], Future[None]] | None = None
        self._waiting = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Sequence[Item]) -> None:
        """Send these after all that came before."""
        self._items.extend(items)
        self._send()

    def take_back(self, runs: Iterable[str]) -> list[RunSpec]:
        """Do not send these runs; returns those that were not sent."""
        unwanted = set(runs)
        taken = [item for item in self._items if isinstance(item, RunSpec) and item.id in unwanted]
        if taken:
            self._items = deque(item for item in self._items if not (isinstance(item, RunSpec) and item.id in unwanted))
        return taken

    def cut(self) -> list[RunSpec]:
        """Send nothing more but the copied trials that come before any run; returns the runs."""
        runs = [item for item in self._items if isinstance(item, RunSpec)]
        self._items = deque(takewhile(lambda item: isinstance(item, Trial), self._items))
        return runs

    def _send(self) -> None:
        while self._items and not self._waiting:
            kind = type(self._items[0])
            if self._last is not None and self._last[0] is not kind:
                before = self._last[1]
                if not before.done():
                    self._waiting = True
                    before.add_done_callback(self._go_on)
                    return
                if (error := before.exception()) is not None:
                    self._items.clear()
                    self._on_lost(error)
                    return
            batch = []
            while self._items and type(self._items[0]) is kind:
                batch.append(self._items.popleft())
            self._last = kind, self._submit(batch) if kind is RunSpec else self._write(batch)  # type: ignore[arg-type]

    def _go_on(self, _: Future[None]) -> None:
        with self._lock:
            self._waiting = False
            self._send()
            if not self._items:
                self._on_sent()
