"""The user's training function: checked before anything starts, sent to the workers, and called there with what it asks for by name.

It is *oblivious* (Meister et al., "Towards distribution transparency for supervised ML with oblivious training functions"): it does not
know whether it is called in a study, in an ablation study or once by hand, for all that differs comes to it as an argument.
"""

from __future__ import annotations

import inspect
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from wichtel.domain import InvalidInput, Space, UserError, did_you_mean, flatten, nest
from wichtel.tuning.files import keep

if TYPE_CHECKING:
    from wichtel.fleet.ports import RunContext
    from wichtel.store import Artifacts

#: The entry that calls a function that was sent. Its payload names an artifact that is unpickled: no network interface may accept it.
ENTRY = "wichtel.tuning.function:call"

#: The entry that calls a function by its name, ``"module:function"`` under ``"function"`` in the payload: for studies of a service.
NAMED = "wichtel.tuning.function:call_named"

Function = Callable[..., Any]
Payload = Mapping[str, Any]


def _budget(payload: Payload) -> float | None:
    """Whole if it is whole, so that ``range(budget)`` works."""
    budget: float | None = payload.get("budget")
    return int(budget) if budget is not None and float(budget).is_integer() else budget


def _device(context: RunContext) -> str:
    return f"cuda:{context.devices[0]}" if context.devices else "cpu"


#: What a function may ask for by a parameter's name, unless its search space has one of that name. What is None here is not given to a
#: parameter that has a default.
INJECTED: Mapping[str, Callable[[RunContext, Payload], Any]] = {
    "report": lambda context, _: context.report,
    "checkpoint_path": lambda context, _: context.checkpoint_path,
    "resume": lambda context, _: context.resume,
    "seed": lambda context, _: context.seed,
    "device": lambda context, _: _device(context),
    "trial": lambda _, payload: payload["trial"],
    "budget": lambda _, payload: _budget(payload),
    # None where nothing is held out by folds: a trial without them, a confirmation, a retraining on all data.
    "fold": lambda _, payload: payload["fold"] if payload.get("folds", 1) > 1 else None,
    "folds": lambda _, payload: payload["folds"] if payload.get("folds", 1) > 1 else None,
    "repeat": lambda _, payload: payload.get("repeat", 0),
    "holdout": lambda _, payload: payload.get("holdout", False),
}


class Reporter(Protocol):
    """The ``report`` that a training function is given."""

    def __call__(self, step: int, **metrics: float) -> None:
        """Say how the trial is doing at `step` (an epoch, a number of examples: anything that grows).

        Raises:
            wichtel.Stopped: the trial is not worth going on with. Let it pass; the last report counts.
        """


@dataclass(frozen=True)
class Sent:
    """A function with the generator functions that travel with it."""

    function: Function
    #: Makes the model; given as it is to a function that asks for ``model``.
    model: Any = None
    #: Makes the data sets; likewise.
    data: Any = None

    @cached_property
    def wanted(self) -> dict[str, bool]:
        """What it asks for by name → whether it can do without."""
        offered = {*INJECTED, "model", "data"}
        parameters = inspect.signature(self.function).parameters
        return {name: p.default is not p.empty for name, p in parameters.items() if name in offered}

    def arguments(self, payload: Payload, context: RunContext) -> dict[str, Any]:
        """What it is called with: the configuration, nested, and what else it asks for."""
        given = nest(payload["config"])
        for name, optional in self.wanted.items():
            if name not in given:
                value = getattr(self, name) if name in ("model", "data") else INJECTED[name](context, payload)
                if value is not None or not optional:
                    given[name] = value
        return given


# In the process that sent it, a function is called as it is: engine `inline` then sees the same globals, breakpoints and closures.
_here: dict[str, Sent] = {}
#: So many of them, the latest: each holds whatever it refers to, which may be data sets.
_MOST_HERE = 16


