"""The OpenAPI document and the page that shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from wichtel.server import create_app
from wichtel.server.pages import docs


def test_every_reference_leads_somewhere(api: Any) -> None:
    document = api.document
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    for name in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)):
        assert name in schemas


def test_every_call_has_a_name_words_and_answers(api: Any) -> None:
    operations = [o for methods in api.document["paths"].values() for o in methods.values()]
    names = [o["operationId"] for o in operations]
    assert len(set(names)) == len(names) > 40
    assert "experiments_cancel" in names
    for operation in operations:
        assert operation["description"]
        assert all(p.get("schema") for p in operation.get("parameters", ()))


def test_all_but_health_needs_a_token(api: Any) -> None:
    for path, methods in api.document["paths"].items():
        for operation in methods.values():
            assert bool(operation.get("security")) == (path not in ("/healthz", "/readyz"))


def test_fields_are_described_in_the_words_of_the_source(api: Any) -> None:
    experiment = api.document["components"]["schemas"]["Experiment"]
    assert experiment["properties"]["cause"]["description"] == "Why it ended as it did, in words."
    assert experiment["properties"]["created"]["format"] == "date-time"
    assert "Raises" not in api.document["components"]["schemas"]["StudySpec"]["description"]


def test_the_page_loads_nothing_from_elsewhere(anonymous: Any) -> None:
    answer = anonymous.http.get("/docs")
    assert "default-src 'self'" in answer.headers["content-security-policy"] or answer.status_code == 503
    for place in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert place.startswith("/")
    assert anonymous.http.get("/static/docs.js").status_code == 200


def test_the_page_says_when_its_files_are_missing(tmp_path: Path) -> None:
    import asyncio

    from fastapi import FastAPI

    api = FastAPI(docs_url=None)
    docs.install(api, tmp_path)
    page: Any = next(route for route in api.routes if getattr(route, "path", "") == "/docs")
    answer = asyncio.run(_call(page))
    assert answer.status_code == 503
    assert b"make assets" in answer.body


async def _call(route: Any) -> Any:
    return route.endpoint()


def test_the_document_is_made_once(service: Any) -> None:
    made = create_app(service.app)
    assert made.openapi() is made.openapi()
