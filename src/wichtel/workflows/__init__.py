"""Durable step graphs: what was enqueued is carried out, whichever process dies when.

Owns: graphs, steps and handlers; the one place that knows DBOS. May import: `store`, `domain`.
Start with `graph.py` (what is carried out), then `port.py` (what one may ask), `driver.py` (how it is carried out).
To carry out graphs by something other than DBOS, copy `inline.py`.
"""

from wichtel.workflows.graph import Graph, Handler, HandlerContext, Step, StepContext
from wichtel.workflows.inline import InlineWorkflows
from wichtel.workflows.port import StepStatus, WorkflowPort, WorkflowState, WorkflowStatus

__all__ = [
    "Graph",
    "Handler",
    "HandlerContext",
    "InlineWorkflows",
    "Step",
    "StepContext",
    "StepStatus",
    "WorkflowPort",
    "WorkflowState",
    "WorkflowStatus",
]