def check_function(function: Function, space: Space | None, *, model: Any = None, data: Any = None) -> None:
    """Make sure that `function` can be called with every configuration of `space`; None if it needs none.

    Raises:
        InvalidInput: it takes a parameter that nobody provides, or not one that the space has.
    """
    if not callable(function):
        raise InvalidInput(f"{function!r} is not a function.", where="tune")
    where = f"function {name_of(function)!r}"
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"its parameters cannot be read: {error}.", where=where, hint="Wrap it in a function of your own.") from error
    # A group is there if one of its parameters is, and surely if one has no condition.
    groups = nest({name: not p.when for name, p in (space or {}).items()})
    offered = [*groups, *INJECTED]
    offered += [name for name, value in (("model", model), ("data", data)) if value is not None and name not in groups]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    for p in parameters:
        if p.kind is p.POSITIONAL_ONLY and p.default is p.empty:
            raise InvalidInput(f"its parameter {p.name!r} cannot be given by name.", where=where)
    for name, p in names.items():
        if p.default is not p.empty:
            continue
        if name not in offered:
            hint = f"Give tune {name}=…." if name in ("model", "data") else did_you_mean(name, offered)
            raise InvalidInput(f"nobody provides its parameter {name!r}.", where=where, hint=f"{hint} Or give it a default.")
        if name in groups and not _certain(groups[name]):
            condition = dict(space[name].when) if space and name in space else "the condition of any parameter in it"
            raise InvalidInput(
                f"its parameter {name!r} has no value when {condition} does not hold.", where=where, hint="Give it a default."
            )
    for name in groups:
        if name in INJECTED and not _certain(groups[name]):
            # A worker sees a configuration without it, and cannot tell that it is the space's.
            raise InvalidInput(f"the space has {name!r} under a condition, and else it is given.", where=where, hint="Rename it.")
        if name not in names and not takes_any:
            raise InvalidInput(f"the space has {name!r}, which it does not take.", where=where, hint=did_you_mean(name, names))
    for made, what in ((model, "model"), (data, "data")):
        if made is not None and what not in names:
            hint = f"Give it a parameter {what!r}, or leave {what}=… out."
            raise InvalidInput(f"it does not ask for the {what} that you give.", where=where, hint=hint)


def send(function: Function, artifacts: Artifacts, *, model: Any = None, data: Any = None) -> str:
    """Store `function` for workers; returns the digest for the payload's ``"function"``.

    What workers can import travels by name; what stands in a notebook, in ``__main__`` or in a function travels as code.

    Args:
        function: The training function.
        artifacts: The store that the workers read.
        model: What it is given if it asks for ``model``: a function that makes one.
        data: What it is given if it asks for ``data``: a function that makes the data sets.

    Raises:
        InvalidInput: something it refers to cannot be sent.
    """
    import cloudpickle

    where = f"function {name_of(function)!r}"
    sent = Sent(function, model, data)
    try:
        with ExitStack() as stack:
            for module in _modules_of((function, model, data)):
                stack.enter_context(_by_value(module))
            code = cloudpickle.dumps((function, model, data))
    except Exception as error:
        # Pickling calls into the objects of whoever wrote them: any of them may raise anything.
        hint = "Make or open it inside the function."
        raise InvalidInput(f"something it uses cannot be sent to workers: {error}.", where=where, hint=hint) from error
    path = [str(Path(entry).absolute()) for entry in sys.path]
    digest = artifacts.put(pickle.dumps({"path": path, "code": code}))
    _here[digest] = sent
    while len(_here) > _MOST_HERE:
        _here.pop(next(iter(_here)), None)
    return digest


def call(payload: Payload, context: RunContext) -> dict[str, Any]:
    """Call the function that was sent, for one evaluation; a fleet entry.

    Returns:
        ``{"metrics": {name: value}}``: what it returned; a number is the objective. If it returned files, their digests beside it, as
        ``"artifacts": {name: digest}``.

    Raises:
        UserError: it returned neither a number nor a table of numbers, or a file that is not there.
    """
    sent = _here.get(payload["function"]) or fetch(payload["function"], context.artifacts)
    return _call(sent, payload, context)


def call_named(payload: Payload, context: RunContext) -> dict[str, Any]:
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
    return _call(Sent(function), payload, context)


@dataclass(frozen=True, slots=True)
class _Alone:
    """What stands in for a run's context where there is no run."""

    seed: int
    checkpoint_path: Path
    resume: bool
    on_report: Callable[[int, dict[str, float]], None] | None
    devices: tuple[int, ...] = ()

    def report(self, step: int, **metrics: float) -> None:
        if self.on_report is not None:
            self.on_report(step, metrics)


