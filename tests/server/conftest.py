"""Calls over a real connection, each answer held against the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest


class Api:
    """Calls the service; every answer must be what its document says."""

    def __init__(self, url: str, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx2.Client(base_url=url, headers=headers, timeout=60)
        self.document: dict[str, Any] = self.http.get("/v1/openapi.json").json()
        self.called: set[str] = set()

    def __call__(self, method: str, path: str, expect: int = 200, **request: Any) -> Any:
        answer = self.http.request(method, path, **request)
        assert answer.status_code == expect, answer.text
        assert answer.headers["x-request-id"]
        if place := answer.headers.get("location"):
            assert self.http.get(place).status_code == 200
        operation = self._operation(method, path)
        if operation is not None:
            self.called.add(operation["operationId"])
            said = operation["responses"].get(str(expect)) or operation["responses"]["default"]
            if "$ref" in said:
                said = self.document["components"]["responses"][said["$ref"].rsplit("/", 1)[1]]
            if expect == 204:
                assert "content" not in said
                return answer.content
            kind = answer.headers["content-type"].split(";")[0]
            assert kind in said["content"]
            if "json" in kind:
                self.check(answer.json(), said["content"][kind]["schema"], path)
        elif expect >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        return answer.json() if "json" in answer.headers["content-type"] else answer.content

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        # The more of a template is literal, the better it fits.
        for template in sorted(self.document["paths"], key=lambda t: (t.count("{"), -len(t))):
            pattern = re.sub(r"\{(\w+)\}", "[^?]+", re.escape(template).replace(r"\{", "{").replace(r"\}", "}"))
            if re.fullmatch(pattern, path) and method.lower() in self.document["paths"][template]:
                return self.document["paths"][template][method.lower()]
        return None

    def check(self, value: Any, schema: dict[str, Any], place: str) -> None:
        """As much of JSON Schema as the document uses."""
        if "$ref" in schema:
            self.check(value, self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], place)
        if "anyOf" in schema:
            assert any(self.fits(value, one) for one in schema["anyOf"]), (place, value, schema)
        if "enum" in schema:
            assert value in schema["enum"], (place, value)
        kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int, "number": (int, float)}
        if "type" in schema:
            assert isinstance(value, kinds[schema["type"]]), (place, value, schema)
            assert schema["type"] not in ("integer", "number") or not isinstance(value, bool), (place, value)
        if isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
            known = schema.get("properties", {})
            assert set(schema.get("required", ())) <= set(value), (place, value)
            for name, inner in value.items():
                assert name in known or "additionalProperties" in schema, (place, name)
                further = schema.get("additionalProperties", {})
                self.check(inner, known.get(name, further if isinstance(further, dict) else {}), f"{place}.{name}")
        if isinstance(value, list) and isinstance(schema.get("items"), dict):
            for i, inner in enumerate(value):
                self.check(inner, schema["items"], f"{place}[{i}]")

    def fits(self, value: Any, schema: dict[str, Any]) -> bool:
        try:
            self.check(value, schema, "")
        except AssertionError:
            return False
        return True


@pytest.fixture(scope="module")
def api(service: Any) -> Iterator[Api]:
    """Calls of an admin."""
    made = Api(service.url, service.token)
    yield made
    made.http.close()


@pytest.fixture(scope="module")
def anonymous(service: Any) -> Iterator[Api]:
    """Calls without a token. The document is there for admins only, so it is borrowed."""
    made = Api.__new__(Api)
    made.http = httpx2.Client(base_url=service.url, timeout=60)
    made.called = set()
    made.document = {"paths": {}}
    yield made
    made.http.close()
