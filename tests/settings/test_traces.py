"""Spans, as an SDK of OpenTelemetry gets them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from wichtel.domain.doing import doing, done, note
from wichtel.traces import trace

_exporter = InMemorySpanExporter()


def test_without_the_api_there_are_no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    # Other packages may have put something of theirs into its namespace.
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    untrace = trace()
    with doing("request", request_id="1"):
        pass
    untrace()


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    # Of a process there is one provider, which cannot be replaced.
    if not isinstance(api.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_exporter))
        api.set_tracer_provider(provider)
    _exporter.clear()
    untrace = trace()
    yield _exporter
    untrace()


def test_requests_steps_and_runs_become_spans(exporter: InMemorySpanExporter) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with doing("GET", {"traceparent": parent}, request_id="r1"), doing("step train", step="train"):
        note(experiment="e-1")
    with doing("POST", {"accept": "*/*"}):
        note(route="/v1/models/{model}", status="503")
    began = datetime(2026, 1, 1, tzinfo=UTC)
    done("run", began, began + timedelta(seconds=2), run="r-1")
    step, get, post, run = exporter.get_finished_spans()
    assert f"{get.context.trace_id:032x}" == f"{step.context.trace_id:032x}" == parent.split("-")[1]
    assert step.parent is not None
    assert step.parent.span_id == get.context.span_id
    assert dict(step.attributes or {})["wichtel.experiment"] == "e-1"
    assert (post.name, post.status.is_ok) == ("POST /v1/models/{model}", False)
    assert (run.end_time or 0) - (run.start_time or 0) == 2 * 10**9


def test_without_tracing_nothing_is_made() -> None:
    _exporter.clear()
    with doing("GET"):
        pass
    assert _exporter.get_finished_spans() == ()
