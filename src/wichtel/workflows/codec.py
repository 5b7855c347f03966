"""What is kept of a workflow is JSON and nothing else: a pickle is code, unreadable, and breaks when a class moves."""

from __future__ import annotations

import json
from typing import Any

from wichtel.domain.errors import InvalidInput, SystemFault
from wichtel.workflows.failure import StepFailed, to_json

#: Marks a kept failure.
_FAILURE = "wichtel:failure"


class JsonSerializer:
    """Meets DBOS's serializer interface."""

    def name(self) -> str:
        """Kept beside each value."""
        return "wichtel_json"

    def serialize(self, data: Any) -> str:
        """`data`, or a failure, as text."""
        if isinstance(data, BaseException):
            data = {_FAILURE: to_json(data)}
        return json.dumps(data, separators=(",", ":"))

    def deserialize(self, serialized_data: str) -> Any:
        """What `serialize` was given; of a failure, a `StepFailed`."""
        data = json.loads(serialized_data)
        return StepFailed(data[_FAILURE]) if isinstance(data, dict) and _FAILURE in data else data


def check_input(value: Any, id: str) -> None:  # noqa: A002
    """Refuse an input that would not come back as it is.

    Raises:
        InvalidInput: `value` is not a dict of plain JSON, or `id` is empty.
    """
    if not id.strip():
        raise InvalidInput("a workflow needs an id.")
    if not isinstance(value, dict):
        raise InvalidInput(f"the input is a dict, not {type(value).__name__}.", where=f"workflow {id!r}")
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the input is not plain JSON: {error}.", where=f"workflow {id!r}") from error


def through_json(value: Any, step: str) -> Any:
    """`value` as it will be read back, so that the first execution sees what a later one would (lists for tuples, strings for keys).

    Raises:
        SystemFault: `value` is not plain JSON.
    """
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise SystemFault(f"it returned something that is not plain JSON: {error}.", where=f"step {step!r}") from error
