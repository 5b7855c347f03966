"""The contracts of this room: what a run's function is given, who hears of runs, and what places worker processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from wichtel.domain import Measurement, Resources, Run, RunSpec
from wichtel.fleet.messages import ToController, ToWorker

if TYPE_CHECKING:
    from wichtel.store import Artifacts


class Stopped(BaseException):
    """Raised by `RunContext.report` when the run's owner wants no more of it; the run ends STOPPED.

    A function may catch it to clean up, and may return a value: the run ends STOPPED all the same, with that value as its result. It is no
    `Exception`, so that code which logs and goes on after any error does not go on after this one.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Canceled(Stopped):
    """Raised by `RunContext.report` when somebody canceled the run; the run ends CANCELED."""


@dataclass(frozen=True, slots=True)
class Stop:
    """An owner's answer to a measurement: end this run, because."""

    reason: str


class RunContext(Protocol):
    """What a run's function is called with beside its payload: ``function(payload, context) -> plain JSON``."""

    @property
    def run_id(self) -> str:
        """The run's id, the same in every attempt: an idempotency key."""

    @property
    def attempt(self) -> int:
        """From 1."""

    @property
    def seed(self) -> int:
        """The run's seed, the same in every attempt."""

    @property
    def resources(self) -> Resources:
        """What the run may use."""

    @property
    def devices(self) -> tuple[int, ...]:
        """Indices of the graphics processors that are the run's while it is at work, as a framework in this process counts them.

        As many as `resources.gpus`, rounded up; of the last one only a share if that is a fraction. Empty if it asked for none.
        """

    @property
    def checkpoint_path(self) -> Path:
        """A directory of this run's own that outlives an attempt; removed when the run ends, unless it `keep_checkpoint`."""

    @property
    def resume(self) -> bool:
        """Whether there is something under `checkpoint_path`: from an earlier attempt, or from the run that this one begins with."""

    @property
    def scratch(self) -> Path:
        """A directory of this attempt's own; removed when the attempt ends."""

    @property
    def artifacts(self) -> Artifacts:
        """The artifact store."""

    def report(self, step: int, **metrics: float) -> None:
        """Say how it goes; infinities and NaN are recorded as they are.

        Waits for the answer, but never longer than a hundredth of the time since the report before: a run that reports rarely is stopped
        at the report that decides it, one that reports often at one of the next.

        Raises:
            InvalidInput: `step` is not larger than the last one, or a metric is not a number.
            Stopped: the run's owner wants no more of it, in answer to this report or to an earlier one.
            Canceled: somebody canceled the run.
        """

    def check(self) -> None:
        """Raise `Stopped` or `Canceled` if `report` would, without reporting: for code that waits long between reports."""


@runtime_checkable
class Owner(Protocol):
    """Whoever submitted runs and wants to hear of them.

    The controller calls it from one thread, in order, and waits for it: answer quickly, do slow work elsewhere, then `Controller.submit`.
    A run that ended while no controller ran is not told again: attach first, then read the store.
    """

    def on_measurement(self, measurement: Measurement) -> Stop | None:
        """Hear of a measurement (maybe before it is durable); answer with `Stop` to end the run."""

    def on_end(self, run: Run) -> list[RunSpec]:
        """Hear of the end, once it is durable; answer with more runs."""


class Link(Protocol):
    """A worker as its engine hands it to the controller. All methods return at once and are called on the controller's thread."""

    def send(self, message: ToWorker) -> None:
        """Send; a message to a worker that is gone is dropped."""

    def kill(self) -> None:
        """End the worker and all processes it started; `on_gone` follows."""


class Engine(Protocol):
    """Places worker processes. When to start and to end one is the controller's decision."""

    @property
    def name(self) -> str:
        """Its registered name."""

    @property
    def workers(self) -> int:
        """The most workers at once."""

    @property
    def capacity(self) -> Resources:
        """What all its workers together may occupy; ``memory_bytes`` None for no limit."""

    def launch(self, worker: str, on_message: Callable[[ToController], None], on_gone: Callable[[str], None]) -> Link:
        """Start a worker; called on the controller's thread, inside its running event loop, and returns at once.

        Args:
            worker: Its name, never used before.
            on_message: To be called, on the controller's thread, with each message.
            on_gone: To be called there once, after the last message, when no process of the worker is left, with the reason in words.

        Raises:
            OSError: it could not be started.
        """

    def serve(self, done: Event, timeout_seconds: float | None = None) -> bool:
        """Wait until `done` is set, lending the calling thread to the engine meanwhile; False if the time was up first."""

    def close(self) -> None:
        """Give up what the engine holds; its workers are gone by then."""
