"""What is carried out durably: graphs of steps, and handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wichtel.domain.errors import InvalidInput, did_you_mean

#: In the inputs of a step, the graph's own input. No step may have this name.
INPUT = "input"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step's body knows of where it runs."""

    #: Id of the workflow.
    workflow: str
    #: Name of the step.
    step: str
    #: Counts from 1; starts anew when the process that ran it died.
    attempt: int = 1

    @property
    def key(self) -> str:
        """The idempotency key: the same on every attempt, in every process."""
        return f"{self.workflow}/{self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerContext:
    """What a handler knows of where it runs."""

    #: Id of the workflow; the idempotency key.
    workflow: str
    #: Counts from 1; starts anew when the process that ran it died.
    attempt: int = 1

    @property
    def key(self) -> str:
        """The idempotency key: the same on every attempt, in every process."""
        return self.workflow


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of a graph, whose output is kept.

    A body is carried out at least once: a process may die after the body's last line and before its output is kept. It must therefore be
    idempotent, by means of `StepContext.key`.

    A `UserError` fails the step at once. Any other exception is tried again `retries` times, each time after a longer pause.
    """

    name: str
    #: ``run(context, inputs)`` returns plain JSON. `inputs` holds the graph's input under ``"input"``, and under their names the outputs
    #: of all the steps that this one comes after, directly or not.
    run: Callable[[StepContext, dict[str, Any]], Any]
    after: tuple[str, ...] = ()
    retries: int = 3
    #: For long work: `run` submits it and returns a ticket (plain JSON, kept), then ``poll(context, ticket)`` is asked now and then, until
    #: it returns something other than None: the output. It must be quick, and only read. Nothing is kept while it says None.
    poll: Callable[[StepContext, Any], Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "after", tuple(self.after))
        if not self.name or "/" in self.name or self.name == INPUT:
            raise InvalidInput(f"{self.name!r} is not a name for a step.", hint=f"It is not empty, has no '/', and is not {INPUT!r}.")
        if self.retries < 0:
            raise InvalidInput("retries is not negative.", where=f"step {self.name!r}")


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps, each of which begins when those it comes after have succeeded. The first failure ends the graph.

    Raises:
        InvalidInput: two steps of one name, `after` names no step, or the steps wait for each other in a circle.
    """

    name: str
    #: In topological order, and otherwise as given.
    steps: tuple[Step, ...]
    #: Step → all the steps that it comes after, directly or not, in topological order.
    before: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    #: Handler that is enqueued, as ``<workflow>/failed``, when it fails: with its input, and the failure under ``"error"``. A hint: if
    #: the process dies just then it is not, so what must not be missed looks at `WorkflowPort.status` as well.
    on_failure: str = field(default="", kw_only=True)
    #: Whether it stands for a handler, whose output is its only step's.
    single: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        where = f"graph {self.name!r}"
        if not self.name:
            raise InvalidInput("a graph needs a name.")
        if not self.steps:
            raise InvalidInput("it has no steps.", where=where)
        ordered = _in_order(self.steps, where)
        before: dict[str, tuple[str, ...]] = {}
        for step in ordered:
            reached = set(step.after).union(*(before[name] for name in step.after))
            before[step.name] = tuple(s.name for s in ordered if s.name in reached)
        object.__setattr__(self, "steps", tuple(ordered))
        object.__setattr__(self, "before", before)

    def result(self, outputs: Mapping[str, Any]) -> Any:
        """What the graph as a whole gives: the outputs of the steps that no other comes after; of a handler, what it returned."""
        if self.single:
            return outputs[self.steps[0].name]
        inner = {name for step in self.steps for name in step.after}
        return {step.name: outputs[step.name] for step in self.steps if step.name not in inner}


@dataclass(frozen=True, slots=True)
class Handler:
    """A small durable job of one step, such as a listener. ``fn(context, input)`` must be idempotent and return plain JSON."""

    name: str
    fn: Callable[[HandlerContext, dict[str, Any]], Any]
    retries: int = 3

    def as_graph(self) -> Graph:
        """The same job as a graph of one step."""

        def run(context: StepContext, inputs: dict[str, Any]) -> Any:
            return self.fn(HandlerContext(workflow=context.workflow, attempt=context.attempt), inputs[INPUT])

        return Graph(self.name, (Step(self.name, run, retries=self.retries),), single=True)


def by_name(graphs: Iterable[Graph], handlers: Iterable[Handler]) -> dict[str, Graph]:
    """Graphs and handlers under their names.

    Raises:
        InvalidInput: two of them share a name.
    """
    found: dict[str, Graph] = {}
    for graph in (*graphs, *(handler.as_graph() for handler in handlers)):
        if graph.name in found:
            raise InvalidInput(f"two graphs or handlers are called {graph.name!r}.")
        found[graph.name] = graph
    return found


def _in_order(steps: Iterable[Step], where: str) -> list[Step]:
    waiting: dict[str, Step] = {}
    for step in steps:
        if step.name in waiting:
            raise InvalidInput(f"two steps are called {step.name!r}.", where=where)
        waiting[step.name] = step
    for step in waiting.values():
        for name in step.after:
            if name not in waiting:
                raise InvalidInput(
                    f"step {step.name!r} comes after {name!r}, which does not exist.", where=where, hint=did_you_mean(name, waiting)
                )
    ordered: dict[str, Step] = {}
    while waiting:
        ready = next((s for s in waiting.values() if all(name in ordered for name in s.after)), None)
        if ready is None:
            raise InvalidInput(f"the steps {', '.join(sorted(waiting))} wait for each other in a circle.", where=where)
        ordered[ready.name] = waiting.pop(ready.name)
    return list(ordered.values())
