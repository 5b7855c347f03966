"""Runs carried out by worker processes: one fleet for trials and for training jobs.

Owns: the controller, its messages, workers and engines. May import: `store`, `domain`.
Start with `ports.py` (what others see), then `roster.py` (all decisions, no I/O), `controller.py` (the loop around it) and `worker.py` (the
other side, which `nursery.py` forks). To add an engine, copy `inline.py`, face it with `wichtel.testing.engines` and name it under the
entry-point group `wichtel.engines`.

A run's function is named ``"module:function"`` and called as ``function(payload, context: RunContext)``. Whoever submits runs is their
`Owner`. Names below are loaded when first used, so that a worker process does not load what only a controller needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wichtel.fleet.ports import Canceled, Engine, Link, Owner, RunContext, Stop, Stopped

if TYPE_CHECKING:
    from wichtel.fleet.controller import Controller, FleetStatus, WorkerStatus
    from wichtel.fleet.engines import open_engine
    from wichtel.fleet.inline import InlineEngine
    from wichtel.fleet.local import LocalEngine
    from wichtel.fleet.paths import log_path
    from wichtel.fleet.settings import FleetSettings

__all__ = [
    "Canceled",
    "Controller",
    "Engine",
    "FleetSettings",
    "FleetStatus",
    "InlineEngine",
    "Link",
    "LocalEngine",
    "Owner",
    "RunContext",
    "Stop",
    "Stopped",
    "WorkerStatus",
    "log_path",
    "open_engine",
]

_HOMES = {
    "Controller": "controller",
    "FleetSettings": "settings",
    "FleetStatus": "controller",
    "InlineEngine": "inline",
    "LocalEngine": "local",
    "WorkerStatus": "controller",
    "log_path": "paths",
    "open_engine": "engines",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
