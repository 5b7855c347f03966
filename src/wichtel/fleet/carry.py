"""Carrying out one assignment: the run's function is found, called, and whatever it does becomes a `Result`."""

from __future__ import annotations

import operator
import shutil
import time
import traceback
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, cast

import msgspec

from wichtel.domain import InvalidInput, NotFound, Resources, SystemFault, UserError, did_you_mean
from wichtel.fleet import paths
from wichtel.fleet.messages import Assign, Reported, Result, Welcome, encode
from wichtel.fleet.ports import Canceled, Stopped
from wichtel.store import codec

if TYPE_CHECKING:
    from wichtel.store import Artifacts

#: So much of a traceback is kept, from its end.
_TRACEBACK_BYTES = 8 * 1024
#: A report waits for its answer no longer than this share of the time since the one before, and no longer than so many seconds; not at all
#: if that is too short for an answer to come.
_PATIENCE, _LONGEST_SECONDS, _SHORTEST_SECONDS = 0.01, 0.25, 0.0005

Function = Callable[[dict[str, Any], Any], Any]


class Context:
    """The `RunContext` that a function is given; also the mailbox between the thread it runs in and those that speak for the worker.

    Args:
        notify: Called by `report` when there is a new measurement to be sent.
    """

    def __init__(self, assign: Assign, welcome: Welcome, notify: Callable[[], None]) -> None:
        self.assign = assign
        self.resources = Resources(cpus=assign.cpus, gpus=assign.gpus, memory_bytes=assign.memory_bytes)
        #: Indices of the graphics processors that are the run's own, or of which it has a share.
        self.devices = tuple(assign.devices)
        #: Whether an earlier attempt, or the run that this one begins with, left something under `checkpoint_path`. Known after `prepare`.
        self.resume = False
        #: Whether there never were any files of this run. Known after `tidy`.
        self.clean = False
        #: Whether `Stopped` was raised in the function.
        self.raised = False
        self._welcome = welcome
        self._notify = notify
        self._lock = Lock()
        self._pending: list[Reported] = []
        self._last: int | None = None
        self._stop: Stopped | None = None
        self._answered = Event()
        #: When the function went on after its last report.
        self._went_on = time.monotonic()

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.assign.run

    @property
    def attempt(self) -> int:
        """From 1."""
        return self.assign.attempt

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.assign.seed

    @cached_property
    def _state_dir(self) -> Path:
        return Path(self._welcome.state_dir)

    @cached_property
    def checkpoint_path(self) -> Path:
        """A directory of this run's own that outlives an attempt."""
        path = paths.checkpoint_path(self._state_dir, self.run_id)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @cached_property
    def scratch(self) -> Path:
        """A directory of this attempt's own."""
        path = paths.scratch_path(self._state_dir, self.run_id, self.attempt)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    @cached_property
    def artifacts(self) -> Artifacts:
        """The artifact store."""
        from wichtel.store import Artifacts

        return Artifacts(self._welcome.artifacts_url)

    def report(self, step: int, **metrics: float) -> None:
        """Say how it goes; see `RunContext.report`."""
        try:
            number = operator.index(step)
        except TypeError:
            raise InvalidInput(f"step {step!r} is not a whole number.", where="report") from None
        if not -(2**63) <= number < 2**63:
            raise InvalidInput(f"step {number} does not fit into 64 bits.", where="report", hint="Count steps from 0.")
        if self._last is not None and number <= self._last:
            raise InvalidInput(f"step {number} comes after step {self._last}.", where="report", hint="Steps of a run strictly increase.")
        values = {}
        for name, value in metrics.items():
            try:
                values[name] = float(value)
            except (TypeError, ValueError):
                raise InvalidInput(f"metric {name!r} is {value!r}, which is not a number.", where=f"report of step {number}") from None
        self._last = number
        patience = min(_LONGEST_SECONDS, _PATIENCE * (time.monotonic() - self._went_on))
        self._answered.clear()
        with self._lock:
            self._pending.append(Reported(number, values))
        self._notify()
        # So that a trial which is to be stopped does not compute to its next report, which may be an epoch away.
        if patience > _SHORTEST_SECONDS:
            self._answered.wait(patience)
        self._went_on = time.monotonic()
        self.check()

    def check(self) -> None:
        """Raise `Stopped` or `Canceled` if the run is to end."""
        stop = self._stop
        if stop is not None:
            self.raised = True
            raise stop

    # The worker's side

    @property
    def stopping(self) -> Stopped | None:
        """What the next `check` raises."""
        return self._stop

    def answer(self, step: int, stop: str) -> None:
        """What the owner says to the measurements up to a step: why the run is to end, or nothing."""
        if stop and self._stop is None:
            self._stop = Stopped(stop)
        if stop or step == self._last:
            self._answered.set()

    def cancel(self, reason: str) -> None:
        """Somebody canceled it, which weighs more than a stop."""
        self._stop = Canceled(reason)
        self._answered.set()

    def collect(self) -> list[Reported]:
        """The measurements since the last call."""
        with self._lock:
            pending, self._pending = self._pending, []
        return pending

    def prepare(self) -> None:
        """Lay out what the attempt begins with.

        Raises:
            NotFound: the checkpoint that it is to begin with is not kept.
            StorageFailed: it cannot be copied.
        """
        if self.assign.checkpoint_from:
            paths.copy_checkpoint(self._state_dir, self.assign.checkpoint_from, self.run_id)
        if self.attempt > 1 or self.assign.checkpoint_from:
            self.resume = any(self.checkpoint_path.iterdir())
        if self.assign.keep_checkpoint:
            # There even if the function writes nothing: so "nothing was saved" differs from "nothing was kept".
            self.checkpoint_path  # noqa: B018 - made when first looked at

    def tidy(self) -> None:
        """Remove what the attempt leaves behind, but for checkpoints."""
        if "scratch" in self.__dict__:
            shutil.rmtree(self.scratch, ignore_errors=True)
        self.clean = self.attempt == 1 and "scratch" not in self.__dict__ and "checkpoint_path" not in self.__dict__


