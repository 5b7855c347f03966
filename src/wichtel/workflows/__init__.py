"""Durable step graphs: what was enqueued is carried out, whichever process dies when.

Owns: graphs, steps and handlers; the one place that knows DBOS. May import: `store`, `domain`.
Start with `graph.py` (what is carried out), then `port.py` (what one may ask), `driver.py` (how it is carried out).
To carry out graphs by something other than DBOS, copy `inline.py`.

`Workflows` is loaded when it is first used: whoever only defines graphs does not wait for the database's libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wichtel.workflows.graph import Graph, Handler, HandlerContext, Step, StepContext
from wichtel.workflows.inline import InlineWorkflows
from wichtel.workflows.port import StepStatus, WorkflowPort, WorkflowState, WorkflowStatus
from wichtel.workflows.replicas import Heartbeat

if TYPE_CHECKING:
    from wichtel.workflows.durable import Workflows

__all__ = [
    "Graph",
    "Handler",
    "HandlerContext",
    "Heartbeat",
    "InlineWorkflows",
    "Step",
    "StepContext",
    "StepStatus",
    "WorkflowPort",
    "WorkflowState",
    "WorkflowStatus",
    "Workflows",
]


def __getattr__(name: str) -> Any:
    if name == "Workflows":
        from wichtel.workflows.durable import Workflows

        return Workflows
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