def run_once(
    function: Function,
    config: Mapping[str, Any],
    *,
    seed: int = 0,
    budget: float | None = None,
    checkpoint_path: Path | str | None = None,
    model: Any = None,
    data: Any = None,
    on_report: Callable[[int, dict[str, float]], None] | None = None,
) -> Any:
    """Call a training function here and now, as a study would: with a configuration and what else it asks for.

    Args:
        function: As for `tune`.
        config: Values by name, flat or nested; for example ``study.best_config``.
        seed: Its ``seed``.
        budget: Its ``budget``.
        checkpoint_path: A folder, which is kept; if there is something in it, ``resume`` is true. None for one that is removed.
        model: As for `tune`.
        data: As for `tune`.
        on_report: Called with each step and its metrics; may raise `wichtel.Stopped`.

    Returns:
        What the function returns.

    Raises:
        InvalidInput: it takes a parameter that nobody provides, or not one that is given.

    Example:
        >>> import wichtel as wt
        >>> wt.run_once(lambda x, seed: x + seed, {"x": 1}, seed=2)
        3
    """
    config = dict(config)
    check_function(function, Space(dict.fromkeys(flatten(config))) if config else None, model=model, data=data)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()) if checkpoint_path is None else checkpoint_path)
        folder.mkdir(parents=True, exist_ok=True)
        context: Any = _Alone(seed, folder, any(folder.iterdir()), on_report)
        payload = {"config": config, "trial": 0, "budget": budget}
        return function(**Sent(function, model, data).arguments(payload, context))


def _call(sent: Sent, payload: Payload, context: RunContext) -> dict[str, Any]:
    returned = sent.function(**sent.arguments(payload, context))
    objective = payload.get("metric", "objective")
    if isinstance(returned, Mapping) and ("artifacts" in returned or isinstance(returned.get("metrics"), Mapping)):
        if unknown := set(returned) - {"metrics", "artifacts"}:
            raise UserError(
                f"the function returned {', '.join(map(repr, sorted(map(str, unknown))))} beside 'metrics' and 'artifacts'.",
                hint='Return {"metrics": {…}, "artifacts": {name: path}}.',
            )
        value: dict[str, Any] = {"metrics": _metrics(returned.get("metrics"), objective)}
        if returned.get("artifacts"):
            value["artifacts"] = keep(returned["artifacts"], context)
        return value
    return {"metrics": _metrics(returned, objective)}


_fetched: dict[str, Sent] = {}


def fetch(digest: str, artifacts: Artifacts) -> Sent:
    """What `send` stored. As it is code, only from a store that nobody else writes to.

    Raises:
        UserError: something that it imports is not installed here.
        NotFound: it is not in the store.
    """
    if digest not in _fetched:
        sent = pickle.loads(artifacts.get(digest))  # noqa: S301 `send` wrote it
        # After what is there, so that nothing of the process's own is shadowed.
        sys.path += [entry for entry in sent["path"] if entry not in sys.path]
        try:
            _fetched[digest] = Sent(*pickle.loads(sent["code"]))  # noqa: S301 as above
        except (ImportError, AttributeError) as error:
            raise UserError(f"the function cannot be loaded: {error}.", hint="Is what it imports installed there?") from error
    return _fetched[digest]


def _metrics(returned: Any, objective: str) -> dict[str, float]:
    if returned is None:
        return {}
    table = returned if isinstance(returned, Mapping) else {objective: returned}
    try:
        return {str(name): _number(value) for name, value in table.items()}
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the function returned {returned!r:.200}.", hint="Return a number, or a dict of metrics that are numbers."
        ) from error


def _number(value: Any) -> float:
    """A plain number; also one of NumPy, JAX or PyTorch, if it has no dimensions."""
    if isinstance(value, str | bytes) or getattr(value, "shape", ()) != ():
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _certain(group: Any) -> bool:
    return any(_certain(inner) for inner in group.values()) if isinstance(group, dict) else group


def _modules_of(things: Iterable[Any]) -> Iterator[ModuleType | None]:
    """Where they are defined, and what they are made of: partials, and what wraps a function as `functools.wraps` has it."""
    for thing in things:
        if isinstance(thing, partial):
            yield from _modules_of((thing.func, *thing.args, *thing.keywords.values()))
        elif thing is not None:
            yield inspect.getmodule(thing if hasattr(thing, "__qualname__") else type(thing))
            yield from _modules_of((getattr(thing, "__wrapped__", None),))


@contextmanager
def _by_value(module: ModuleType | None) -> Iterator[None]:
    """While here, functions of `module` are pickled as code if a worker could not import it by its name."""
    import cloudpickle

    known = cloudpickle.list_registry_pickle_by_value()
    if module is None or module.__name__ in ("__main__", *known) or _importable(module):
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


def name_of(function: Function) -> str:
    """What messages call it."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__qualname__", None) or type(function).__qualname__
