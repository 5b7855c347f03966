"""The contract of a protocol, and what its steps work with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from typing import Protocol as Port

from wichtel.domain import Analysis, ExperimentResult, ExperimentStatus, Rule
from wichtel.protocols.parameter import ParameterSpec, complete, schema_of
from wichtel.store import Artifacts, Database
from wichtel.workflows import Graph


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
    #: Know failures of this protocol; asked before all others, in this order.
    failure_rules: ClassVar[tuple[Rule, ...]] = ()

    def check(self, given: Mapping[str, Any], analysis: Analysis) -> dict[str, Any]:
        """The complete parameters for a model, given those that the user set.

        Raises:
            InvalidInput: they do not fit the protocol or the model, or the model lacks what the protocol needs.
        """
        return complete(self.parameters, given, protocol=self.name)

    @abstractmethod
    def graph(self, services: Services) -> Graph:
        """The steps. Each is idempotent: it may be run again after a crash, and then finds what it did before."""

    def info(self) -> ProtocolInfo:
        """The catalogue entry."""
        return ProtocolInfo(
            name=self.name,
            kind=self.kind,
            help=" ".join((type(self).__doc__ or "").split()),
            intent=self.intent,
            parameters=self.parameters,
            needs=self.needs,
            schema=schema_of(self.parameters),
        )