class Carrier:
    """Carries out assignments, one after the other; imported functions are kept.

    Args:
        interruptible: Whether ctrl-C is meant for whoever lent the thread; else it is the function's own and fails its run.
    """

    def __init__(self, *, interruptible: bool = False) -> None:
        self._interruptible = interruptible
        self._functions: dict[str, Function] = {}

    def carry(self, context: Context) -> Result:
        """Call the run's function and make a result of whatever comes of it.

        Raises:
            KeyboardInterrupt: if it is `interruptible`.
        """
        assign = context.assign
        state, value, error = "SUCCEEDED", None, None
        try:
            function = self._find(assign.entry)
            context.prepare()
            value = function(assign.payload, context)
            if context.raised and (stop := context.stopping) is not None:
                state, error = _stopped(stop)
        except Stopped as stop:
            state, error = _stopped(stop)
        except SystemFault as fault:
            state, error = "PREEMPTED", fault.to_json() | {"traceback": _tail(fault)}
        except KeyboardInterrupt as failure:
            if self._interruptible:
                raise
            state, error = "FAILED", _failure(failure)
        except BaseException as failure:  # noqa: BLE001 - whatever a user's function raises, SystemExit too, is that run's end only
            state, error = "FAILED", _failure(failure)
        context.tidy()
        result = self._result(context, state, value, error)
        try:
            encode(result)
            codec.encode(value)
        except InvalidInput as unfit:
            unfit = InvalidInput(f"the result cannot be kept: {unfit.message}", where=assign.entry, hint=unfit.hint)
            result = msgspec.structs.replace(result, state="FAILED", value=None, error=unfit.to_json())
        return result

    def _result(self, context: Context, state: str, value: Any, error: dict[str, Any] | None) -> Result:
        assign = context.assign
        return Result(assign.run, assign.attempt, assign.epoch, state, value, error, context.collect(), clean=context.clean)

    def _find(self, entry: str) -> Function:
        function = self._functions.get(entry)
        if function is None:
            function = self._functions[entry] = find_entry(entry)
        return function


def find_entry(entry: str) -> Function:
    """The function that ``"module:function"`` names.

    Raises:
        InvalidInput: it has another form, or names something that cannot be called.
        NotFound: there is no such module or function.
    """
    module_name, colon, path = entry.partition(":")
    if not (module_name and colon and path):
        raise InvalidInput(f"{entry!r} does not name a function.", hint='Write it as "module:function".')
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            raise NotFound(f"there is no module {error.name!r}.", where=f"entry {entry!r}") from error
        raise
    for part in path.split("."):
        if not hasattr(found, part):
            raise NotFound(f"there is no {part!r} in it.", where=f"entry {entry!r}", hint=did_you_mean(part, vars(found)))
        found = getattr(found, part)
    if not callable(found):
        raise InvalidInput(f"{entry!r} is no function.")
    return cast("Function", found)


def _stopped(stop: Stopped) -> tuple[str, dict[str, Any]]:
    return "CANCELED" if isinstance(stop, Canceled) else "STOPPED", {"message": stop.reason}


def _tail(failure: BaseException) -> str:
    """The traceback's end, without the frames of this room above the user's."""
    trace = failure.__traceback__
    text = "".join(traceback.format_exception(type(failure), failure, trace.tb_next if trace else None))
    return text if len(text) <= _TRACEBACK_BYTES else "…" + text[-_TRACEBACK_BYTES:]


def _failure(failure: BaseException) -> dict[str, Any]:
    """What the run's `error` says of it."""
    if isinstance(failure, UserError):
        return failure.to_json()
    if isinstance(failure, SystemExit):
        message = f"the run called sys.exit({failure.code!r})"
    else:
        text = str(failure)
        message = f"{type(failure).__name__}: {text}" if text else type(failure).__name__
    frames = traceback.extract_tb(failure.__traceback__)[1:]
    users = [f for f in frames if "site-packages" not in f.filename and not f.filename.startswith("<frozen")] or frames
    where = f"{users[-1].filename}:{users[-1].lineno}" if users else None
    return UserError(message, where=where).to_json() | {"traceback": _tail(failure)}
