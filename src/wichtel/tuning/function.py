"""The user's training function: checked before anything starts, sent to the workers, and called there with what it asks for by name."""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from wichtel.domain import Config, InvalidInput, Space, UserError, did_you_mean

if TYPE_CHECKING:
    from wichtel.fleet.ports import RunContext
    from wichtel.store import Artifacts

#: The entry that calls a function that was sent. Its payload names an artifact that is unpickled: no network interface may accept it.
ENTRY = "wichtel.tuning.function:call"

#: What a function may ask for by a parameter's name, unless its search space has a parameter of that name.
INJECTED: Mapping[str, Callable[[RunContext, int], Any]] = {
    "report": lambda context, _: context.report,
    "seed": lambda context, _: context.seed,
    "checkpoint_path": lambda context, _: context.checkpoint_path,
    "resume": lambda context, _: context.resume,
    "trial": lambda _, number: number,
}

#: The entry that calls a function by its name, ``"module:function"`` under ``"function"`` in the payload: for studies of a service.
NAMED = "wichtel.tuning.function:call_named"

Function = Callable[..., Any]

# In the process that sent it, a function is called as it is: engine `inline` then sees the same globals, breakpoints and closures.
_here: dict[str, Function] = {}


class Reporter(Protocol):
    """The ``report`` that a training function is given."""

    def __call__(self, step: int, **metrics: float) -> None:
        """Say how the trial is doing at `step` (an epoch, a number of examples: anything that grows).

        Raises:
            wichtel.Stopped: the trial is not worth going on with. Let it pass; the last report counts.
        """


def check_function(function: Function, space: Space) -> None:
    """Make sure that `function` can be called with every configuration of `space`.

    Raises:
        InvalidInput: it takes a parameter that nobody provides, or not one that the space has.
    """
    if not callable(function):
        raise InvalidInput(f"{function!r} is not a function.", where="tune")
    where = f"function {_name(function)!r}"
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"its parameters cannot be read: {error}.", where=where, hint="Wrap it in a function of your own.") from error
    offered = [*space, *INJECTED]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    for p in parameters:
        if p.kind is p.POSITIONAL_ONLY and p.default is p.empty:
            raise InvalidInput(f"its parameter {p.name!r} cannot be given by name.", where=where)
    for name, p in names.items():
        if p.default is p.empty and name not in offered:
            hint = did_you_mean(name, offered)
            raise InvalidInput(f"nobody provides its parameter {name!r}.", where=where, hint=f"{hint} Or give it a default.")
        if p.default is p.empty and name in space and space[name].when:
            raise InvalidInput(
                f"its parameter {name!r} has no value when {dict(space[name].when)} does not hold.", where=where, hint="Give it a default."
            )
    for name in space:
        if name not in names and not takes_any:
            raise InvalidInput(f"the space has {name!r}, which it does not take.", where=where, hint=did_you_mean(name, names))


def send(function: Function, artifacts: Artifacts) -> str:
    """Store `function` for workers; returns the digest for the payload's ``"function"``.

    One that workers can import travels by name; one of a notebook, of ``__main__`` or of a function travels as code.

    Raises:
        InvalidInput: something it refers to cannot be sent.
    """
    import cloudpickle

    where = f"function {_name(function)!r}"
    try:
        with _by_value(inspect.getmodule(function)):
            code = cloudpickle.dumps(function)
    except Exception as error:
        # Pickling calls into the objects of whoever wrote them: any of them may raise anything.
        hint = "Make or open it inside the function."
        raise InvalidInput(f"something it uses cannot be sent to workers: {error}.", where=where, hint=hint) from error
    path = [str(Path(entry).absolute()) for entry in sys.path]
    digest = artifacts.put(pickle.dumps({"path": path, "code": code}))
    _here[digest] = function
    return digest


def call(payload: Mapping[str, Any], context: RunContext) -> dict[str, Any]:
    """Call the function that was sent, for one trial; a fleet entry.

    Returns:
        ``{"metrics": {name: value}}``: what it returned; a number is the objective.

    Raises:
        UserError: it returned neither a number nor a table of numbers.
    """
    return _call(_here.get(payload["function"]) or _fetch(payload["function"], context), payload, context)


def call_named(payload: Mapping[str, Any], context: RunContext) -> dict[str, Any]:
    """As `call`, of a function that the workers can import; ``payload["metric"]`` is what a number that it returns is called.

    Raises:
        UserError: there is no such function here, or as `call`.
    """
    name = str(payload.get("function"))
    module, _, attribute = name.partition(":")
    try:
        function = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"the function {name!r} cannot be imported in a worker: {error}.", hint="Is its package installed there?"
        ) from error
    return _call(function, payload, context)


def _call(function: Function, payload: Mapping[str, Any], context: RunContext) -> dict[str, Any]:
    config: Config = payload["config"]
    wanted = _wanted(function)
    given = {name: INJECTED[name](context, payload["trial"]) for name in wanted if name not in config}
    return {"metrics": _metrics(function(**config, **given), payload.get("metric", "objective"))}


@lru_cache(maxsize=64)
def _wanted(function: Function) -> tuple[str, ...]:
    return tuple(name for name in inspect.signature(function).parameters if name in INJECTED)


_fetched: dict[str, Function] = {}


def _fetch(digest: str, context: RunContext) -> Function:
    if digest not in _fetched:
        sent = pickle.loads(context.artifacts.get(digest))  # noqa: S301 `send` wrote it
        # After what is there, so that nothing of the worker's own is shadowed.
        sys.path += [entry for entry in sent["path"] if entry not in sys.path]
        try:
            _fetched[digest] = pickle.loads(sent["code"])  # noqa: S301 as above
        except (ImportError, AttributeError) as error:
            raise UserError(f"the function cannot be loaded in a worker: {error}.", hint="Is what it imports installed there?") from error
    return _fetched[digest]


def _metrics(returned: Any, objective: str) -> dict[str, float]:
    if returned is None:
        return {}
    table = returned if isinstance(returned, Mapping) else {objective: returned}
    try:
        return {str(name): float(value) for name, value in table.items()}
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the function returned {returned!r:.200}.", hint="Return a number, or a dict of metrics that are numbers."
        ) from error


@contextmanager
def _by_value(module: ModuleType | None) -> Iterator[None]:
    """While here, functions of `module` are pickled as code if a worker could not import it by its name."""
    import cloudpickle

    if module is None or module.__name__ == "__main__" or _importable(module):
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _importable(module: ModuleType) -> bool:
    """Whether its file is where its name says; not so for what a test runner or a notebook has loaded by path."""
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__ in sys.builtin_module_names
    parts = module.__name__.split(".")
    tails = (Path(*parts).with_suffix(".py"), Path(*parts) / "__init__.py")
    if not str(file).endswith(".py"):
        return True
    return any(Path(file).absolute() == Path(entry).absolute() / tail for entry in sys.path for tail in tails)


def _name(function: Function) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
