"""Spans of requests, workflow steps and runs, through OpenTelemetry's API. Whoever runs the process sets up where they go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from wichtel.domain.doing import watch

if TYPE_CHECKING:
    from collections.abc import Callable


def trace() -> Callable[[], None]:
    """Make spans from now on, if OpenTelemetry is installed; returns what ends it. Until an SDK is set up, spans cost next to nothing."""
    try:
        return watch(_Spans())
    except ModuleNotFoundError:
        return lambda: None


class _Spans:
    def __init__(self) -> None:
        from opentelemetry import propagate
        from opentelemetry.trace import SpanKind, StatusCode, get_tracer

        self._tracer = get_tracer("wichtel", version("wichtel"))
        self._extract = propagate.extract
        self._server = SpanKind.SERVER
        self._error = StatusCode.ERROR

    @contextmanager
    def doing(self, what: str, words: Mapping[str, str], carrier: Mapping[str, str]) -> Iterator[Any]:
        # What has a carrier was asked for by somebody else.
        options: dict[str, Any] = {"context": self._extract(carrier), "kind": self._server} if carrier else {}
        with self._tracer.start_as_current_span(what, **options) as span:
            try:
                yield span
            finally:
                if span.is_recording():
                    span.set_attributes(_attributes(words))
                    if "route" in words:
                        span.update_name(f"{what} {words['route']}")
                    if words.get("status", "").startswith("5"):
                        span.set_status(self._error)

    def done(self, what: str, began: datetime, ended: datetime, words: Mapping[str, str]) -> None:
        span = self._tracer.start_span(what, start_time=_nanoseconds(began), attributes=_attributes(words))
        span.end(_nanoseconds(ended))


def _attributes(words: Mapping[str, str]) -> dict[str, str]:
    return {f"wichtel.{name}": value for name, value in words.items()}


def _nanoseconds(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000) * 1000
