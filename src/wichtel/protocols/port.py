"""The contract of a protocol, and what its steps work with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar
from typing import Protocol as Port

from wichtel.domain import Analysis, ExperimentResult, ExperimentStatus, Rule, WichtelError
from wichtel.protocols.parameter import ParameterSpec, complete, schema_of
from wichtel.store import Artifacts, Database
from wichtel.workflows import Graph, Step


class Finish(Port):
    """How a protocol reports: stores the result and ends the experiment, unless it has ended already."""

    def __call__(self, experiment: str, status: ExperimentStatus, cause: str, result: ExperimentResult | None = None) -> bool:
        """Return whether this call ended it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the steps of a protocol work with."""

    db: Database
    artifacts: Artifacts
    finish: Finish
    bootstrap_resamples: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo:
    """A step of a protocol as a catalogue shows it."""

    name: str
    #: Names of those it comes after.
    after: tuple[str, ...]
    #: One sentence.
    help: str
    #: Whether workers do its work, and it waits for them.
    awaits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolInfo:
    """A protocol as a catalogue shows it."""

    name: str
    kind: str
    help: str
    #: The intent when the user names none.
    intent: str
    parameters: tuple[ParameterSpec, ...]
    needs: tuple[str, ...]
    #: What its parameters may be, as JSON Schema.
    schema: dict[str, Any] = field(default_factory=dict)
    #: The recipes that change the source, by name.
    recipes: tuple[str, ...] = ()
    #: What is done, each step after those it comes after.
    steps: tuple[StepInfo, ...] = ()


class Protocol(ABC):
    """What an experiment does, as a graph of steps.

    Subclass `Basic` or `Tuning` rather than this: they bring all steps and leave open what differs. A subclass is found through the
    entry-point group ``wichtel.protocols``; its docstring is its help.
    """

    name: ClassVar[str]
    #: ``basic`` or ``tuning`` for the two templates, or a word of its own.
    kind: ClassVar[str]
    #: The intent when the user names none.
    intent: ClassVar[str] = "improve_quality"
    parameters: ClassVar[tuple[ParameterSpec, ...]] = ()
    #: What it needs of a model's onboarding, in words.
    needs: ClassVar[tuple[str, ...]] = ()
    #: The recipes that change the source, by name.
    recipes: ClassVar[tuple[str, ...]] = ()
    #: Know failures of this protocol; asked before all others, in this order.
    failure_rules: ClassVar[tuple[Rule, ...]] = ()

    def check(self, given: Mapping[str, Any], analysis: Analysis) -> dict[str, Any]:
        """The complete parameters for a model, given those that the user set.

        Raises:
            InvalidInput: they do not fit the protocol or the model, or the model lacks what the protocol needs.
        """
        return complete(self.parameters, given, protocol=self.name)

    def lacks(self, analysis: Analysis) -> WichtelError | None:
        """What a model lacks for this protocol, whatever a user gives; None if it can be registered.

        A protocol with required parameters has to say this for itself.
        """
        if any(spec.required for spec in self.parameters):
            return None
        try:
            self.check({}, analysis)
        except WichtelError as error:
            return error
        return None

    @abstractmethod
    def graph(self, services: Services) -> Graph:
        """The steps. Each is idempotent: it may be run again after a crash, and then finds what it did before."""

    def info(self, graph: Graph | None = None) -> ProtocolInfo:
        """The catalogue entry; with its steps, if they are given."""
        return ProtocolInfo(
            name=self.name,
            kind=self.kind,
            help=" ".join((type(self).__doc__ or "").split()),
            intent=self.intent,
            parameters=self.parameters,
            needs=self.needs,
            schema=schema_of(self.parameters),
            recipes=self.recipes,
            steps=tuple(map(_told, graph.steps)) if graph is not None else (),
        )


def _told(step: Step) -> StepInfo:
    """`step`, in the words of the function that carries it out, and with the values of arguments that these name."""
    carried_out: Any = step.run
    given: dict[str, Any] = {}
    while isinstance(carried_out, partial):
        given |= carried_out.keywords
        carried_out = carried_out.func
    words = " ".join((carried_out.__doc__ or "").split())
    end = words.find(". ")
    told = words if end < 0 else words[: end + 1]
    for name, value in given.items():
        told = told.replace(f"`{name}`", str(value))
    return StepInfo(name=step.name, after=step.after, help=told, awaits=step.poll is not None)
